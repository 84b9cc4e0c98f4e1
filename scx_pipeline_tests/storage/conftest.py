"""An empty bucket of either kind, and an unusual S3 server, empty or with two objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scx_pipeline.storage.bucket import Bucket, open_bucket
from scx_pipeline_tests.storage.buckets import KEYS, MARCH, memory_bucket
from scx_pipeline_tests.support.servers.odd_s3 import OddS3, odd_s3


@pytest.fixture(params=["folder", "memory"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """An empty bucket of either kind."""
    return memory_bucket() if request.param == "memory" else open_bucket(tmp_path.as_uri())


@pytest.fixture
def empty_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddS3]:
    """A server that has any keys, and AWS's settings for it."""
    with odd_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def store(empty_store: OddS3) -> OddS3:
    """The server with two objects."""
    for key in KEYS:
        empty_store.put(key, b"hello", MARCH)
    return empty_store
