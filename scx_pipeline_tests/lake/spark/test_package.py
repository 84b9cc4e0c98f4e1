"""The archive of a job on EMR: what determines its contents, and errors while it is built.

No package index is used here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.spark import package
from scx_pipeline.lake.spark.package import (
    WorkerPlatform,
    build_archive,
    digest,
    find_pip_reason,
    pin_packages,
)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requested downloads, each replaced by one small file instead of the packages."""
    requests: list[str] = []

    def download(packages: list[str], target: WorkerPlatform, folder: Path) -> None:
        requests.append(f"{target}: {len(packages)}")
        (folder / "one.py").write_text("one = 1\n")

    monkeypatch.setattr(package, "_download", download)
    return requests


def test_the_same_files_give_the_same_bytes(downloads: list[str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.tar.gz", "b.tar.gz")]
    for file in files:
        build_archive(WorkerPlatform(), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == files


def test_python_processor_packages_and_files_determine_the_archive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    versions = [
        digest(WorkerPlatform()),
        digest(WorkerPlatform("3.12")),
        digest(WorkerPlatform(architecture="arm64")),
    ]
    assert digest(WorkerPlatform()) == versions[0]
    with monkeypatch.context() as patch:
        patch.setattr(package, "pin_packages", lambda target: ["duckdb==1"])
        versions.append(digest(WorkerPlatform()))
    with monkeypatch.context() as patch:
        (tmp_path / "more.sql").write_text("SELECT 1")
        patch.setattr(package, "project_files", lambda: [tmp_path / "more.sql"])
        patch.setattr(package, "PACKAGE", tmp_path)
        versions.append(digest(WorkerPlatform()))
    assert len(set(versions)) == len(versions)


def test_packages_include_the_requirements_of_imported_packages() -> None:
    found = {line.partition("==")[0]: line.partition("==")[2] for line in pin_packages(WorkerPlatform())}
    assert {"duckdb", "botocore", "pydantic-core", "s3transfer", "typing-extensions", "pyyaml"} <= set(found)
    assert not {"dagster", "pyspark", "psycopg2-binary", "matplotlib", "moto"} & set(found)
    from importlib.metadata import version

    assert found["duckdb"] == version("duckdb")


def test_a_package_that_is_not_installed_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "ROOTS", ("scx-nothing-of-the-kind",))
    with pytest.raises(LakeError, match="the workers need the package scx-nothing-of-the-kind.*pip install"):
        pin_packages(WorkerPlatform())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/usr/bin/python: No module named pip", "this Python has no pip: run python -m ensurepip"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: Could not find a version (from versions: none)\nERROR: No matching distribution found for x==1", "the package index cannot be reached"),
        ("ERROR: Could not find a version\nERROR: No matching distribution found for x==1", "No matching distribution found for x==1: install another version of it here, or use another --python"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", "No space left on device"),
        ("", "no reason"),
    ],
)  # fmt: skip
def test_a_pip_error_is_one_line_with_advice(text: str, message: str) -> None:
    assert message in find_pip_reason(text)
    assert "\n" not in find_pip_reason(text)


def test_the_error_without_pip_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(package, "_PIP", (sys.executable, "-S", "-m", "pip"))
    with pytest.raises(
        LakeError, match="cannot download the packages for Python 3.11 on x86_64: this Python has no pip"
    ):
        build_archive(WorkerPlatform(), tmp_path / "a.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_the_error_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "1",
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LakeError, match="the package index cannot be reached: check the network"):
        build_archive(WorkerPlatform(), tmp_path / "a.tar.gz")


def test_an_archive_that_cannot_be_written_is_reported(downloads: list[str], tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"cannot write .*/no/a.tar.gz: No such file or directory"):
        build_archive(WorkerPlatform(), tmp_path / "no" / "a.tar.gz")
