"""Opening a bucket by its URL and listing it, as a folder and as a store in memory.

Unreadable keys, and stores that refuse requests, are not tested here.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.bucket import Bucket, create_bucket, open_bucket
from scx_pipeline_tests.storage.buckets import fetch_contents, folder_bucket, memory_bucket, put


def test_every_object_below_the_prefix_is_listed_in_the_order_of_the_keys(bucket: Bucket) -> None:
    for key in ("logs/b", "logs/a/z", "logs/a.csv", "other/a", "logs2/a", "logs/B"):
        put(bucket, key, key.encode())
    assert [item.key for item in bucket.list_objects("logs/")] == [
        "logs/B",
        "logs/a.csv",
        "logs/a/z",
        "logs/b",
    ]


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(bucket: Bucket) -> None:
    put(bucket, "foo/a", b"")
    put(bucket, "foobar/a", b"")
    assert [item.key for item in bucket.list_objects("foo/")] == ["foo/a"]


def test_an_empty_prefix_lists_all(bucket: Bucket) -> None:
    put(bucket, "a", b"")
    put(bucket, "b/c", b"")
    assert [item.key for item in bucket.list_objects("")] == ["a", "b/c"]


def test_the_files_of_a_folder_are_listed_without_those_of_the_folders_in_it(bucket: Bucket) -> None:
    for key in ("a", "b/c", "b/d/e", "b2/x"):
        put(bucket, key, b"")
    assert [item.key for item in bucket.list_files("")] == ["a"]
    assert [item.key for item in bucket.list_files("b/")] == ["b/c"]
    assert bucket.list_files("nothing/") == []


def test_a_prefix_without_objects_gives_an_empty_list_and_no_error(bucket: Bucket) -> None:
    assert bucket.list_objects("nothing/") == []


def test_an_object_without_content_is_listed_with_its_size(bucket: Bucket) -> None:
    put(bucket, "empty.csv", b"")
    put(bucket, "full.csv", b"12345")
    assert [(item.key, item.size) for item in bucket.list_objects("")] == [("empty.csv", 0), ("full.csv", 5)]


def test_folders_are_not_objects(tmp_path: Path) -> None:
    bucket = folder_bucket(tmp_path, {"logs/a.csv": b""})
    (tmp_path / "logs" / "2021").mkdir()
    assert [item.key for item in bucket.list_objects("logs/")] == ["logs/a.csv"]


def test_more_objects_than_a_page_are_all_listed() -> None:
    bucket = memory_bucket(**{f"logs/{number:05d}": b"" for number in range(5_100)})
    assert [item.key for item in bucket.list_objects("logs/")] == [
        f"logs/{number:05d}" for number in range(5_100)
    ]


def test_folders_are_listed_in_parallel_and_returned_in_one_order(bucket: Bucket) -> None:
    keys = [f"{letter}/{number}/x.json" for letter in "BAC" for number in (2, 1)] + ["top.json"]
    for key in keys:
        put(bucket, key, b"{}")
    assert [info.key for info in bucket.list_objects("")] == sorted(keys)
    assert [info.key for info in bucket.list_objects("B/")] == ["B/1/x.json", "B/2/x.json"]


def test_an_overwritten_object_has_another_etag(bucket: Bucket) -> None:
    put(bucket, "a", b"one")
    [before] = bucket.list_objects("")
    put(bucket, "a", b"two")
    if bucket.folder is not None:
        os.utime(bucket.folder / "a", (1, 1))  # however coarse the file system's clock is
    [after] = bucket.list_objects("")
    assert before.etag != after.etag
    assert before.size == after.size


# URLs


@pytest.mark.parametrize("name", ["plain", "with space", "100% größe", "a#b?c", "a%20b"])
def test_a_folder_of_any_name_is_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir()
    (path / "a.csv").write_bytes(b"x")
    bucket = open_bucket(path.as_uri())
    assert fetch_contents(bucket, bucket.list_objects("")) == [[b"x"]]
    assert bucket.uri("a.csv") == f"{path.as_uri()}/a.csv"


@pytest.mark.parametrize(
    "url", ["", "/folder", "folder", "http://host/x", "s3://", "s3:///x", "file://host/folder", "gs://bucket"]
)
def test_an_invalid_bucket_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(BucketError, match="write file:///folder or s3://bucket"):
        open_bucket(url)


def test_a_missing_folder_is_reported_and_may_be_created(tmp_path: Path) -> None:
    url = (tmp_path / "new" / "bucket").as_uri()
    with pytest.raises(BucketError, match="is not a folder: create it, or set SCX_BUCKET_URL"):
        open_bucket(url)
    assert create_bucket(url).list_objects("") == []
    assert open_bucket(url).list_objects("") == []


def test_a_file_is_not_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BucketError, match="is not a folder"):
        open_bucket((tmp_path / "file").as_uri())
    with pytest.raises(BucketError, match="cannot create the bucket"):
        create_bucket((tmp_path / "file").as_uri())


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("value", ["", "s3.example.com"])
def test_an_endpoint_that_is_not_a_url_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    with pytest.raises(BucketError, match=f"{name} is '{value}': give a URL, such as https://"):
        open_bucket("s3://scx-raw")
