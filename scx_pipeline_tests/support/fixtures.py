"""Fixtures that several test packages share: a star, a copy of one, and load environments with an empty bucket and warehouse.

The servers' fixtures are in the package's conftest.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.load_env import World, folder_world
from scx_pipeline_tests.support.music_env import MusicWorld
from scx_pipeline_tests.support.redshift.cluster import fresh_cluster
from scx_pipeline_tests.support.redshift.linter import Linted, unparsable
from scx_pipeline_tests.support.redshift.server import StandIn, stand_in
from scx_pipeline_tests.support.sensor_env import SensorWorld
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.support.servers.redshift import emptied, reading_bucket
from scx_pipeline_tests.support.stars import StarCopy

# The machine may be busy, so no deadline; fixtures here either last or are set anew by each example.
SPARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=SPARED)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=3000)


@pytest.fixture(scope="session")
def scx() -> CompiledStar:
    """The star scx as it stands in the project."""
    return load_star(stars_folder() / "scx")


@pytest.fixture
def star(tmp_path: Path) -> StarCopy:
    """A copy of the star scx that the test may change."""
    return StarCopy.of("scx", tmp_path)


@pytest.fixture
def duck(tmp_path: Path) -> World:
    """A local bucket and a DuckDB file."""
    return folder_world(tmp_path)


@pytest.fixture
def pg(tmp_path: Path, postgres_url: str) -> World:
    """A local bucket and a PostgreSQL database."""
    return folder_world(tmp_path / "pg", postgres_url)


READING = pytest.param("redshift-reading", marks=[pytest.mark.postgres, pytest.mark.s3, pytest.mark.redshift])
Place = tuple[str, str]  # the URL of a bucket, and that of a warehouse


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Once of each engine; and once more of Redshift, unless nothing depends on who reads the objects."""
    if "place" in metafunc.fixturenames:
        more = [] if metafunc.definition.get_closest_marker("whoever_reads") else [READING]
        metafunc.parametrize("place", ["duckdb", *engines.SERVERS, *more], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A local bucket and a warehouse of an engine; or a Redshift that reads the objects of a bucket in S3 itself."""
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
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer
) -> Iterator[Callable[[Path], list[Place]]]:
    """What gives an empty bucket in S3 and, each time, an empty warehouse of every engine, the DuckDB file in a folder.

    Redshift reads the objects itself.
    """
    with ExitStack() as opened:
        fresh_redshift = _real(request) or _cluster(request, tmp_path, postgres, opened)

        def fresh(folder: Path) -> list[Place]:
            dev, redshift = postgres.fresh_dev(), fresh_redshift()
            bucket = opened.enter_context(reading_bucket(redshift))
            return [
                (bucket, f"duckdb://{folder}/dev.duckdb"),
                (bucket, dev),
                (bucket, f"{redshift}&copy_from=0"),
            ]

        yield fresh


def _real(request: pytest.FixtureRequest) -> Callable[[], str] | None:
    """What empties the Redshift that was given, if one was; AWS's settings are left as they are."""
    url = request.config.getoption("--redshift-url")
    return (lambda: emptied(url)) if url else None


def _cluster(
    request: pytest.FixtureRequest, folder: Path, postgres: PostgresServer, opened: ExitStack
) -> Callable[[], str]:
    """What gives the URL of a stand-in whose database is empty."""
    bucket, linted = request.getfixturevalue("s3_bucket"), request.getfixturevalue("linted")
    redshift = opened.enter_context(stand_in(folder, postgres, "cluster", request.getfixturevalue("s3")))
    opened.callback(lambda: _assert_parsable(redshift, linted))

    def fresh() -> str:
        fresh_cluster(postgres, "cluster")
        return f"{redshift.url()}&staging={bucket}/staging"

    return fresh


def _assert_parsable(redshift: StandIn, linted: Linted) -> None:
    assert unparsable(redshift.statements, linted) == []


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
