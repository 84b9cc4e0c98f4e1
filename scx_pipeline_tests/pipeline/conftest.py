"""The worlds that the tests of this folder load in: a fresh bucket and an empty warehouse each.
The servers' fixtures are in the package's conftest.py, what a world can do in world.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scx_pipeline_tests.pipeline.music import MusicWorld, music_world
from scx_pipeline_tests.pipeline.world import World, folder_world
from scx_pipeline_tests.servers.postgres import PostgresServer
from scx_pipeline_tests.servers.redshift import emptied
from scx_pipeline_tests.servers.s3 import S3Server
from scx_pipeline_tests.standin.linter import unparsable
from scx_pipeline_tests.standin.server import stand_in


@pytest.fixture
def duck(tmp_path: Path) -> World:
    """A local bucket and a DuckDB file."""
    return folder_world(tmp_path)


@pytest.fixture
def pg(tmp_path: Path, postgres_url: str) -> World:
    """A local bucket and a PostgreSQL database."""
    return folder_world(tmp_path / "pg", postgres_url)


@pytest.fixture
def fresh_urls(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer, s3: S3Server, s3_bucket: str
) -> Iterator[Callable[[], list[str]]]:
    """What gives the URLs of an empty warehouse of every engine, as often as it is asked; none stands for a DuckDB file."""
    real = request.config.getoption("--redshift-url")
    with stand_in(tmp_path, postgres.url("cluster"), s3) as redshift:

        def fresh() -> list[str]:
            dev = postgres.fresh_dev()
            if real:
                return ["", dev, emptied(real)]
            postgres.create_database("cluster")
            return ["", dev, f"{redshift.url()}&staging={s3_bucket}/staging"]

        yield fresh
        assert unparsable(redshift.statements) == []


@pytest.fixture
def world(tmp_path: Path, server_url: str) -> World:
    """A local bucket and a warehouse, once of each engine."""
    return folder_world(tmp_path, server_url)


@pytest.fixture
def music(tmp_path: Path, server_url: str) -> MusicWorld:
    """A local bucket and a warehouse of the songplays star, once of each engine."""
    return music_world(tmp_path, server_url)
