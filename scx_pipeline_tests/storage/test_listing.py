"""Listing with unusual keys and entries: an unreadable one is named, and never hides the others.

What a load does with them is tested with the formats.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.bucket import Bucket, BucketOptions, open_bucket
from scx_pipeline.storage.folder import list_folder
from scx_pipeline.storage.object_info import ObjectInfo, printable_key, unreadable_key_reason
from scx_pipeline_tests.support.servers.odd_s3 import OddS3, odd_s3

REFUSED = {
    "logs/a\tb.csv": r"its key has the control character \t: rename it",
    "logs/a\nb.csv": r"its key has the control character \n: rename it",
    "logs/a\x01b.csv": r"its key has the control character \x01: rename it",
    "logs/a\x7fb.csv": r"its key has the control character \x7f: rename it",
    "logs/\tx/a.csv": r"its key has the control character \t: rename it",
    "logs//a.csv": "a part of its key is empty: rename it",
    "/a.csv": "a part of its key is empty: rename it",
    "logs/./a.csv": "a part of its key is .: rename it",
    "logs/../a.csv": "a part of its key is ..: rename it",
    "logs/..": "a part of its key is ..: rename it",
    "logs/a\udcffb.csv": "its key has bytes that are not UTF-8: rename it",
}
READ = [
    "a.csv",
    "logs/...",
    "logs/.a/b",
    "logs/a..b",
    "logs/..a/b",
    "a\u200db",
    "größe/日本 ☂.csv",
    "#1",
    "a\\b",
]


@pytest.mark.parametrize("key", REFUSED)
def test_an_unreadable_key_is_refused_with_a_reason(key: str) -> None:
    assert unreadable_key_reason(key) == REFUSED[key]


@pytest.mark.parametrize("key", READ)
def test_any_other_key_is_read(key: str) -> None:
    assert unreadable_key_reason(key) == ""


@given(st.text(st.characters(exclude_categories=[])))
def test_a_key_is_shown_on_one_line_that_can_be_printed(key: str) -> None:
    line = printable_key(key)
    assert not set(line) & set(map(chr, [*range(32), 127]))
    line.encode()


# Folders


def listed(folder: Path, prefix: str = "") -> dict[str, ObjectInfo]:
    return {info.key: info for info in open_bucket(folder.as_uri()).list_objects(prefix)}


def keys(folder: Path, prefix: str = "") -> dict[str, str]:
    return {key: info.unreadable_reason for key, info in listed(folder, prefix).items()}


@pytest.mark.parametrize("modified", [0, 1, 1_600_000_000_123_456_789, -1_500])
def test_a_files_etag_keeps_earlier_fingerprints_valid(tmp_path: Path, modified: int) -> None:
    """Otherwise every month of every folder bucket would be due again."""
    (tmp_path / "a b.csv").write_bytes(b"hello")
    os.utime(tmp_path / "a b.csv", ns=(1, modified))
    [meta] = LocalStore(tmp_path).list().collect()
    info = listed(tmp_path)["a b.csv"]
    assert (info.etag, info.size, info.last_modified) == (meta["e_tag"], meta["size"], meta["last_modified"])


@pytest.mark.parametrize(
    "name", ["a\tb.csv", "a\nb.csv", "a\x01b.csv", "a\x7fb.csv", os.fsdecode(b"a\xffb.csv")]
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_name_that_cannot_be_read_hides_no_other(tmp_path: Path, name: str, kind: str) -> None:
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


def test_what_a_link_leads_to_is_listed_once_and_a_loop_is_named(tmp_path: Path) -> None:
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


def test_a_link_to_nothing_hides_no_other_and_could_be_a_file_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "03").symlink_to(tmp_path / "unmounted")
    (tmp_path / "a.csv").write_bytes(b"x")
    why = "it is a link to nothing: restore its target, or remove it"
    assert keys(tmp_path) == {"03": why, "03/": why, "a.csv": ""}


def test_a_prefix_that_is_not_there_has_no_files(tmp_path: Path) -> None:
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
def test_a_folder_that_may_not_be_opened_is_an_error_and_not_empty(
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


def test_files_that_are_deep_below_are_listed(tmp_path: Path) -> None:
    deep, path = "/".join("d" * 1_010), str(tmp_path)
    for name in deep.split("/"):
        path = f"{path}/{name}"
        os.mkdir(path)  # noqa: PTH102  (a Path would look at each of its parts again)
    (tmp_path / deep / "a.csv").write_bytes(b"x")
    try:
        assert list(keys(tmp_path)) == [f"{deep}/a.csv"]
    finally:  # Python's own way of removing it goes no deeper than its stack
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_folder_that_cannot_be_opened_is_named_and_hides_no_other(
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
        listed(tmp_path, "closed/")


# Stores


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddS3]:
    """A server that has any keys, and AWS's settings for it."""
    with odd_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def opened(store: OddS3, below: str = "") -> Bucket:
    return open_bucket(store.url + below, BucketOptions(retry_seconds=0))


@pytest.mark.parametrize(
    "key", [key for key in REFUSED if key[0] != "/" and key.isprintable()] + ["logs/a\tb.csv"]
)
@pytest.mark.parametrize("below", ["", "/raw"])
def test_a_key_that_cannot_be_read_hides_no_other(store: OddS3, key: str, below: str) -> None:
    base = below[1:] and f"{below[1:]}/"
    store.put(f"{base}logs/good.csv", b"hello")
    store.put(f"{base}logs/2021/marker/", b"")
    store.put(base + key, b"x")
    bucket = opened(store, below)
    found = {info.key: info for info in bucket.list_objects("logs/")}
    assert {name: info.unreadable_reason for name, info in found.items()} == {
        "logs/good.csv": "",
        key: REFUSED[key],
    }
    del store.objects[base + key]
    assert bucket.list_objects("logs/") == [found["logs/good.csv"]], (
        "both ways of listing give the same result"
    )


def test_more_keys_than_a_page_are_listed_with_an_unreadable_one(store: OddS3) -> None:
    for number in range(1_100):
        store.put(f"logs/{number:05d}", b"x")
    store.put("logs/a//b", b"x")
    assert len(opened(store).list_objects("logs/")) == 1_101


@pytest.mark.parametrize("content", [b"hello", b""])
def test_a_marker_of_a_folder_is_left_out_whatever_its_name_is(store: OddS3, content: bytes) -> None:
    store.put("logs/", b"")
    store.put("logs/2021/", b"")
    store.put("logs/alone.csv/", b"")
    store.put("logs/a.csv", content)
    store.put("logs/a.csv/", b"")
    store.put("logs/b.csv/", b"")
    store.put("logs/b.csv/c", b"x")
    store.put("logs/empty.csv", b"")
    found = opened(store).list_objects("logs/")
    assert [(info.key, info.size) for info in found] == [
        ("logs/a.csv", len(content)),
        ("logs/b.csv/c", 1),
        ("logs/empty.csv", 0),
    ]


def test_an_empty_object_that_may_not_be_read_hides_no_other(store: OddS3) -> None:
    store.put("logs/a.csv", b"x")
    store.put("logs/empty.csv", b"")
    store.refuse = lambda method, key: (403, "AccessDenied") if key == "logs/empty.csv" else None
    assert [info.key for info in opened(store).list_objects("logs/")] == ["logs/a.csv", "logs/empty.csv"]


def test_an_object_without_an_etag_has_the_time_it_was_modified_instead(store: OddS3) -> None:
    store.etags = "none"
    store.put("a", b"x", datetime(2021, 3, 5, 10, 0, 0, 123000, UTC))
    [info] = opened(store).list_objects("")
    assert info.etag == "@2021-03-05T10:00:00.123000+00:00"
    store.put("a", b"y", datetime(2021, 3, 5, 10, 0, 1, 123000, UTC))
    assert opened(store).list_objects("")[0].etag != info.etag
