"""Files that cannot be read as declared: the error has the key, or the file is one rejected row if the source says so.

The messages of single errors are tested where they are raised.
"""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scx_pipeline.errors import BucketError, CheckFailedError, SourceFileError
from scx_pipeline.loading.ingest import ingest_objects
from scx_pipeline.parsing.csv import csv_parser
from scx_pipeline.parsing.csv.byte_scan import RecordCount
from scx_pipeline.parsing.json.json_lines_parser import JsonLinesParser
from scx_pipeline.storage.bucket import Bucket, BucketOptions, open_bucket
from scx_pipeline.storage.compression import UnpackedLimits
from scx_pipeline_tests.loading.bad_input.invalid_files import (
    CASES,
    COLUMNS,
    GOOD_ROWS,
    INVALID_FILES,
    MAKERS,
    csv_file,
    json_lines_file,
    open_small_env,
)
from scx_pipeline_tests.support.small_star import SmallStarEnv, small_star

COUNTS = "object_key, rows_read, rows_loaded, rows_rejected"


GOOD_KEYS = {"in/00.a": 101, "in/05.a": 111, "in/99.a": 121}  # before, among and after the invalid files


def put_good_files(load_env: SmallStarEnv, kind: str) -> None:
    for key, first in GOOD_KEYS.items():
        load_env.put_key(key, MAKERS[kind](first))


def put_invalid_files(load_env: SmallStarEnv, kind: str, order: int) -> dict[str, str]:
    """Write every invalid file of a format, in this or the reversed order; return a part of each reason by key."""
    reasons = {}
    for place, file in enumerate([*INVALID_FILES[kind].values()][::order]):
        key = load_env.put_key(f"in/{place:02d}.{file.suffix}", file.content)
        reasons[key] = file.reason
    return reasons


def assert_one_rejected_row_each(load_env: SmallStarEnv, reasons: Mapping[str, str]) -> None:
    """Check that these files are a rejected row each, and that all rows of the good files are loaded, and no others."""
    ids = [(first + number,) for first in GOOD_KEYS.values() for number in range(GOOD_ROWS)]
    assert load_env.values("id") == ids
    counts = dict.fromkeys(GOOD_KEYS, (GOOD_ROWS, GOOD_ROWS, 0)) | dict.fromkeys(reasons, (1, 0, 1))
    assert {key: tuple(found) for key, *found in load_env.state("objects", COUNTS)} == counts
    rejected = {row[0]: row[1:] for row in load_env.rejected()}
    assert rejected.keys() == reasons.keys()
    for key, (line, column, reason, raw) in rejected.items():
        assert (line, column, raw) == (None, None, "")
        assert reasons[key] in reason
        assert not reason.startswith((" ", ":", ",", load_env.bucket_url))


@pytest.mark.parametrize(("kind", "what"), CASES)
def test_the_error_of_an_invalid_file_has_its_key(kind: str, what: str, tmp_path: Path) -> None:
    load_env = open_small_env(tmp_path, kind)
    put_good_files(load_env, kind)
    invalid = INVALID_FILES[kind][what]
    key = load_env.put_key(f"in/01.{invalid.suffix}", invalid.content)
    with pytest.raises(SourceFileError) as caught:
        load_env.load_all()
    assert caught.value.key == key
    assert invalid.reason in str(caught.value)
    assert load_env.bucket.uri(key) in str(caught.value)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("batch_files", [0, 1, 3])
@pytest.mark.parametrize("order", [1, -1])
def test_invalid_files_are_one_rejected_row_each_whatever_their_order_and_the_size_of_a_batch(
    kind: str, batch_files: int, order: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if batch_files:
        monkeypatch.setattr(ingest_objects, "MAX_DOCUMENTS", batch_files)
    load_env = open_small_env(tmp_path, kind, batch_files, on_invalid_file="reject")
    put_good_files(load_env, kind)
    reasons = put_invalid_files(load_env, kind, order)
    report = load_env.load_all()
    assert (report.read, report.loaded, report.rejected) == (9 + len(reasons), 9, len(reasons))
    assert_one_rejected_row_each(load_env, reasons)


@pytest.mark.parametrize("kind", MAKERS)
def test_invalid_files_are_one_rejected_row_each_of_a_rebuild(kind: str, tmp_path: Path) -> None:
    """A rebuild stages in the transaction of the load, which a failed statement would abort."""
    load_env = open_small_env(tmp_path, kind, on_invalid_file="reject")
    load_env.load(a_x=MAKERS[kind](101))
    load_env.delete_key("in/a.x")
    columns = [{**COLUMNS[0], "type": "bigint"}, COLUMNS[1]]
    load_env.compiled = small_star(tmp_path / "after", kind, columns, on_invalid_file="reject")
    put_good_files(load_env, kind)
    reasons = put_invalid_files(load_env, kind, 1)
    load_env.load_all()
    assert_one_rejected_row_each(load_env, reasons)


@pytest.mark.parametrize("kind", ["csv", "json_lines"])
def test_invalid_files_are_one_rejected_row_each_on_every_engine(
    kind: str, load_urls: tuple[str, str], tmp_path: Path
) -> None:
    load_env = SmallStarEnv(*load_urls, small_star(tmp_path, kind, COLUMNS, on_invalid_file="reject"))
    put_good_files(load_env, kind)
    reasons = put_invalid_files(load_env, kind, 1)
    load_env.load_all()
    assert_one_rejected_row_each(load_env, reasons)


@pytest.mark.parametrize("kind", MAKERS)
def test_files_that_are_all_invalid_load_no_row(kind: str, tmp_path: Path) -> None:
    load_env = open_small_env(tmp_path, kind, on_invalid_file="reject")
    reasons = put_invalid_files(load_env, kind, 1)
    report = load_env.load_all()
    assert (report.read, report.loaded, report.rejected) == (len(reasons), 0, len(reasons))


@pytest.mark.parametrize("kind", MAKERS)
def test_an_invalid_file_counts_as_one_row_of_the_reject_limit(kind: str, tmp_path: Path) -> None:
    """One of ten rows is rejected."""
    invalid = next(iter(INVALID_FILES[kind].values()))
    for limit in (0.1, 0.09):
        load_env = open_small_env(tmp_path / str(limit), kind, on_invalid_file="reject", reject_limit=limit)
        put_good_files(load_env, kind)
        key = load_env.put_key(f"in/01.{invalid.suffix}", invalid.content)
        if limit == 0.1:
            load_env.load_all()
            assert_one_rejected_row_each(load_env, {key: invalid.reason})
            continue
        with pytest.raises(CheckFailedError, match="1 of 10 rows were rejected"):
            load_env.load_all()


def test_an_invalid_file_with_many_bad_rows_counts_as_one_row_of_the_reject_limit(tmp_path: Path) -> None:
    load_env = open_small_env(tmp_path, "csv", on_invalid_file="reject", reject_limit=0.1)
    invalid = INVALID_FILES["csv"]["an open quote after bad rows"]
    put_good_files(load_env, "csv")
    load_env.put_key("in/01.x", invalid.content)
    load_env.load_all()
    assert_one_rejected_row_each(load_env, {"in/01.x": invalid.reason})


class LimitedEnv(SmallStarEnv):
    """An environment in which compressed files may have few bytes."""

    @property
    def bucket(self) -> Bucket:
        return open_bucket(self.bucket_url, BucketOptions(UnpackedLimits(size=1000)))


@pytest.mark.parametrize("kind", ["csv", "json_lines"])
def test_a_file_that_unpacks_to_more_bytes_than_allowed_is_invalid(kind: str, tmp_path: Path) -> None:
    made = open_small_env(tmp_path, kind, on_invalid_file="reject")
    load_env = LimitedEnv(made.bucket_url, made.warehouse_url, made.compiled, made.limits)
    put_good_files(load_env, kind)
    key = load_env.put_key("in/01.x.gz", gzip.compress(MAKERS[kind](900, 500)))
    load_env.load_all()
    assert_one_rejected_row_each(load_env, {key: "the compressed file unpacks to more than 1,000 bytes"})


# Counts that differ, which no file is known to cause


def lose_a_record_of_json(patch: pytest.MonkeyPatch) -> None:
    scan = JsonLinesParser._scan
    lost = "(SELECT *, file_index FROM {} WHERE json_extract_string(json, 'v') <> 'v901')"
    patch.setattr(JsonLinesParser, "_scan", lambda *args: lost.format(scan(*args)))
    patch.setattr(JsonLinesParser, "_split", lambda self, files, group: ([], [*group]))


def count_another_number_of_csv(patch: pytest.MonkeyPatch) -> None:
    count = csv_parser.count_records
    wrong = RecordCount(9, 0, 0, False, False, None, None, 9)

    def miscount(stream: object, *args: object) -> RecordCount:
        found = count(stream, *args)  # type: ignore[arg-type]
        return wrong if found.records == 5 else found

    patch.setattr(csv_parser, "count_records", miscount)


DIFFERENCES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], bytes, str]] = {
    "csv": (count_another_number_of_csv, csv_file(900, rows=4), "4 records were read, but 8 were counted"),
    "json_lines": (lose_a_record_of_json, json_lines_file(900), "3 records were counted, but 2 were read"),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
@pytest.mark.parametrize("policy", ["fail", "reject"])
def test_a_file_with_another_number_of_records_than_counted_is_invalid(
    kind: str, policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    differ, content, reason = DIFFERENCES[kind]
    load_env = open_small_env(tmp_path, kind, on_invalid_file=policy)
    put_good_files(load_env, kind)
    key = load_env.put_key("in/01.x", content)
    differ(monkeypatch)
    if policy == "fail":
        with pytest.raises(SourceFileError, match=reason) as caught:
            load_env.load_all()
        assert caught.value.key == key
        return
    load_env.load_all()
    assert_one_rejected_row_each(load_env, {key: reason})


# Errors that are not the file's fault


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [*((kind, "x") for kind in MAKERS), ("csv", "x.gz"), ("json_lines", "x.gz"), ("json", "x.gz")],
)
def test_a_file_that_the_system_does_not_let_read_fails_the_load(
    kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_env = open_small_env(tmp_path, kind, on_invalid_file="reject")
    load_env.put_files(a_x=MAKERS[kind](101))
    load_env.put_key(f"in/b.{suffix}", MAKERS[kind](4))
    listed = load_env.bucket.list_objects("in/")
    path = load_env.bucket_path / f"in/b.{suffix}"
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a read fails, even as root
    monkeypatch.setattr("scx_pipeline.storage.bucket.Bucket.list_objects", lambda bucket, prefix: listed)
    with pytest.raises(BucketError, match=r"cannot read .*in/b\.x.*: Input/output error"):
        load_env.load_all()
    assert not load_env.state("objects")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_that_is_overwritten_while_it_is_read_fails_the_load(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_env = open_small_env(tmp_path, kind, on_invalid_file="reject")
    load_env.put_files(a_x=MAKERS[kind](101), b_x=MAKERS[kind](4))
    listed = load_env.bucket.list_objects("in/")
    load_env.put_files(b_x=b"")
    monkeypatch.setattr("scx_pipeline.storage.bucket.Bucket.list_objects", lambda bucket, prefix: listed)
    with pytest.raises(BucketError, match=r"in/b\.x was overwritten"):
        load_env.load_all()


def test_the_key_of_an_error_survives_pickling() -> None:
    """Spark's workers send their errors to the driver."""
    error = pickle.loads(pickle.dumps(SourceFileError("in/a.csv: damaged", "in/a.csv")))
    assert (str(error), error.key) == ("in/a.csv: damaged", "in/a.csv")
