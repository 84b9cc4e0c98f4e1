"""Fixtures that several test packages share: the command, a star, a copy of one, load environments with an empty bucket and
warehouse, and an empty Dagster instance."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.load_env import LoadEnv, create_load_env
from scx_pipeline_tests.support.music_env import MusicEnv
from scx_pipeline_tests.support.redshift.cluster import fresh_cluster
from scx_pipeline_tests.support.redshift.linter import Linted, unparsable
from scx_pipeline_tests.support.redshift.listener import stand_in
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.scx_command import Scx, run_command
from scx_pipeline_tests.support.sensor_env import SensorEnv
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.support.servers.redshift import emptied, reading_bucket
from scx_pipeline_tests.support.stars import StarCopy

if TYPE_CHECKING:
    import dagster as dg

# The machine may be busy, so there is no deadline; each example resets the fixtures that it changes.
SPARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=SPARED)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=3000)


@pytest.fixture
def scx(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Scx:
    """Return a function that runs `scx` with arguments, as the console script does."""
    monkeypatch.setenv("COLUMNS", "200")
    return partial(run_command, capsys)


@pytest.fixture(scope="session")
def scx_star() -> CompiledStar:
    """Return the project's star scx."""
    return load_star(stars_folder() / "scx")


@pytest.fixture
def star(tmp_path: Path) -> StarCopy:
    """A copy of the star scx that the test may change."""
    return StarCopy.of("scx", tmp_path)


@pytest.fixture
def duckdb_env(tmp_path: Path) -> LoadEnv:
    """A local bucket and a DuckDB file."""
    return create_load_env(tmp_path)


@pytest.fixture
def postgres_env(tmp_path: Path, postgres_url: str) -> LoadEnv:
    """A local bucket and a PostgreSQL database."""
    return create_load_env(tmp_path / "pg", postgres_url)


READING = pytest.param("redshift-reading", marks=[pytest.mark.postgres, pytest.mark.s3, pytest.mark.redshift])
LoadUrls = tuple[str, str]  # (bucket URL, warehouse URL)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Once of each engine; and once more of Redshift, unless nothing depends on who reads the objects."""
    if "load_urls" in metafunc.fixturenames:
        more = [] if metafunc.definition.get_closest_marker("reader_independent") else [READING]
        metafunc.parametrize("load_urls", ["duckdb", *engines.SERVERS, *more], indirect=True)


@pytest.fixture
def load_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoadUrls]:
    """A local bucket and a warehouse of an engine; or a bucket in S3 and a Redshift that reads its objects itself."""
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
def fresh_load_urls(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer
) -> Iterator[Callable[[Path], list[LoadUrls]]]:
    """A function that returns an empty bucket in S3 with an empty warehouse of each engine, DuckDB's in the given folder.

    Redshift reads the objects itself.
    """
    with ExitStack() as opened:
        fresh_redshift = _real(request) or _cluster(request, tmp_path, postgres, opened)

        def fresh(folder: Path) -> list[LoadUrls]:
            dev, redshift = postgres.fresh_dev(), fresh_redshift()
            bucket = opened.enter_context(reading_bucket(redshift))
            return [
                (bucket, f"duckdb://{folder}/dev.duckdb"),
                (bucket, dev),
                (bucket, f"{redshift}&copy_from=0"),
            ]

        yield fresh


def _real(request: pytest.FixtureRequest) -> Callable[[], str] | None:
    """Return a function that empties the Redshift given by --redshift-url, if any."""
    url = request.config.getoption("--redshift-url")
    return (lambda: emptied(url)) if url else None


def _cluster(
    request: pytest.FixtureRequest, folder: Path, postgres: PostgresServer, opened: ExitStack
) -> Callable[[], str]:
    """Return a function that returns the URL of a stand-in with an empty database."""
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
def load_env(load_urls: LoadUrls) -> LoadEnv:
    """A bucket and a warehouse."""
    return LoadEnv(*load_urls)


@pytest.fixture
def music_env(load_urls: LoadUrls) -> MusicEnv:
    """A bucket and a warehouse of the songplays star."""
    return MusicEnv(*load_urls)


@pytest.fixture
def sensor_env(load_urls: LoadUrls) -> SensorEnv:
    """A bucket and a warehouse of the sensor_readings star."""
    return SensorEnv(*load_urls)


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of a Dagster instance before its first run, to be copied: creating them takes a second."""
    from scx_pipeline.orchestration.runs.instance import open_instance

    home = tmp_path_factory.mktemp("dagster")
    with open_instance(home) as instance:
        assert instance.get_runs() == []
    return home


@pytest.fixture
def instance(tmp_path: Path, empty_home: Path) -> Iterator[dg.DagsterInstance]:
    """Yield an instance with its own files, at the default path of the settings."""
    from scx_pipeline.orchestration.runs.instance import open_instance

    home = tmp_path / "dagster"
    shutil.copytree(empty_home, home)
    with open_instance(home) as instance:
        yield instance
