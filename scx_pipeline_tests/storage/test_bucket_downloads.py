"""Fetching objects to local files: their names, batches, and objects that change after the listing.

What a reader finds in the files is not tested here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import BucketError, SourceFileError
from scx_pipeline.parsing.csv.csv_header import Header, read_header
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline_tests.storage.buckets import (
    ODD_KEYS,
    delete,
    fetch_contents,
    folder_bucket,
    memory_bucket,
    put,
)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_survives_a_round_trip(bucket: Bucket, key: str) -> None:
    put(bucket, key, key.encode())
    listed = bucket.list_objects("")
    assert [item.key for item in listed] == [key]
    assert fetch_contents(bucket, listed) == [[key.encode()]]


def test_local_files_have_safe_names_whose_suffix_gives_the_compression(bucket: Bucket) -> None:
    for key in ("1 it's.csv", "2.csv.gz", "3.GZIP", "4.zst", "5.csv.zstd", "6.gz.csv"):
        put(bucket, key, b"x")
    with bucket.fetch_files([bucket.list_objects("")]) as batches:
        files = next(batches)
        assert [file.suffix for file in files] == ["", ".gz", ".gz", ".zst", ".zst", ""]
        assert all(file.path.suffix == file.suffix for file in files if file.suffix)
        assert all(file.path.read_bytes() == b"x" for file in files)


@pytest.mark.parametrize("key", ["a*.csv", "a?.csv", "[a].csv", "year=2021/a.csv", "a{1}.csv"])
def test_a_reader_never_gets_a_name_that_it_would_misread(bucket: Bucket, key: str) -> None:
    put(bucket, key, b"x")
    with bucket.fetch_files([bucket.list_objects("")]) as batches:
        [file] = next(batches)
        assert file.object.key == key
        assert not set("*?[]{}=") & set(str(file.path))
        assert file.path.read_bytes() == b"x"


@given(st.lists(st.lists(st.binary(max_size=5), max_size=4), max_size=4))
def test_batches_come_in_order_each_object_once(contents: list[list[bytes]]) -> None:
    bucket = memory_bucket(
        **{f"{batch}-{number}": data for batch, row in enumerate(contents) for number, data in enumerate(row)}
    )
    infos = {item.key: item for item in bucket.list_objects("")}
    batches = [
        [infos[f"{batch}-{number}"] for number in range(len(row))] for batch, row in enumerate(contents)
    ]
    assert fetch_contents(bucket, *batches) == contents


def test_a_batch_is_removed_when_the_next_is_requested_and_the_last_one_at_the_end(bucket: Bucket) -> None:
    for key in "abc":
        put(bucket, key, key.encode())
    seen: list[LocalFile] = []
    with bucket.fetch_files([[item] for item in bucket.list_objects("")]) as batches:
        for [file] in batches:
            assert file.path.read_bytes() == file.object.key.encode()
            file.copy_path.write_bytes(b"a reader's copy")
            assert not any(earlier.copy_path.parent.exists() for earlier in seen)
            seen.append(file)
    assert not any(file.copy_path.parent.exists() for file in seen)
    assert [item.key for item in bucket.list_objects("")] == ["a", "b", "c"], "the bucket's own objects stay"


def test_a_reader_that_stops_leaves_nothing_behind(bucket: Bucket) -> None:
    for key in "abc":
        put(bucket, key, b"x")
    with bucket.fetch_files([[item] for item in bucket.list_objects("")]) as batches:
        [file] = next(batches)
        assert file.copy_path.parent.exists()
    assert not file.copy_path.parent.exists()
    assert [item.key for item in bucket.list_objects("")] == ["a", "b", "c"], "the bucket's own objects stay"


def test_the_objects_of_a_folder_are_read_in_place(tmp_path: Path) -> None:
    bucket = folder_bucket(tmp_path, {"a": b"x", "b=1": b"y", "c.gz": b"z"})
    with bucket.fetch_files([bucket.list_objects("")]) as batches:
        for files in batches:
            assert [file.path.resolve() for file in files] == [
                tmp_path / name for name in ("a", "b=1", "c.gz")
            ]
    assert [(tmp_path / name).read_bytes() for name in ("a", "b=1", "c.gz")] == [b"x", b"y", b"z"]


# What can go wrong


def test_an_object_overwritten_after_the_listing_is_refused(bucket: Bucket) -> None:
    put(bucket, "logs/a.csv", b"old")
    listed = bucket.list_objects("")
    put(bucket, "logs/a.csv", b"newer")
    with pytest.raises(BucketError, match=r"logs/a\.csv.* was overwritten .*run again"):
        fetch_contents(bucket, listed)


def test_an_object_deleted_after_the_listing_is_named(scx_star: CompiledStar, bucket: Bucket) -> None:
    put(bucket, "logs/a.csv", b"old")
    listed = bucket.list_objects("")
    delete(bucket, "logs/a.csv")

    def read() -> list[Header | None]:
        with bucket.fetch_files([listed]) as batches:
            return [
                read_header(file, bucket.uri(file.object.key), scx_star.star.staging_tables[0])
                for [file] in batches
            ]

    with pytest.raises((BucketError, SourceFileError)) as caught:
        read()
    assert bucket.uri("logs/a.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_object_deleted_while_it_is_read_is_named(tmp_path: Path) -> None:
    bucket = folder_bucket(tmp_path, {"a.csv": b"x"})

    def read() -> Iterator[None]:
        with bucket.fetch_files([bucket.list_objects("")]) as batches:
            for _ in batches:
                (tmp_path / "a.csv").unlink()
                yield

    with pytest.raises(BucketError, match=r"a\.csv was removed while it was read; run again"):
        list(read())


def test_an_object_shorter_than_its_listing_is_refused() -> None:
    bucket = memory_bucket(a=b"12345")
    [item] = bucket.list_objects("")
    longer = ObjectInfo(item.key, item.size + 1, item.etag, item.last_modified)
    with pytest.raises(
        BucketError, match=r"cannot read memory://bucket/a: only a part of it was received; run again"
    ):
        fetch_contents(bucket, [longer])
