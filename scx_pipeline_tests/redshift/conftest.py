"""The stand-in of a test: a server of its own in front of an empty database.
The servers behind it are the package's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scx_pipeline_tests.servers.s3 import S3Server
from scx_pipeline_tests.standin.server import StandIn, stand_in


@pytest.fixture
def redshift(tmp_path: Path, postgres_url: str, s3: S3Server) -> Iterator[StandIn]:
    """A stand-in over an empty database `dev`, and the tests' S3 server."""
    with stand_in(tmp_path, postgres_url, s3) as server:
        yield server
