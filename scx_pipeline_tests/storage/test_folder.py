"""Listing folders with unusual names, links and rights: an unreadable entry is named, and never hides the others.

What a load does with such entries is not tested here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from obstore.store import LocalStore

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.storage.folder import list_folder
from scx_pipeline.storage.object_info import ObjectInfo


def list_by_key(folder: Path, prefix: str = "") -> dict[str, ObjectInfo]:
    """List the objects of a folder by their keys."""
    return {info.key: info for info in open_bucket(folder.as_uri()).list_objects(prefix)}


def keys(folder: Path, prefix: str = "") -> dict[str, str]:
    return {key: info.unreadable_reason for key, info in list_by_key(folder, prefix).items()}


@pytest.mark.parametrize("modified", [0, 1, 1_600_000_000_123_456_789, -1_500])
def test_a_files_etag_keeps_earlier_fingerprints_valid(tmp_path: Path, modified: int) -> None:
    """Otherwise every month of every folder bucket would be due again."""
    (tmp_path / "a b.csv").write_bytes(b"hello")
    os.utime(tmp_path / "a b.csv", ns=(1, modified))
    [meta] = LocalStore(tmp_path).list().collect()
    info = list_by_key(tmp_path)["a b.csv"]
    assert (info.etag, info.size, info.last_modified) == (meta["e_tag"], meta["size"], meta["last_modified"])


@pytest.mark.parametrize(
    "name", ["a\tb.csv", "a\nb.csv", "a\x01b.csv", "a\x7fb.csv", os.fsdecode(b"a\xffb.csv")]
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_unreadable_name_hides_no_other_file(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/good.csv").write_bytes(b"x")
    unusual = tmp_path / "logs" / name if kind == "file" else tmp_path / "logs" / name / "x.csv"
    unusual.parent.mkdir(exist_ok=True)
    unusual.write_bytes(b"x")
    found = keys(tmp_path, "logs/")
    assert found.pop("logs/good.csv") == ""
    [(key, why)] = found.items()
    assert key == str(unusual.relative_to(tmp_path))
    assert why.startswith("its key has ")


def test_a_file_named_like_an_unfinished_upload_is_listed(tmp_path: Path) -> None:
    for name in ("jobs.csv#1", "#2"):
        (tmp_path / name).write_bytes(b"x")
    assert keys(tmp_path) == {"#2": "", "jobs.csv#1": ""}


def test_the_target_of_a_link_is_listed_once_and_a_loop_is_named(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/a.csv").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.csv").write_bytes(b"x")
    (tmp_path / "in/loop").symlink_to("..", target_is_directory=True)
    (tmp_path / "in/deep/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/none").symlink_to("nowhere")
    lines: list[str] = []
    # From below: the first loop leads to a folder that was not entered, and is one only from within.
    found = [info.key for info in list_folder(tmp_path / "in", "", lines.append)]
    assert {"deep/a.csv", "other/b.csv"} <= set(found)
    assert "deep/up is a link to a folder that contains it: it is not followed" in lines
    assert all(line.endswith(" is a link to a folder that contains it: it is not followed") for line in lines)


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "a.csv").write_bytes(b"x")
    assert keys(tmp_path) == {
        "a.csv": "",
        "self": "it cannot be inspected: Too many levels of symbolic links; let this user read it, or move it away",
    }


def test_a_broken_link_hides_no_other_file_and_is_listed_as_a_file_and_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "03").symlink_to(tmp_path / "unmounted")
    (tmp_path / "a.csv").write_bytes(b"x")
    why = "it is a link to nothing: restore its target, or remove it"
    assert keys(tmp_path) == {"03": why, "03/": why, "a.csv": ""}


def test_a_missing_prefix_has_no_files(tmp_path: Path) -> None:
    assert list(list_folder(tmp_path, "in/deep", [].append)) == []


def _removed(folder: Path) -> None:
    folder.rmdir()


def _link_to_nothing(folder: Path) -> None:
    (folder / "in").symlink_to(folder / "unmounted")


def _link_to_itself(folder: Path) -> None:
    (folder / "in").symlink_to("in")


def _file_in_its_place(folder: Path) -> None:
    (folder / "in").write_bytes(b"x")


@pytest.mark.parametrize("prefix", ["in", "in/deep/"])
@pytest.mark.parametrize("change", [_removed, _link_to_nothing, _link_to_itself, _file_in_its_place])
def test_a_folder_that_cannot_be_reached_is_an_error_and_never_an_empty_one(
    tmp_path: Path, prefix: str, change: Callable[[Path], None]
) -> None:
    (tmp_path / "bucket").mkdir()
    bucket = open_bucket((tmp_path / "bucket").as_uri())
    change(tmp_path / "bucket")
    with pytest.raises(BucketError, match="^cannot list .*: restore .*, or let this user read it$"):
        bucket.list_objects(prefix)


@pytest.mark.parametrize("refused", ["bucket", "bucket/in"])
def test_a_folder_without_permission_is_an_error_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    (tmp_path / "bucket").mkdir()
    bucket = open_bucket((tmp_path / "bucket").as_uri())
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, denying(getattr(os, name), str(tmp_path / refused)))
    with pytest.raises(
        BucketError, match=f"Permission denied: restore .*{refused}, or let this user read it"
    ):
        bucket.list_objects("in/deep")


def denying(look: Callable[[str], os.stat_result], refused: str) -> Callable[[str], os.stat_result]:
    """Return a function that refuses one path, since the tests may run as root, which can open every folder."""

    def asked(path: str) -> os.stat_result:
        if str(path) == refused:
            raise PermissionError(13, "Permission denied", path)
        return look(path)

    return asked


def test_deeply_nested_files_are_listed(tmp_path: Path) -> None:
    deep, path = "/".join("d" * 1_010), str(tmp_path)
    for name in deep.split("/"):
        path = f"{path}/{name}"
        os.mkdir(path)  # noqa: PTH102  (a Path would look at each of its parts again)
    (tmp_path / deep / "a.csv").write_bytes(b"x")
    try:
        assert list(keys(tmp_path)) == [f"{deep}/a.csv"]
    finally:  # Python's own way of removing it goes no deeper than its stack
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_folder_that_cannot_be_opened_is_named_and_hides_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("closed", "open"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_bytes(b"x")
    scan = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if path.endswith("/closed"):  # the user who runs the tests may be allowed to open every folder
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert keys(tmp_path) == {
        "closed/": "the folder cannot be opened: Permission denied; let this user read it, or move it away",
        "open/a.csv": "",
    }
    with pytest.raises(BucketError, match=r"cannot list .*/closed/: .*Permission denied"):
        list_by_key(tmp_path, "closed/")
