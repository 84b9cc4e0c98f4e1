"""Keys that cannot be read, and listing stores that have them: such a key is named, and never hides the others.

What a load does with such keys is not tested here.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.storage import s3
from scx_pipeline.storage.bucket import Bucket, BucketOptions, open_bucket
from scx_pipeline.storage.object_info import printable_key, unreadable_key_reason
from scx_pipeline_tests.storage.buckets import KEYS
from scx_pipeline_tests.support.servers.odd_s3 import BUCKET, OddS3

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
def test_a_key_is_shown_on_one_printable_line(key: str) -> None:
    line = printable_key(key)
    assert not set(line) & set(map(chr, [*range(32), 127]))
    line.encode()


# Stores


def open_below(store: OddS3, below: str = "") -> Bucket:
    return open_bucket(store.url + below, BucketOptions(retry_seconds=0))


@pytest.mark.parametrize(
    "key", [key for key in REFUSED if key[0] != "/" and key.isprintable()] + ["logs/a\tb.csv"]
)
@pytest.mark.parametrize("below", ["", "/raw"])
def test_an_unreadable_key_hides_no_other_object(empty_store: OddS3, key: str, below: str) -> None:
    base = below[1:] and f"{below[1:]}/"
    empty_store.put(f"{base}logs/good.csv", b"hello")
    empty_store.put(f"{base}logs/2021/marker/", b"")
    empty_store.put(base + key, b"x")
    bucket = open_below(empty_store, below)
    found = {info.key: info for info in bucket.list_objects("logs/")}
    assert {name: info.unreadable_reason for name, info in found.items()} == {
        "logs/good.csv": "",
        key: REFUSED[key],
    }
    del empty_store.objects[base + key]
    assert bucket.list_objects("logs/") == [found["logs/good.csv"]], (
        "both ways of listing give the same result"
    )


def test_an_unreadable_key_hides_no_file_of_its_folder(empty_store: OddS3) -> None:
    for key in ("a//b.csv", "x.csv", "y\tz.csv", "logs/c.csv"):
        empty_store.put(key, b"x")
    found = {info.key: info.unreadable_reason for info in open_below(empty_store).list_files("")}
    assert found == {"x.csv": "", "y\tz.csv": r"its key has the control character \t: rename it"}
    empty_store.put("logs//", b"")
    assert [info.key for info in open_below(empty_store).list_files("logs/")] == ["logs/c.csv"]


def test_more_keys_than_a_page_are_listed_with_an_unreadable_one(empty_store: OddS3) -> None:
    for number in range(1_100):
        empty_store.put(f"logs/{number:05d}", b"x")
    empty_store.put("logs/a//b", b"x")
    assert len(open_below(empty_store).list_objects("logs/")) == 1_101


@pytest.mark.parametrize("content", [b"hello", b""])
def test_a_folder_marker_of_any_name_is_left_out(empty_store: OddS3, content: bytes) -> None:
    empty_store.put("logs/", b"")
    empty_store.put("logs/2021/", b"")
    empty_store.put("logs/alone.csv/", b"")
    empty_store.put("logs/a.csv", content)
    empty_store.put("logs/a.csv/", b"")
    empty_store.put("logs/b.csv/", b"")
    empty_store.put("logs/b.csv/c", b"x")
    empty_store.put("logs/empty.csv", b"")
    found = open_below(empty_store).list_objects("logs/")
    assert [(info.key, info.size) for info in found] == [
        ("logs/a.csv", len(content)),
        ("logs/b.csv/c", 1),
        ("logs/empty.csv", 0),
    ]


def test_an_empty_object_that_may_not_be_read_hides_no_other_object(empty_store: OddS3) -> None:
    empty_store.put("logs/a.csv", b"x")
    empty_store.put("logs/empty.csv", b"")
    empty_store.refuse = lambda method, key: (403, "AccessDenied") if key == "logs/empty.csv" else None
    assert [info.key for info in open_below(empty_store).list_objects("logs/")] == [
        "logs/a.csv",
        "logs/empty.csv",
    ]


def test_an_object_without_an_etag_has_its_modification_time_instead(empty_store: OddS3) -> None:
    empty_store.etags = "none"
    empty_store.put("a", b"x", datetime(2021, 3, 5, 10, 0, 0, 123000, UTC))
    [info] = open_below(empty_store).list_objects("")
    assert info.etag == "@2021-03-05T10:00:00.123000+00:00"
    empty_store.put("a", b"y", datetime(2021, 3, 5, 10, 0, 1, 123000, UTC))
    assert open_below(empty_store).list_objects("")[0].etag != info.etag


def test_a_listing_by_botocore_reads_the_credentials_again(
    store: OddS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert [item["path"] for item in s3.list_any_keys(BUCKET, "logs/")] == KEYS
        assert f"Credential={key}/" in store.requests[-1][2]["Authorization"]
