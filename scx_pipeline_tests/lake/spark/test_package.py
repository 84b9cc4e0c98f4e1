"""The archive of a job on EMR: what decides what is in it, and what is said where it cannot be made. No index is asked.
The archive itself is looked into in spark/packaged; the command, in cli/test_lake_package.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.spark import package
from scx_pipeline.lake.spark.package import Target, digest, make_archive, pinned, reason_of_pip


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Archives that are asked for, with one small file in the place of packages."""
    asked: list[str] = []

    def fetch(packages: list[str], target: Target, folder: Path) -> None:
        asked.append(f"{target}: {len(packages)}")
        (folder / "one.py").write_text("one = 1\n")

    monkeypatch.setattr(package, "_fetch", fetch)
    return asked


def test_the_same_files_give_the_same_bytes(fetched: list[str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.tar.gz", "b.tar.gz")]
    for file in files:
        make_archive(Target(), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == files


def test_another_python_processor_package_or_file_is_another_archive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    versions = [digest(Target()), digest(Target("3.12")), digest(Target(architecture="arm64"))]
    assert digest(Target()) == versions[0]
    with monkeypatch.context() as patch:
        patch.setattr(package, "pinned", lambda target: ["duckdb==1"])
        versions.append(digest(Target()))
    with monkeypatch.context() as patch:
        (tmp_path / "more.sql").write_text("SELECT 1")
        patch.setattr(package, "own_files", lambda: [tmp_path / "more.sql"])
        patch.setattr(package, "PACKAGE", tmp_path)
        versions.append(digest(Target()))
    assert len(set(versions)) == len(versions)


def test_packages_are_those_that_are_imported_and_what_they_need() -> None:
    found = {line.partition("==")[0]: line.partition("==")[2] for line in pinned(Target())}
    assert {"duckdb", "botocore", "pydantic-core", "s3transfer", "typing-extensions", "pyyaml"} <= set(found)
    assert not {"dagster", "pyspark", "psycopg2-binary", "matplotlib", "moto"} & set(found)
    from importlib.metadata import version

    assert found["duckdb"] == version("duckdb")


def test_a_package_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "ROOTS", ("scx-nothing-of-the-kind",))
    with pytest.raises(LakeError, match="the workers need the package scx-nothing-of-the-kind.*pip install"):
        pinned(Target())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/usr/bin/python: No module named pip", "there is no pip in this Python: python -m ensurepip"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: Could not find a version (from versions: none)\nERROR: No matching distribution found for x==1", "the package index cannot be reached"),
        ("ERROR: Could not find a version\nERROR: No matching distribution found for x==1", "No matching distribution found for x==1: install another version of it here, or take another --python"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", "No space left on device"),
        ("", "no reason"),
    ],
)  # fmt: skip
def test_what_pip_says_is_one_line_with_what_to_do(text: str, told: str) -> None:
    assert told in reason_of_pip(text)
    assert "\n" not in reason_of_pip(text)


def test_without_pip_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(package, "_PIP", (sys.executable, "-S", "-m", "pip"))
    with pytest.raises(
        LakeError, match="cannot fetch the packages for Python 3.11 on x86_64: there is no pip"
    ):
        make_archive(Target(), tmp_path / "a.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "1",
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LakeError, match="the package index cannot be reached: see the network"):
        make_archive(Target(), tmp_path / "a.tar.gz")


def test_where_it_cannot_be_written_is_told(fetched: list[str], tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"cannot write .*/no/a.tar.gz: No such file or directory"):
        make_archive(Target(), tmp_path / "no" / "a.tar.gz")
