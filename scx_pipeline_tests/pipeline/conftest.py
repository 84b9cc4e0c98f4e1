"""The worlds that the tests of this folder load in: a fresh bucket and an empty warehouse each.
The servers' fixtures are in the package's conftest.py, what a world can do in world.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scx_pipeline_tests import engines
from scx_pipeline_tests.pipeline.music import MusicWorld
from scx_pipeline_tests.pipeline.sensors import SensorWorld
from scx_pipeline_tests.pipeline.world import World, folder_world
from scx_pipeline_tests.servers.postgres import PostgresServer
from scx_pipeline_tests.servers.redshift import emptied, reading_bucket
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


READING = [pytest.mark.postgres, pytest.mark.s3, pytest.mark.redshift]
Place = tuple[str, str]  # the URL of a bucket, and that of a warehouse


@pytest.fixture(params=["duckdb", *engines.SERVERS, pytest.param("redshift-reading", marks=READING)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A local bucket and a warehouse, once of each engine; and a Redshift that reads the objects of a bucket in S3 itself."""
    if request.param == "redshift-reading":
        warehouse_url = request.getfixturevalue("redshift_url")
        with reading_bucket(warehouse_url) as bucket_url:
            yield bucket_url, f"{warehouse_url}&copy_from=0"
        return
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    server = "" if request.param == "duckdb" else str(request.getfixturevalue(f"{request.param}_url"))
    yield bucket.as_uri(), server or f"duckdb://{tmp_path}/dev.duckdb"


@pytest.fixture
def fresh_places(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer, s3: S3Server, s3_bucket: str
) -> Iterator[Callable[[Path], list[Place]]]:
    """What gives an empty bucket in S3 and, each time, an empty warehouse of every engine, the DuckDB file in a folder.

    Redshift reads the objects itself.
    """
    real = request.config.getoption("--redshift-url")
    with stand_in(tmp_path, postgres.url("cluster"), s3) as redshift, ExitStack() as buckets:

        def fresh(folder: Path) -> list[Place]:
            dev, url = postgres.fresh_dev(), emptied(real) if real else ""
            if not real:
                postgres.create_database("cluster")
                url = f"{redshift.url()}&staging={s3_bucket}/staging"
            bucket = buckets.enter_context(reading_bucket(url))
            return [(bucket, f"duckdb://{folder}/dev.duckdb"), (bucket, dev), (bucket, f"{url}&copy_from=0")]

        yield fresh
        assert unparsable(redshift.statements) == []


@pytest.fixture
def world(place: Place) -> World:
    """A bucket and a warehouse."""
    return World(*place)


@pytest.fixture
def music(place: Place) -> MusicWorld:
    """A bucket and a warehouse of the songplays star."""
    return MusicWorld(*place)


@pytest.fixture
def sensors(place: Place) -> SensorWorld:
    """A bucket and a warehouse of the sensor_readings star."""
    return SensorWorld(*place)
