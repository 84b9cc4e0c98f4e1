"""Temporary folders: who may read them, and that none remains of a process that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from scx_pipeline.storage.bucket import BucketOptions, open_bucket
from scx_pipeline.storage.temporary_folder import LOCK, create_private_folder, temporary_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline_tests.support.servers.odd_s3 import odd_s3


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of the test's own."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    return path


@pytest.fixture(autouse=True)
def open_handed() -> object:
    """A process whose files are readable and writable by everybody by default."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def long_ago(path: Path) -> None:
    os.utime(path, (time.time() - 3600, time.time() - 3600))


def killed(temporary: Path) -> Path:
    """The folder of a process that was killed with a file in it."""
    code = (
        "import os, signal\nfrom scx_pipeline.storage.temporary_folder import temporary_folder\n"
        "with temporary_folder() as folder:\n    (folder / 'rows').write_bytes(b'x')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(temporary)}, check=False
    )
    assert finished.returncode == -9
    [left] = temporary.iterdir()
    assert (left / "rows").exists()
    return left


def test_a_folder_is_private_and_removed_at_the_end(temporary: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == temporary
        assert (mode(folder), mode(folder / LOCK)) == (0o700, 0o600)
    assert list(temporary.iterdir()) == []


def test_the_files_of_a_killed_process_are_removed_by_the_next_one(temporary: Path) -> None:
    left = killed(temporary)
    long_ago(left)
    with temporary_folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_a_recently_created_folder_is_not_removed(temporary: Path) -> None:
    left = killed(temporary)
    with temporary_folder():
        assert left.exists()


def test_a_folder_that_is_in_use_is_not_removed_however_old_it_is() -> None:
    with temporary_folder() as one:
        long_ago(one)
        with temporary_folder():
            assert one.exists()


@pytest.mark.parametrize("file", ["lock", "rows"])
def test_a_folder_of_another_program_is_not_removed(temporary: Path, file: str) -> None:
    other = temporary / "scx-of-another-user"
    other.mkdir()
    (other / file).write_bytes(b"x")
    long_ago(other)
    with temporary_folder():
        assert (other / file).exists()


def test_a_lock_that_is_a_link_is_not_followed(temporary: Path) -> None:
    (temporary / "elsewhere").write_bytes(b"x")
    other = temporary / "scx-trap"
    other.mkdir()
    (other / LOCK).symlink_to(temporary / "elsewhere")
    long_ago(other)
    with temporary_folder():
        assert other.exists()


def test_downloaded_objects_are_private(monkeypatch: pytest.MonkeyPatch) -> None:
    with odd_s3() as store:
        for name, value in store.environment().items():
            monkeypatch.setenv(name, value)
        store.put("a.csv", b"x")
        bucket = open_bucket(store.url, BucketOptions(retry_seconds=0))
        with bucket.fetch_files([bucket.list_objects("")]) as batches:
            [file] = next(batches)
            assert mode(file.path) == 0o600
            assert mode(file.path.parent.parent) == 0o700


def test_created_folders_are_private_and_existing_ones_unchanged(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    create_private_folder(tmp_path / "there" / "a" / "b")
    create_private_folder(tmp_path / "there")
    assert [mode(tmp_path / name) for name in ("there", "there/a", "there/a/b")] == [0o755, 0o700, 0o700]


def test_a_warehouse_file_is_private_when_it_is_created(tmp_path: Path) -> None:
    path = tmp_path / "home" / "dev.duckdb"
    warehouse = open_warehouse(f"duckdb://{path}", Limits())
    with warehouse.transaction("scx"):
        pass
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    path.chmod(0o644)
    with warehouse.transaction("scx"):
        pass
    assert mode(path) == 0o644, "the owner may share it"
    duckdb.connect(path).close()
