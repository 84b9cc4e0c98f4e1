"""`scx lake verify`: each kind of damage is reported with file, month and advice, and a correct lake has no findings.

Writing a lake does not belong here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import DataFile, Manifest
from scx_pipeline.lake.format.transaction import begin_transaction
from scx_pipeline.lake.inspect.findings import Finding
from scx_pipeline.lake.inspect.verify import Verifier, VerifyReport
from scx_pipeline.model.calendar import Month
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.cli.conftest import Scx, scx  # noqa: F401  (a fixture)
from scx_pipeline_tests.support.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import FACTS, MARCH, create_load_env, edited_star, job

APRIL = Month(2021, 4)
LIMITS = Limits("200MB", 1)


def verify(lake: Lake) -> VerifyReport:
    return Verifier(lake.load_env.compiled, LIMITS, lake.messages.append).run(lake.url)


def findings_of(lake: Lake) -> list[Finding]:
    return list(verify(lake).findings)


def file_of(lake: Lake, table: str, month: Month | None = APRIL) -> DataFile:
    return next(item for item in lake.manifest.select_files(table) if item.month == month)


def rewrite(lake: Lake, item: DataFile, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a file, and its size in the manifest."""
    content = bytes(obstore.get(lake.store.store, item.key).bytes())
    sink = io.BytesIO()
    pq.write_table(change(pq.ParquetFile(io.BytesIO(content)).read()), sink)
    lake.store.write(item.key, sink.getvalue())
    relist(lake, replace(item, bytes=len(sink.getvalue())))


def relist(lake: Lake, *items: DataFile) -> None:
    """Replace entries of the current manifest by their keys."""
    manifest, changed = lake.manifest, {item.key: item for item in items}
    files = {
        folder: tuple(changed.get(item.key, item) for item in listed)
        for folder, listed in manifest.files.items()
    }
    write(lake.store, replace(manifest, files=files))


def write(store: LakeStore, manifest: Manifest) -> None:
    store.write(manifest.key, manifest.as_bytes())


def only(lake: Lake) -> Finding:
    findings = findings_of(lake)
    assert len(findings) == 1, findings
    return findings[0]


# Lakes without findings


def test_a_correct_lake_has_no_findings(any_lake: Lake) -> None:
    before = any_lake.store.list()
    done = verify(any_lake)
    assert done.findings == []
    assert done.files == len(any_lake.manifest.file_keys)
    assert done.rows == sum(len(any_lake.rows(name)) for name in any_lake.tables)
    assert any_lake.store.list() == before
    assert any("footers: 0 of" in message for message in any_lake.messages)


def test_a_lake_in_s3_is_verified(lake: Lake, s3_bucket: str) -> None:
    other = replace(lake, url=f"{s3_bucket}/lakes/one")
    other.unload()
    assert findings_of(other) == []
    missing, duplicated = file_of(other, "time"), file_of(other, FACTS)
    other.store.remove([missing.key])
    rewrite(other, duplicated, lambda table: table.take([0, 0]))
    assert {(item.table, item.file) for item in findings_of(other)} == {
        ("time", missing.key),
        (FACTS, duplicated.key),
    }


# Files


def test_a_missing_file_is_reported_with_month_and_advice(lake: Lake) -> None:
    item = file_of(lake, "time")
    lake.store.remove([item.key])
    assert only(lake) == Finding(
        "time",
        "2021-04",
        item.key,
        "the file is missing",
        "rebuild it: scx lake build, or unload, --month 2021-04",
    )


def test_a_file_of_another_size_is_reported(lake: Lake) -> None:
    item = file_of(lake, "users", None)
    lake.store.write(item.key, b"PAR1")
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == ("users", "", item.key)
    assert finding.problem == f"the file has 4 bytes, not {item.bytes:,} as in the manifest"
    assert finding.advice == "rebuild it: scx lake build, or unload"


def test_a_file_that_is_not_parquet_is_reported(lake: Lake) -> None:
    item = file_of(lake, "_latest/users")
    lake.store.write(item.key, b"x" * item.bytes)
    finding = only(lake)
    assert (finding.table, finding.file) == ("_latest/users", item.key)
    assert finding.problem.startswith("the file cannot be read: ")


def test_a_file_with_damaged_values_is_reported(lake: Lake) -> None:
    item = file_of(lake, FACTS)
    content = bytearray(obstore.get(lake.store.store, item.key).bytes())
    content[4:80] = b"\xff" * 76  # the first column's values, but not the footer
    lake.store.write(item.key, bytes(content))
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-04", item.key)
    assert finding.problem.startswith("the file cannot be read: ")
    assert "scx-" not in finding.problem


def test_orphan_files_are_reported_with_who_removes_them(lake: Lake) -> None:
    item = file_of(lake, "time")
    content = bytes(obstore.get(lake.store.store, item.key).bytes())
    keys = ["time/year=2021/month=4/copy.parquet", "users/20200101T000000000000-12345678-a.parquet"]
    for key in (*keys, "time/_SUCCESS", "elsewhere/a.parquet"):
        lake.store.write(key, content)
    findings = findings_of(lake)
    assert [(f.table, f.month, f.file, f.advice) for f in findings] == [
        ("time", "2021-04", keys[0], "move it elsewhere"),
        ("users", "", keys[1], "the next run removes it"),
    ]


def test_files_of_the_run_with_the_write_lock_are_not_orphans(lake: Lake) -> None:
    transaction = begin_transaction(lake.store, "scx", lake.messages.append)
    lake.store.write(f"time/year=2021/month=4/{transaction.run}-data_0.parquet", b"x")
    assert findings_of(lake) == []


def test_a_file_in_the_folder_of_another_month_or_of_none_is_reported(lake: Lake) -> None:
    item, other = file_of(lake, "time"), file_of(lake, FACTS)
    moved = {
        item.key: item.key.replace("month=4/", "month=5/a-"),
        other.key: other.key.replace("month=4/", ""),
    }
    manifest = lake.manifest
    for source, target in moved.items():
        lake.store.move(source, target)
    files = {
        folder: tuple(replace(one, key=moved.get(one.key, one.key)) for one in listed)
        for folder, listed in manifest.files.items()
    }
    write(lake.store, replace(manifest, files=files))
    assert {f.file: f.problem for f in findings_of(lake)} == {
        moved[item.key]: "the file belongs to 2021-04 but is in the folder of another month",
        moved[other.key]: f"the file should be in folders of year, month below {FACTS}/",
    }


# Rows and columns


def test_row_counts_that_differ_from_the_manifest_are_reported(lake: Lake) -> None:
    item = file_of(lake, FACTS)
    rewrite(lake, item, lambda table: table.slice(0, 1))
    finding = only(lake)
    assert (finding.file, finding.problem) == (item.key, "the file has 1 rows, not 2 as in the manifest")
    relist(lake, replace(file_of(lake, FACTS), rows=1))
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-04", "")
    assert finding.problem == "the files have 1 rows, but the manifest says 2"


def test_files_of_a_month_that_was_never_built_are_reported(lake: Lake) -> None:
    manifest = lake.manifest
    months = {month: state for month, state in manifest.months.items() if month != APRIL}
    write(lake.store, replace(manifest, months=months))
    findings = findings_of(lake)
    assert {(f.table, f.month) for f in findings} >= {("time", "2021-04"), ("_latest/users", "2021-04")}
    assert {f.problem for f in findings if f.table == FACTS} == {
        "the files have 2 rows, but the manifest does not list the month as built"
    }


COLUMNS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "type": (
        lambda t: t.set_column(1, "hour", pc.cast(t["hour"], pa.int64())),
        "hour is int64, not int32",
    ),
    "missing": (lambda t: t.drop_columns(["hour", "week"]), "missing columns: hour, week"),
    "undeclared": (lambda t: t.append_column("own", t["hour"]), "undeclared columns: own"),
    "order": (
        lambda t: t.select(["hour", "created_at", "day", "week", "weekday"]),
        "the columns are in another order: hour, created_at, day, week, weekday",
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_that_differ_from_the_declaration_are_reported(lake: Lake, kind: str) -> None:
    change, problem = COLUMNS[kind]
    item = file_of(lake, "time")
    rewrite(lake, item, change)
    finding = only(lake)
    assert (finding.file, finding.problem) == (item.key, problem)


def test_a_table_with_a_changed_declaration_is_reported_once(lake: Lake) -> None:
    facts = {"time": {"partition_by": ["year", "month", "day"]}, "users.plan_id": {"type": "bigint"}}
    load_env = replace(lake.load_env, compiled=edited_star(lake.folder, facts))
    findings = findings_of(replace(lake, load_env=load_env))
    assert [(f.table, f.month, f.file, f.problem) for f in findings] == [
        ("users", "", "", "the star now declares other columns or folders: plan_id"),
        ("_latest/users", "", "", "the star now declares other columns or folders: plan_id"),
        ("time", "", "", "the star now declares other columns or folders: day"),
    ]


def test_event_times_outside_the_month_are_reported(lake: Lake) -> None:
    item = file_of(lake, "time")

    def later(table: pa.Table) -> pa.Table:
        moved = pc.add(table["created_at"], pa.scalar(timedelta(days=30), pa.duration("us")))
        return table.set_column(0, "created_at", moved)

    rewrite(lake, item, later)
    finding = only(lake)
    assert finding.file == item.key
    assert (
        finding.problem
        == "created_at ranges from 2021-05-01 10:00:00 to 2021-05-02 10:00:00, outside 2021-04"
    )


# Keys and references


def test_duplicate_keys_are_reported_with_examples_and_months(lake: Lake) -> None:
    def as_in_march(table: pa.Table) -> pa.Table:
        return table.set_column(0, "job_id", pa.array([31, 42], pa.int32()))

    rewrite(lake, file_of(lake, FACTS), as_in_march)
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-03, 2021-04", "")
    assert finding.problem == "1 duplicate keys, such as job_id 31"


def test_orphan_references_are_reported(lake: Lake) -> None:
    item = file_of(lake, "users", None)
    rewrite(lake, item, lambda table: table.set_column(0, "user_id", pa.array([999], pa.int32())))
    finding = only(lake)
    assert (finding.table, finding.month) == (FACTS, "2021-03, 2021-04, 2021-05")
    assert finding.problem == "6 rows reference no row of users, such as user_id 211"


def test_key_columns_that_name_folders_are_read_from_the_folder_names(tmp_path: Path) -> None:
    facts = {FACTS: {"partition_by": ["year", "month", "user_id", "ground_profile"]}}
    load_env = create_load_env(tmp_path, compiled=edited_star(tmp_path, facts))
    rows = [job(n, f"2021-03-{n + 1:02d} 10:00:00", user_id=n, ground_profile="a b/é") for n in range(4)]
    load_env.put("2021/03/a.csv", rows)
    load_env.load(MARCH)
    lake = Lake(lake_url("", tmp_path), load_env, tmp_path)
    lake.unload()
    assert findings_of(lake) == []
    rewrite(lake, file_of(lake, "users", None), lambda table: table.set_column(0, "user_id", pa.array([0, 1, 2, 9], pa.int32())))  # fmt: skip
    finding = only(lake)
    assert finding.file == next(
        item.key for item in lake.manifest.select_files(FACTS) if "user_id=3" in item.key
    )
    assert finding.problem == "1 rows reference no row of users, such as user_id 3"


# The command


def test_a_lake_that_is_written_during_the_verification_is_not_judged(lake: Lake) -> None:
    lake.store.remove([file_of(lake, "time").key])

    def committed(message: str) -> None:
        if message.startswith("footers: 0"):
            lake.unload()

    with pytest.raises(LakeError, match="was written while it was verified: run the verification again"):
        Verifier(lake.load_env.compiled, LIMITS, committed).run(lake.url)


def test_the_command_shows_findings_as_a_table_and_exits_with_1(lake: Lake, scx: Scx) -> None:  # noqa: F811
    result = scx("lake", "verify", "scx", "--lake", lake.url)
    assert (result.code, result.out) == (
        0,
        f"{lake.store.url}, manifest 2: {len(lake.manifest.file_keys)} files, 20 rows: everything matches the manifest\n",
    )
    item = file_of(lake, "time")
    lake.store.remove([item.key])
    result = scx("lake", "verify", "scx", "--lake", lake.url)
    assert result.code == 1
    assert "1 findings" in result.out
    assert "the file is missing" in result.out
    result = scx("lake", "verify", "scx", "--lake", lake.url, "--json")
    assert result.code == 1
    [finding] = json.loads(result.out)["findings"]
    assert (finding["file"], finding["month"]) == (item.key, "2021-04")
    result = scx("lake", "verify", "scx", "--lake", (lake.folder / "none").as_uri())
    assert result.code == 1
    assert "has no data of scx yet" in result.err


def test_the_command_prints_views_or_creates_them_in_a_file(lake: Lake, scx: Scx) -> None:  # noqa: F811
    result = scx("lake", "views", "scx", "--lake", lake.url)
    assert result.code == 0
    assert result.out.count("CREATE OR REPLACE VIEW") == 5
    result = scx("lake", "views", "scx", "--lake", lake.url, "--into", str(lake.folder / "own.duckdb"))
    assert (result.code, result.out) == (0, f"{lake.folder / 'own.duckdb'}: 5 views of {lake.store.url}\n")
    result = scx("lake", "views", "scx", "--for", "spark", "--into", "a.duckdb")
    assert (result.code, "choose one of --for and --into" in result.err) == (1, True)
