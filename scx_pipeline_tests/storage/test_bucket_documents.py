"""Reading small objects into memory: their order, and objects that change after the listing.

Compression, encoding and size of a document are not tested here.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.errors import BucketError, SourceFileError
from scx_pipeline.storage.bucket import OBJECTS_PER_TASK, Bucket
from scx_pipeline_tests.storage.buckets import ODD_KEYS, delete, folder_bucket, memory_bucket, put, read_all


def test_documents_come_batch_by_batch_in_order_and_decompressed(bucket: Bucket) -> None:
    contents = {f"{number:02d}.json": b"%d" % number for number in range(10)}
    packed = {
        "a.json.gz": gzip.compress(b"packed"),
        "b.json.zst": bytes(pa.compress(b"packed", "zstd", asbytes=True)),
    }
    for key, content in {**contents, **packed}.items():
        put(bucket, key, content)
    expected = [*contents.items(), *((key, b"packed") for key in packed)]
    assert read_all(bucket, *contents, *packed) == expected


@pytest.mark.parametrize("key", ODD_KEYS[:-1])
def test_a_document_of_any_key_is_read(bucket: Bucket, key: str) -> None:
    put(bucket, key, b"{}")
    assert read_all(bucket, bucket.list_objects("")[0].key) == [(bucket.list_objects("")[0].key, b"{}")]


@given(st.lists(st.lists(st.binary(max_size=5).map(lambda content: b"{" + content), max_size=70), max_size=4))
def test_batches_of_documents_come_in_order_each_once(contents: list[list[bytes]]) -> None:
    bucket = memory_bucket(
        **{f"{batch}-{number}": data for batch, row in enumerate(contents) for number, data in enumerate(row)}
    )
    infos = {item.key: item for item in bucket.list_objects("")}
    batches = [
        [infos[f"{batch}-{number}"] for number in range(len(row))] for batch, row in enumerate(contents)
    ]
    with bucket.read_documents(batches) as read:
        assert [[item.content for item in batch] for batch in read] == contents


def test_a_batch_larger_than_one_worker_reads_keeps_its_order(tmp_path: Path) -> None:
    keys = [f"{number:04d}.json" for number in range(3 * OBJECTS_PER_TASK + 5)]
    bucket = folder_bucket(tmp_path, {key: key.encode() for key in keys})
    listed = bucket.list_objects("")[::-1]
    with bucket.read_documents([listed[:200], listed[200:]]) as read:
        assert [item.content.decode() for batch in read for item in batch] == keys[::-1]


@pytest.mark.parametrize("nanoseconds", [0, 1, 999, 1001, 1_600_000_000_123_456_789, -1, -1_500_000_001])
def test_a_document_modified_at_any_time_is_read(tmp_path: Path, nanoseconds: int) -> None:
    bucket = folder_bucket(tmp_path, {"a.json": b"{}"})
    os.utime(tmp_path / "a.json", ns=(nanoseconds, nanoseconds))
    assert read_all(bucket, "a.json") == [("a.json", b"{}")]


def test_a_reader_of_documents_may_stop_early(bucket: Bucket) -> None:
    for key in "abc":
        put(bucket, key, key.encode())
    with bucket.read_documents([[item] for item in bucket.list_objects("")]) as read:
        assert [item.content for item in next(read)] == [b"a"]


def test_a_bad_document_has_an_error_and_does_not_affect_the_others(bucket: Bucket) -> None:
    for key, content in {"a": b"a", "b.gz": b"no gzip", "c": b"c"}.items():
        put(bucket, key, content)
    with bucket.read_documents([bucket.list_objects("")]) as read:
        good, bad, other = next(read)
    assert [(item.content, item.error) for item in (good, other)] == [(b"a", None), (b"c", None)]
    assert isinstance(bad.error, SourceFileError)
    assert bucket.uri("b.gz") in str(bad.error)


# Changes after the listing


@pytest.mark.parametrize("content", [b"other", b"longer than before", b"", b"first"])
def test_a_document_that_was_overwritten_after_the_listing_is_refused(bucket: Bucket, content: bytes) -> None:
    put(bucket, "a.json", b"first")
    if bucket.folder is not None:
        os.utime(bucket.folder / "a.json", (1, 1))  # however coarse the file system's clock is
    listed = bucket.list_objects("")
    put(bucket, "a.json", content)
    with bucket.read_documents([listed]) as read, pytest.raises(BucketError) as caught:
        next(read)
    assert bucket.uri("a.json") in str(caught.value)
    assert str(caught.value).endswith("was overwritten after the listing; run again")


@pytest.mark.parametrize("content", [b"longer than before", b"less", b""])
def test_a_file_of_another_size_counts_as_overwritten_whatever_its_time_is(
    tmp_path: Path, content: bytes
) -> None:
    bucket = folder_bucket(tmp_path, {"a.json": b"first"})
    os.utime(tmp_path / "a.json", (1, 1))
    listed = bucket.list_objects("")
    (tmp_path / "a.json").write_bytes(content)
    os.utime(tmp_path / "a.json", (1, 1))
    with (
        bucket.read_documents([listed]) as read,
        pytest.raises(BucketError, match="overwritten after the listing"),
    ):
        next(read)


def test_a_document_that_was_removed_or_became_a_folder_is_named(bucket: Bucket) -> None:
    put(bucket, "a.json", b"{}")
    listed = bucket.list_objects("")
    delete(bucket, "a.json")
    with bucket.read_documents([listed]) as read, pytest.raises(BucketError) as caught:
        next(read)
    assert str(caught.value).startswith(f"cannot read {bucket.uri('a.json')}: ")
    assert "\n" not in str(caught.value)
    put(bucket, "a.json/b", b"{}")
    with (
        bucket.read_documents([listed]) as read,
        pytest.raises(BucketError, match=r"cannot read .*/a\.json: "),
    ):
        next(read)


@pytest.mark.parametrize("change", ["overwritten", "gone"])
def test_a_document_that_differs_from_its_listing_is_named(bucket: Bucket, change: str) -> None:
    put(bucket, "a.json", b"first")
    listed = bucket.list_objects("")
    if change == "gone":
        obstore.delete(bucket.store, "a.json")
    else:
        put(bucket, "a.json", b"the second one")
    with (
        bucket.read_documents([listed]) as read,
        pytest.raises(BucketError, match=r"a\.json.*run again|cannot read .*a\.json"),
    ):
        next(read)
