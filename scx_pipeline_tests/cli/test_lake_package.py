"""`scx lake package`: what it uploads, and how a build finds it; no package index is used."""

from __future__ import annotations

import tarfile
from pathlib import Path

import obstore
import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.spark import code_archive, package
from scx_pipeline.lake.spark.package import WorkerPlatform
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline_tests.support.scx_command import Scx


@pytest.fixture
def fetch_requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace fetching packages by writing one small file, and return the requested targets."""
    requests: list[str] = []

    def fetch(packages: list[str], target: WorkerPlatform, folder: Path) -> None:
        requests.append(f"{target}: {len(packages)}")
        (folder / "one.py").write_text("one = 1\n")

    monkeypatch.setattr(package, "_download", fetch)
    return requests


def test_package_uploads_the_archive_once(
    scx: Scx, fetch_requests: list[str], s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_SPARK_CODE", f"{s3_bucket}/code/")
    first, again = scx("lake", "package"), scx("lake", "package")
    assert (first.code, again.code) == (0, 0), first.err
    assert "uploaded, " in first.out
    assert "exists already, for Python 3.11 on x86_64" in again.out
    assert len(fetch_requests) == 1
    found = code_archive.open_code(f"{s3_bucket}/code").find()
    store = open_s3(s3_bucket.removeprefix("s3://"), "code")
    assert {item["path"] for item in store.list().collect()} == {
        found.archive.rpartition("/")[2], found.entry.rpartition("/")[2],
    }  # fmt: skip
    entry = bytes(store.get(found.entry.rpartition("/")[2]).bytes())
    assert b"from scx_pipeline.lake.spark.job import main" in entry
    assert found.python == "/usr/bin/python3.11"


def test_find_returns_the_archive_for_the_workers_python_and_processor(
    scx: Scx, fetch_requests: list[str], s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_SPARK_CODE", s3_bucket)
    assert scx("lake", "package", "--python", "3.12", "--architecture", "arm64").code == 0
    code = code_archive.open_code(s3_bucket)
    assert code.find(["arm64"]).python == "/usr/bin/python3.12"
    with pytest.raises(LakeError, match="no archive of this version for x86_64: run `scx lake package"):
        code.find(["x86_64"])
    [archive, _] = code_archive.names_of(WorkerPlatform("3.12", "arm64"))
    obstore.delete(open_s3(s3_bucket.removeprefix("s3://")), archive)
    with pytest.raises(LakeError, match="for x86_64 or arm64: run `scx lake package`; nothing was changed"):
        code.find()


def test_package_with_out_writes_a_file_and_uploads_nothing(
    scx: Scx, fetch_requests: list[str], tmp_path: Path
) -> None:
    result = scx("lake", "package", "--out", str(tmp_path / "a.tar.gz"))
    assert result.code == 0, result.err
    assert "upload it to SCX_SPARK_CODE as environment-" in result.out.replace("\n", " ")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert {"one.py", "scx_pipeline/lake/spark/job.py"} <= set(archive.getnames())


def test_package_without_a_code_url_explains_how_to_set_one(scx: Scx) -> None:
    result = scx("lake", "package")
    assert result.code != 0
    assert "SCX_SPARK_CODE is not set: write s3://bucket/prefix, such as s3://scx-logs" in result.err
