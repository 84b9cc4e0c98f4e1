"""Loads from unusual buckets: unusual keys, files next to the data, stores without ETags, busy stores."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.etags import NO_ETAGS
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    PREFIX,
    LoadEnv,
    create_load_env,
    csv_text,
    job,
)
from scx_pipeline_tests.support.servers.odd_s3 import OddS3, odd_s3

DAY = {MARCH: "2021-03-05 10:00:00", APRIL: "2021-04-05 10:00:00"}


@dataclass
class OddBucket:
    """A world whose bucket takes any key: a folder, or a server of its own."""

    load_env: LoadEnv
    server: OddS3 | None = None

    def put(
        self, key: str, number: int | None = None, month: str = MARCH, modified: datetime | None = None
    ) -> str:
        """Write an object with one job, or with no bytes at all; its key."""
        content = b"" if number is None else csv_text([job(number, DAY[month])]).encode()
        if self.server is not None:
            self.server.put(key, content, modified)
        else:
            path = self.load_env.bucket_path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return key

    def jobs(self) -> list[int]:
        return sorted(number for (number,) in self.load_env.table(FACTS, "job_id"))

    @property
    def ignored(self) -> set[str]:
        return {key.removeprefix(PREFIX) for _, key in self.load_env.plan().selection.ignored}


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OddBucket]:
    with odd_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        load_env = create_load_env(tmp_path)
        load_env.bucket_url = server.url
        yield OddBucket(load_env, server)


@pytest.fixture
def folder(tmp_path: Path) -> OddBucket:
    return OddBucket(create_load_env(tmp_path))


@pytest.fixture(params=["folder", "s3"])
def odd(request: pytest.FixtureRequest) -> OddBucket:
    """A bucket of either kind."""
    found: OddBucket = request.getfixturevalue(request.param)
    return found


ODD_NAMES = {"tab": "a\tb", "newline": "a\nb", "control character": "a\x01b", "DEL": "a\x7fb"}
ONLY_S3 = {"two slashes": "a//b"}
NO_NAMES = {"one dot": "a/./b", "two dots": "a/../b"}  # no wildcard matches a name that begins with a dot
NAMES = [
    *(
        pytest.param(kind, name, id=f"{kind}: {what}")
        for kind in ("folder", "s3")
        for what, name in ODD_NAMES.items()
    ),
    *(pytest.param("s3", name, id=f"s3: {what}") for what, name in ONLY_S3.items()),
    pytest.param("folder", os.fsdecode(b"a\xffb"), id="folder: bytes that are not UTF-8"),
]


@pytest.mark.parametrize(
    ("kind", "name"),
    [*NAMES, *(pytest.param("s3", name, id=f"s3: {what}") for what, name in NO_NAMES.items())],
)
def test_an_odd_key_that_no_pattern_matches_is_named_and_ignored(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    odd: OddBucket = request.getfixturevalue(kind)
    odd.put(f"{PREFIX}2021/03/a.csv", 1)
    odd.put(f"{PREFIX}2021/03/{name}.txt", 2)
    assert odd.load_env.load("2021-02", MARCH).loaded == 1
    [ignored] = odd.ignored
    assert ignored.isprintable()
    assert odd.load_env.changed() == []


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_an_odd_key_that_a_pattern_matches_is_refused_and_does_not_stop_other_months(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    odd: OddBucket = request.getfixturevalue(kind)
    odd.put(f"{PREFIX}2021/01/a.csv", None)
    odd.put(f"{PREFIX}2021/03/a.csv", 1)
    odd.put(f"{PREFIX}2021/04/{name}.csv", 2, APRIL)
    odd.put(f"{PREFIX}2021/06/a.csv", 3)
    with pytest.raises(BucketError) as caught:
        odd.load_env.load(APRIL)
    message = str(caught.value)
    assert message.startswith(f"cannot read {odd.load_env.bucket_url}/{PREFIX}2021/04/a")
    assert message.endswith(": rename it")
    assert message.isprintable()
    odd.load_env.load("2021-01", "2021-02")
    assert APRIL in odd.load_env.changed()


def test_a_file_named_like_an_unfinished_upload_is_loaded(folder: OddBucket) -> None:
    folder.put(f"{PREFIX}2021/03/jobs.csv#1", 1)
    assert folder.load_env.load("2021-02", MARCH).loaded == 1
    assert folder.jobs() == [1]


def test_a_circular_link_is_named_and_nothing_is_loaded_twice(
    folder: OddBucket, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put(f"{PREFIX}2021/03/a.csv", 1)
    (folder.load_env.bucket_path / PREFIX / "2021/03/up").symlink_to("..")
    with caplog.at_level(logging.WARNING):
        assert folder.load_env.load("2021-02", MARCH).objects == 1
    assert f"{PREFIX}2021/03/up is a link to a folder that contains it: it is not followed" in caplog.messages


def test_a_folder_that_cannot_be_opened_stops_its_own_month_only(
    folder: OddBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put(f"{PREFIX}2021/03/a.csv", 1)
    folder.put(f"{PREFIX}2021/05/closed/a.csv", 2)
    folder.put(f"{PREFIX}closed/notes.txt", None)
    scan = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("/closed"):  # the tests may run as root, which can open every folder
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert folder.load_env.load("2021-02", MARCH).loaded == 1
    assert folder.ignored == {"closed/"}
    with pytest.raises(BucketError, match=r"2021/05/closed/: the folder cannot be opened: Permission denied"):
        folder.load_env.load("2021-05")


def test_files_next_to_the_data_are_named_and_ignored(odd: OddBucket) -> None:
    odd.put(f"{PREFIX}2021/03/a.csv", 1)
    sidecars = {
        "2021/03/a.csv.md5",
        "2021/03/.b.csv.Ab12Cd",
        "2021/03/b.csv.part",
        "2021/03/_temporary/0/c.csv",
        "2021/03/a.csv~",
    }
    for number, name in enumerate(sidecars, 2):
        odd.put(PREFIX + name, number)
    assert odd.load_env.load("2021-02", MARCH).objects == 1
    assert odd.jobs() == [1]
    assert odd.ignored == sidecars


@pytest.mark.parametrize("marker", ["jobs.csv/", "a.csv/", "", "x.csv_$folder$"])
def test_a_folder_marker_is_not_an_object(s3: OddBucket, marker: str) -> None:
    s3.put(f"{PREFIX}2021/03/a.csv", 1)
    s3.put(f"{PREFIX}2021/03/{marker}")
    assert s3.load_env.load("2021-02", MARCH).objects == 1
    assert s3.jobs() == [1]
    assert s3.load_env.changed() == []


@pytest.mark.parametrize("etags", ["none", "weak", "another when read"])
@pytest.mark.parametrize("if_match", ["honoured", "ignored"])
def test_an_overwrite_is_loaded_whatever_the_stores_etags_are(
    s3: OddBucket, etags: str, if_match: str
) -> None:
    assert s3.server is not None
    s3.server.etags, s3.server.if_match = etags, if_match  # type: ignore[assignment]
    written = datetime(2021, 4, 1, 10, 0, 0, 123000, UTC)
    key = s3.put(f"{PREFIX}2021/03/a.csv", 1, modified=written)
    s3.load_env.load("2021-02", MARCH)
    assert s3.load_env.changed() == []
    s3.put(key, 2, modified=written + timedelta(seconds=1))
    assert s3.load_env.changed() == ["2021-02", MARCH]
    s3.load_env.load("2021-02", MARCH)
    assert s3.jobs() == [2]
    assert s3.load_env.changed() == []


def test_a_store_without_etags_is_reported(s3: OddBucket, caplog: pytest.LogCaptureFixture) -> None:
    assert s3.server is not None
    s3.server.etags = "none"
    s3.put(f"{PREFIX}2021/03/a.csv", 1)
    with caplog.at_level(logging.WARNING):
        s3.load_env.load("2021-02", MARCH)
    assert caplog.messages.count(NO_ETAGS) == 1


def test_a_busy_store_makes_a_load_wait_and_report_it(
    s3: OddBucket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3.server is not None
    monkeypatch.setattr("scx_pipeline.storage.retries.FIRST_WAIT_SECONDS", 0.001)
    for number in range(1, 4):
        s3.put(f"{PREFIX}2021/03/{number}.csv", number)
    busy = iter([(503, "SlowDown")] * 12)  # more than the retries of the library
    s3.server.refuse = lambda method, key: next(busy, None) if key else None
    with caplog.at_level(logging.WARNING):
        assert s3.load_env.load("2021-02", MARCH).loaded == 3
    assert [line for line in caplog.messages if "bucket" in line] == [
        "the bucket answers 503 SlowDown; retrying for up to 180 s"
    ]
