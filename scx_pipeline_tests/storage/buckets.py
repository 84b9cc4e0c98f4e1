"""Buckets to read from: in a folder, in memory, or on an unusual server, and what other programs write to them.

No tests belong here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import obstore
from obstore.store import MemoryStore

from scx_pipeline.storage.bucket import Bucket, BucketOptions, open_bucket
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline_tests.support.servers.odd_s3 import OddS3

MARCH = datetime(2021, 3, 5, 10, 0, 0, 123000, UTC)
KEYS = ["logs/a.json", "logs/b.json"]  # of the unusual server's objects
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


def memory_bucket(**objects: bytes) -> Bucket:
    """Return a bucket in memory with objects."""
    bucket = Bucket("memory://bucket/", MemoryStore())
    for key, data in objects.items():
        obstore.put(bucket.store, key, data)
    return bucket


def folder_bucket(path: Path, objects: dict[str, bytes]) -> Bucket:
    """Return a bucket in a folder with objects."""
    for key, data in objects.items():
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(data)
    return open_bucket(path.as_uri())


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


def fetch_contents(bucket: Bucket, *batches: list[ObjectInfo]) -> list[list[bytes]]:
    """Fetch batches of objects as files; return their contents."""
    with bucket.fetch_files(batches) as files:
        return [[file.path.read_bytes() for file in batch] for batch in files]


def read_all(bucket: Bucket, *keys: str) -> list[tuple[str, bytes]]:
    listed = {info.key: info for info in bucket.list_objects("")}
    batches = [[listed[key] for key in keys[start : start + 3]] for start in range(0, len(keys), 3)]
    with bucket.read_documents(batches) as read:
        documents = [item for batch in read for item in batch]
    for item in documents:
        if item.error is not None:
            raise item.error
    return [(item.object.key, item.content) for item in documents]


def open_odd_bucket(store: OddS3, lines: list[str] | None = None, seconds: float = 0) -> Bucket:
    """Open the bucket of an unusual server."""
    return open_bucket(
        store.url, BucketOptions(retry_seconds=seconds), [].append if lines is None else lines.append
    )


def read(bucket: Bucket) -> dict[str, bytes]:
    """Read every object in each of the possible ways, and compare the contents."""
    listed = bucket.list_objects("logs/")
    with bucket.fetch_files([listed]) as batches:
        fetched = {file.object.key: file.path.read_bytes() for files in batches for file in files}
    with bucket.read_documents([listed]) as documents:
        content = {item.object.key: item.content for batch in documents for item in batch}
    assert content == fetched
    assert [item[:2] for item in fetched.values()] == bucket.read_heads(listed, 2)
    assert [item[-2:] for item in fetched.values()] == bucket.read_tails(listed, 2)
    assert bucket.find_changed(listed) is None
    return fetched
