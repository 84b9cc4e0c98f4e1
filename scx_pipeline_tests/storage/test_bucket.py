"""Listing and fetching from a folder and from a store in memory, with unusual keys and times.

The slower tests use a real S3 server.
"""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import BucketError, SourceFileError
from scx_pipeline.parsing.csv.csv_header import Header, read_header
from scx_pipeline.storage.bucket import OBJECTS_PER_TASK, Bucket, create_bucket, open_bucket
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo

ODD_KEYS = [
    "plain.csv",
    "with space.csv",
    "2023-01-01 00:00:00.parquet",
    "a+b.csv",
    "100%.csv",
    "a%20b.csv",
    'it\'s "quoted".csv',
    "größe/日本.csv",
    "semi;colon--.csv",
    "#hash?query&x=y.csv",
    "[brackets]{braces}*.csv",
    "back\\slash.csv",
    ".hidden",
    "deep/er/and/deeper.csv.gz",
]


def memory(**objects: bytes) -> Bucket:
    bucket = Bucket("memory://bucket/", MemoryStore())
    for key, data in objects.items():
        obstore.put(bucket.store, key, data)
    return bucket


def folder(path: Path, objects: dict[str, bytes]) -> Bucket:
    for key, data in objects.items():
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(data)
    return open_bucket(path.as_uri())


@pytest.fixture(params=["folder", "memory"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """An empty bucket of either kind."""
    return memory() if request.param == "memory" else open_bucket(tmp_path.as_uri())


def put(bucket: Bucket, key: str, data: bytes) -> None:
    """Write as another program does: a file straight into the folder, else by the store."""
    if bucket.folder is not None:
        (bucket.folder / key).parent.mkdir(parents=True, exist_ok=True)
        (bucket.folder / key).write_bytes(data)
    else:
        obstore.put(bucket.store, key, data)


def delete(bucket: Bucket, key: str) -> None:
    if bucket.folder is not None:
        (bucket.folder / key).unlink()
    else:
        obstore.delete(bucket.store, key)


def fetched(bucket: Bucket, *batches: list[ObjectInfo]) -> list[list[bytes]]:
    with bucket.fetch_files(batches) as files:
        return [[file.path.read_bytes() for file in batch] for batch in files]


# Listing


def test_every_object_below_the_prefix_is_listed_in_the_order_of_the_keys(bucket: Bucket) -> None:
    for key in ("logs/b", "logs/a/z", "logs/a.csv", "other/a", "logs2/a", "logs/B"):
        put(bucket, key, key.encode())
    assert [item.key for item in bucket.list_objects("logs/")] == [
        "logs/B",
        "logs/a.csv",
        "logs/a/z",
        "logs/b",
    ]


def test_a_prefix_is_a_folder_not_the_beginning_of_a_name(bucket: Bucket) -> None:
    put(bucket, "foo/a", b"")
    put(bucket, "foobar/a", b"")
    assert [item.key for item in bucket.list_objects("foo/")] == ["foo/a"]


def test_an_empty_prefix_lists_all(bucket: Bucket) -> None:
    put(bucket, "a", b"")
    put(bucket, "b/c", b"")
    assert [item.key for item in bucket.list_objects("")] == ["a", "b/c"]


def test_a_prefix_without_objects_is_empty_and_no_error(bucket: Bucket) -> None:
    assert bucket.list_objects("nothing/") == []


def test_an_object_without_content_is_listed_with_its_size(bucket: Bucket) -> None:
    put(bucket, "empty.csv", b"")
    put(bucket, "full.csv", b"12345")
    assert [(item.key, item.size) for item in bucket.list_objects("")] == [("empty.csv", 0), ("full.csv", 5)]


def test_folders_are_not_objects(tmp_path: Path) -> None:
    bucket = folder(tmp_path, {"logs/a.csv": b""})
    (tmp_path / "logs" / "2021").mkdir()
    assert [item.key for item in bucket.list_objects("logs/")] == ["logs/a.csv"]


def test_more_objects_than_a_page_are_all_listed() -> None:
    bucket = memory(**{f"logs/{number:05d}": b"" for number in range(5_100)})
    assert [item.key for item in bucket.list_objects("logs/")] == [
        f"logs/{number:05d}" for number in range(5_100)
    ]


def test_an_overwritten_object_has_another_etag(bucket: Bucket) -> None:
    put(bucket, "a", b"one")
    [before] = bucket.list_objects("")
    put(bucket, "a", b"two")
    if bucket.folder is not None:
        os.utime(bucket.folder / "a", (1, 1))  # however coarse the file system's clock is
    [after] = bucket.list_objects("")
    assert before.etag != after.etag
    assert before.size == after.size


# Fetching


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_makes_the_round_trip(bucket: Bucket, key: str) -> None:
    put(bucket, key, key.encode())
    listed = bucket.list_objects("")
    assert [item.key for item in listed] == [key]
    assert fetched(bucket, listed) == [[key.encode()]]


def test_local_files_have_safe_names_whose_suffix_gives_the_compression(bucket: Bucket) -> None:
    for key in ("1 it's.csv", "2.csv.gz", "3.GZIP", "4.zst", "5.csv.zstd", "6.gz.csv"):
        put(bucket, key, b"x")
    with bucket.fetch_files([bucket.list_objects("")]) as batches:
        files = next(batches)
        assert [file.suffix for file in files] == ["", ".gz", ".gz", ".zst", ".zst", ""]
        assert all(file.path.suffix == file.suffix for file in files if file.suffix)
        assert all(file.path.read_bytes() == b"x" for file in files)


@pytest.mark.parametrize("key", ["a*.csv", "a?.csv", "[a].csv", "year=2021/a.csv", "a{1}.csv"])
def test_a_name_that_a_reader_would_misread_is_never_shown_to_it(bucket: Bucket, key: str) -> None:
    put(bucket, key, b"x")
    with bucket.fetch_files([bucket.list_objects("")]) as batches:
        [file] = next(batches)
        assert file.object.key == key
        assert not set("*?[]{}=") & set(str(file.path))
        assert file.path.read_bytes() == b"x"


@given(st.lists(st.lists(st.binary(max_size=5), max_size=4), max_size=4))
def test_batches_come_in_order_each_object_once(contents: list[list[bytes]]) -> None:
    bucket = memory(
        **{f"{batch}-{number}": data for batch, row in enumerate(contents) for number, data in enumerate(row)}
    )
    infos = {item.key: item for item in bucket.list_objects("")}
    batches = [
        [infos[f"{batch}-{number}"] for number in range(len(row))] for batch, row in enumerate(contents)
    ]
    assert fetched(bucket, *batches) == contents


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


def test_a_folders_objects_are_read_where_they_are(tmp_path: Path) -> None:
    bucket = folder(tmp_path, {"a": b"x", "b=1": b"y", "c.gz": b"z"})
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
        fetched(bucket, listed)


def test_an_object_deleted_after_the_listing_is_named(scx: CompiledStar, bucket: Bucket) -> None:
    put(bucket, "logs/a.csv", b"old")
    listed = bucket.list_objects("")
    delete(bucket, "logs/a.csv")

    def read() -> list[Header | None]:
        with bucket.fetch_files([listed]) as batches:
            return [
                read_header(file, bucket.uri(file.object.key), scx.star.staging_tables[0])
                for [file] in batches
            ]

    with pytest.raises((BucketError, SourceFileError)) as caught:
        read()
    assert bucket.uri("logs/a.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_object_deleted_while_it_is_read_is_named(tmp_path: Path) -> None:
    bucket = folder(tmp_path, {"a.csv": b"x"})

    def read() -> Iterator[None]:
        with bucket.fetch_files([bucket.list_objects("")]) as batches:
            for _ in batches:
                (tmp_path / "a.csv").unlink()
                yield

    with pytest.raises(BucketError, match=r"a\.csv was removed while it was read; run again"):
        list(read())


def test_an_object_shorter_than_its_listing_is_refused() -> None:
    bucket = memory(a=b"12345")
    [item] = bucket.list_objects("")
    longer = ObjectInfo(item.key, item.size + 1, item.etag, item.last_modified)
    with pytest.raises(
        BucketError, match=r"cannot read memory://bucket/a: only a part of it was received; run again"
    ):
        fetched(bucket, [longer])


# URLs


@pytest.mark.parametrize("name", ["plain", "with space", "100% größe", "a#b?c", "a%20b"])
def test_a_folder_of_any_name_is_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir()
    (path / "a.csv").write_bytes(b"x")
    bucket = open_bucket(path.as_uri())
    assert fetched(bucket, bucket.list_objects("")) == [[b"x"]]
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


# Documents in memory


def read_all(bucket: Bucket, *keys: str) -> list[tuple[str, bytes]]:
    listed = {info.key: info for info in bucket.list_objects("")}
    batches = [[listed[key] for key in keys[start : start + 3]] for start in range(0, len(keys), 3)]
    with bucket.read_documents(batches) as read:
        return [(item.object.key, item.content) for batch in read for item in batch]


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


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        ("a.json.gz", b"\x1f\x8b\x08\x00 none", "the compressed file is damaged or truncated"),
        ("a.json", b"x" * ((16 << 20) + 1), "larger than 16 MiB; write its objects one a line"),
        (
            "a.json.gz",
            gzip.compress(b"x" * ((16 << 20) + 1), mtime=0),
            "larger than 16 MiB; write its objects one a line",
        ),
    ],
    ids=["damaged", "large", "large when unpacked"],
)
def test_a_document_that_cannot_be_brought_to_memory_is_named(
    bucket: Bucket, key: str, content: bytes, reason: str
) -> None:
    put(bucket, key, content)
    with pytest.raises(SourceFileError, match=f"{key}: .*{reason}"):
        read_all(bucket, key)


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def damaged(content: bytes, place: int) -> bytes:
    """The content with a byte turned over."""
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


TEXT = b'{"song_id": "SO1", "title": "Undo"}' * 20


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.json.gz", b""), ("a.json.gz", gzip.compress(b"", mtime=0)), ("a.json.zst", b""), ("a.json.zst", zstd(b"")), ("a.json", b""),
    ],
    ids=["gzip of no bytes", "gzip of nothing", "zstd of no bytes", "zstd of nothing", "nothing"],
)  # fmt: skip
def test_a_document_without_content_is_one(bucket: Bucket, key: str, content: bytes) -> None:
    put(bucket, key, content)
    assert read_all(bucket, key) == [(key, b"")]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("A.JSON.GZ", gzip.compress(TEXT, mtime=0)),
        ("a.gzip", gzip.compress(TEXT, mtime=0)),
        ("a.zstd", zstd(TEXT)),
        ("two.gz", gzip.compress(TEXT[:99], mtime=0) + gzip.compress(TEXT[99:], mtime=0)),
        ("two.zst", zstd(TEXT[:99]) + zstd(TEXT[99:])),
        ("a.gz.json", TEXT),
    ],
    ids=["gz in capitals", "gzip", "zstd", "two gz", "two zst", "none"],
)
def test_the_suffix_of_a_documents_key_gives_its_compression(
    bucket: Bucket, key: str, content: bytes
) -> None:
    put(bucket, key, content)
    assert read_all(bucket, key) == [(key, TEXT)]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.json.gz", gzip.compress(TEXT, mtime=0)[:-1]),
        ("a.json.gz", gzip.compress(TEXT, mtime=0)[:20]),
        ("a.json.gz", damaged(gzip.compress(TEXT, mtime=0), -6)),
        ("a.json.gz", damaged(gzip.compress(TEXT, mtime=0), 14)),
        ("a.json.gz", gzip.compress(TEXT, mtime=0) + b"more"),
        ("a.json.zst", zstd(TEXT)[:-1]),
        ("a.json.zst", zstd(TEXT)[:3]),
        ("a.json.zst", zstd(TEXT) + b"more"),
    ],
    ids=[
        *(
            "gzip cut off",
            "gzip cut off early",
            "gzip of another checksum",
            "gzip damaged",
            "gzip and more",
        ),
        *("zstd cut off", "zstd cut off early", "zstd and more"),
    ],
)
def test_a_compressed_document_that_is_damaged_is_named(bucket: Bucket, key: str, content: bytes) -> None:
    put(bucket, key, content)
    with pytest.raises(SourceFileError) as caught:
        read_all(bucket, key)
    message = str(caught.value)
    assert message.startswith(f"{bucket.uri(key)}: the compressed file is damaged or truncated (")
    assert message.endswith("); upload it again")
    assert "\n" not in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_document_of_another_encoding_is_refused(
    bucket: Bucket, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    key = "a.json" if pack is bytes else "a.json.gz"
    put(bucket, key, pack('[{"a": 1}]'.encode(encoding)))
    with pytest.raises(SourceFileError, match=r"a\.json.*, line 1: not UTF-8 \(it looks like UTF-\d\d\)"):
        read_all(bucket, key)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_a_document_may_have_16_mib_and_not_a_byte_more(
    bucket: Bucket, pack: Callable[[bytes], bytes]
) -> None:
    key = {gzip.compress: "a.json.gz", zstd: "a.json.zst"}.get(pack, "a.json")
    put(bucket, key, pack(bytes(16 << 20)))
    assert [len(content) for _, content in read_all(bucket, key)] == [16 << 20]
    put(bucket, key, pack(bytes((16 << 20) + 1)))
    with pytest.raises(SourceFileError) as caught:
        read_all(bucket, key)
    assert str(caught.value) == (
        f"{bucket.uri(key)}: the document is larger than 16 MiB; "
        "write its objects one a line, and declare the format json_lines"
    )


@pytest.mark.parametrize("key", ["huge.json", "huge.json.gz"])
def test_what_is_far_too_large_for_a_document_is_not_brought_to_memory(tmp_path: Path, key: str) -> None:
    bucket = folder(tmp_path, {})
    if key.endswith(".gz"):
        (tmp_path / key).write_bytes(gzip.compress(bytes(1 << 20), 1) * 128)
    else:
        with (tmp_path / key).open("wb") as file:
            file.truncate(128 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(SourceFileError, match=f"{key}: the document is larger than 16 MiB"):
            read_all(bucket, key)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 << 20


@given(st.lists(st.lists(st.binary(max_size=5).map(lambda content: b"{" + content), max_size=70), max_size=4))
def test_batches_of_documents_come_in_order_each_once(contents: list[list[bytes]]) -> None:
    bucket = memory(
        **{f"{batch}-{number}": data for batch, row in enumerate(contents) for number, data in enumerate(row)}
    )
    infos = {item.key: item for item in bucket.list_objects("")}
    batches = [
        [infos[f"{batch}-{number}"] for number in range(len(row))] for batch, row in enumerate(contents)
    ]
    with bucket.read_documents(batches) as read:
        assert [[item.content for item in batch] for batch in read] == contents


def test_a_piece_of_a_batch_more_than_a_worker_reads_is_in_its_place(tmp_path: Path) -> None:
    keys = [f"{number:04d}.json" for number in range(3 * OBJECTS_PER_TASK + 5)]
    bucket = folder(tmp_path, {key: key.encode() for key in keys})
    listed = bucket.list_objects("")[::-1]
    with bucket.read_documents([listed[:200], listed[200:]]) as read:
        assert [item.content.decode() for batch in read for item in batch] == keys[::-1]


@pytest.mark.parametrize("nanoseconds", [0, 1, 999, 1001, 1_600_000_000_123_456_789, -1, -1_500_000_001])
def test_a_document_modified_at_any_time_is_read(tmp_path: Path, nanoseconds: int) -> None:
    bucket = folder(tmp_path, {"a.json": b"{}"})
    os.utime(tmp_path / "a.json", ns=(nanoseconds, nanoseconds))
    assert read_all(bucket, "a.json") == [("a.json", b"{}")]


def test_a_reader_of_documents_that_stops_early_stops(bucket: Bucket) -> None:
    for key in "abc":
        put(bucket, key, key.encode())
    with bucket.read_documents([[item] for item in bucket.list_objects("")]) as read:
        assert [item.content for item in next(read)] == [b"a"]


def test_a_bad_document_does_not_spoil_the_batches_before_it(bucket: Bucket) -> None:
    for key, content in {"a": b"a", "b.gz": b"no gzip", "c": b"c"}.items():
        put(bucket, key, content)
    with bucket.read_documents([[item] for item in bucket.list_objects("")]) as read:
        assert [item.content for item in next(read)] == [b"a"]
        with pytest.raises(SourceFileError, match=r"b\.gz"):
            next(read)


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
def test_a_file_of_another_size_was_overwritten_whatever_its_time_is(tmp_path: Path, content: bytes) -> None:
    bucket = folder(tmp_path, {"a.json": b"first"})
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
def test_a_document_that_is_not_as_listed_is_named(bucket: Bucket, change: str) -> None:
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


def test_folders_are_listed_in_parallel_and_returned_in_one_order(bucket: Bucket) -> None:
    keys = [f"{letter}/{number}/x.json" for letter in "BAC" for number in (2, 1)] + ["top.json"]
    for key in keys:
        put(bucket, key, b"{}")
    assert [info.key for info in bucket.list_objects("")] == sorted(keys)
    assert [info.key for info in bucket.list_objects("B/")] == ["B/1/x.json", "B/2/x.json"]


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("value", ["", "s3.example.com"])
def test_an_endpoint_that_is_not_a_url_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    with pytest.raises(BucketError, match=f"{name} is '{value}': give a URL, such as https://"):
        open_bucket("s3://scx-raw")
