"""`scx lake package`: what it puts where, and that a build finds it; no index is asked.
What is in the archive is tested in spark/packaged."""

from __future__ import annotations

import tarfile
from pathlib import Path

import obstore
import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.spark import code_archive, package
from scx_pipeline.lake.spark.package import Target
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline_tests.cli.conftest import Scx


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Archives that are asked for, with one small file in the place of packages."""
    asked: list[str] = []

    def fetch(packages: list[str], target: Target, folder: Path) -> None:
        asked.append(f"{target}: {len(packages)}")
        (folder / "one.py").write_text("one = 1\n")

    monkeypatch.setattr(package, "_fetch", fetch)
    return asked


def test_the_command_puts_it_there_once(
    scx: Scx, fetched: list[str], s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_SPARK_CODE", f"{s3_bucket}/code/")
    first, again = scx("lake", "package"), scx("lake", "package")
    assert (first.code, again.code) == (0, 0), first.err
    assert "put there, " in first.out
    assert "is there already, for Python 3.11 on x86_64" in again.out
    assert len(fetched) == 1
    found = code_archive.open_code(f"{s3_bucket}/code").find()
    store = open_s3(s3_bucket.removeprefix("s3://"), "code")
    assert {item["path"] for item in store.list().collect()} == {
        found.archive.rpartition("/")[2], found.entry.rpartition("/")[2],
    }  # fmt: skip
    entry = bytes(store.get(found.entry.rpartition("/")[2]).bytes())
    assert b"from scx_pipeline.lake.spark.job import main" in entry
    assert found.python == "/usr/bin/python3.11"


def test_a_build_finds_the_python_and_the_processor_it_was_made_for(
    scx: Scx, fetched: list[str], s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_SPARK_CODE", s3_bucket)
    assert scx("lake", "package", "--python", "3.12", "--architecture", "arm64").code == 0
    place = code_archive.open_code(s3_bucket)
    assert place.find(["arm64"]).python == "/usr/bin/python3.12"
    with pytest.raises(LakeError, match="no archive of this version for x86_64: run `scx lake package"):
        place.find(["x86_64"])
    [archive, _] = code_archive.names_of(Target("3.12", "arm64"))
    obstore.delete(open_s3(s3_bucket.removeprefix("s3://")), archive)
    with pytest.raises(LakeError, match="for x86_64 or arm64: run `scx lake package`; nothing was changed"):
        place.find()


def test_a_file_is_written_and_nothing_put_there(scx: Scx, fetched: list[str], tmp_path: Path) -> None:
    told = scx("lake", "package", "--out", str(tmp_path / "a.tar.gz"))
    assert told.code == 0, told.err
    assert "put it into SCX_SPARK_CODE as environment-" in told.out.replace("\n", " ")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert {"one.py", "scx_pipeline/lake/spark/job.py"} <= set(archive.getnames())


def test_without_a_place_it_is_said_how_to_name_one(scx: Scx) -> None:
    told = scx("lake", "package")
    assert told.code != 0
    assert "SCX_SPARK_CODE is not set: write s3://bucket/prefix, such as s3://scx-logs" in told.err
