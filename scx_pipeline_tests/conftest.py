"""What all tests share: an environment without the developer's own, the servers' fixtures, and the speed tiers.

Fixtures that only one folder needs do not belong here.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.redshift.cluster import fresh_cluster
from scx_pipeline_tests.support.redshift.linter import Linted, rules, unparsable
from scx_pipeline_tests.support.redshift.listener import stand_in
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.servers.postgres import SMALL, PostgresServer, memory_folder, postgres_server
from scx_pipeline_tests.support.servers.redshift import emptied
from scx_pipeline_tests.support.servers.s3 import S3Server, s3_server
from scx_pipeline_tests.support.shared_folder import shared_folder

pytest_plugins = ["scx_pipeline_tests.support.fixtures"]

# Fixtures that need more than a server, and the marker of the tests that use them.
MARKED_FIXTURES = {"java": "spark", "archive": "spark", "chromium": "ui"}
MARKERS = {
    "postgres": "needs the PostgreSQL server",
    "s3": "needs the S3 server",
    "redshift": "runs on the stand-in for Redshift",
    "spark": "needs Java, or a package index",
    "ui": "needs a browser",
}
# From quick to slow: the slowest thing that a test needs says when it runs.
TIERS = ("s3", "postgres", "redshift", "ui", "spark")
SERVERS = (
    "postgres",
    "s3",
    "redshift",
)  # the fixtures that start one; what is built on them has them in its closure

THE_DEVELOPERS = {"SCX_", "DAGSTER_", "AWS_", "PG"}
# Where ui/ saves its screenshots, whether golden files are rewritten, and how long fuzz/ runs.
FOR_THE_TESTS = {"SCX_SCREENSHOTS", "SCX_GOLDEN", "SCX_FUZZ_SECONDS", "SCX_FUZZ_SEED", "SCX_FUZZ_START"}
NOWHERE = f"{os.devnull}/none"
OURS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # obstore does not know the line above, and would use the role of the machine it runs on
    "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1",
    "DAGSTER_DISABLE_TELEMETRY": "true",
    "PGPASSFILE": NOWHERE,
    "PGSERVICEFILE": NOWHERE,
    "PGSYSCONFDIR": NOWHERE,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--redshift-url",
        help="run what runs on the stand-in for Redshift on this one, with staging=s3://…; its database is emptied, and AWS's "
        "settings are taken as they are: docs/redshift.md",
    )

    parser.addoption(
        "--slowest-first",
        action="store_true",
        help="run the folders from slow to quick, so that no process ends long after the others",
    )


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning} (set by conftest.py)")
    config.addinivalue_line("markers", "services: starts all of a deployment's services, and waits for them")
    config.addinivalue_line("markers", "histories: tries random histories, which takes a minute or so")
    config.addinivalue_line("markers", "fuzz: reads random files for as long as SCX_FUZZ_SECONDS says")
    config.addinivalue_line(
        "markers",
        "reader_independent: gives the same result whether Redshift or the pipeline reads the objects",
    )
    if config.getoption("--redshift-url"):
        THE_DEVELOPERS.discard("AWS_")
        for name in [name for name in OURS if name.startswith("AWS_")]:
            del OURS[name]
    # for what test modules read when they are imported, and fixtures of the session
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    isolate(patch)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        mark(item)
    # Reversed or not, tests of one folder keep their order, on which those of a browser depend.
    items.sort(key=tier, reverse=config.getoption("--slowest-first"))


def pytest_collection_finish() -> None:
    """Freeze what imports and the collection of tests left behind, which lives to the end anyway, and run the garbage collector
    less often: it took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_sessionfinish() -> None:
    """Let the interpreter free everything when it ends."""
    gc.unfreeze()


def tier(item: pytest.Item) -> int:
    """How late a test runs: 0 if it needs no server."""
    return max((1 + TIERS.index(name) for name in TIERS if item.get_closest_marker(name)), default=0)


def mark(item: pytest.Item) -> None:
    """Mark a test with the servers it uses and with what its folder needs."""
    fixtures = set(getattr(item, "fixturenames", ()))
    for name in (fixtures & {*SERVERS}) | {MARKED_FIXTURES[name] for name in fixtures & {*MARKED_FIXTURES}}:
        item.add_marker(name)


def isolate(patch: pytest.MonkeyPatch) -> None:
    """Hide the developer's settings and credentials; ours are the same on every machine."""
    for name in [
        name for name in os.environ if name.startswith(tuple(THE_DEVELOPERS)) and name not in FOR_THE_TESTS
    ]:
        patch.delenv(name)
    for name, value in OURS.items():
        patch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        spared = {*os.environ.get(name, "").split(","), "127.0.0.1", "localhost"} - {""}
        patch.setenv(name, ",".join(sorted(spared)))


@pytest.fixture(autouse=True)
def isolated_environment() -> Iterator[None]:
    """Each test starts without what an earlier one, or the developer, left in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch)
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The PostgreSQL server of this run, started by the first test that asks."""
    with postgres_server(memory_folder(tmp_path_factory.mktemp("postgres")), SMALL) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """An empty database `dev`, for the role that loads."""
    return postgres.fresh_dev()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The S3 server of this run, started by the first test that asks."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_bucket(s3: S3Server, isolated_environment: None) -> Iterator[str]:
    """An empty bucket as s3://…, and the AWS environment by which every client finds it."""
    name = f"scx-{uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in s3.environment().items():
            patch.setenv(variable, value)
        yield s3.create_bucket(name)
        s3.delete_bucket(name)


@pytest.fixture(scope="session")
def linted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Linted:
    """Which statements the processes of this run have shown to sqlfluff, and earlier runs with success."""
    taken = shared_folder(request, tmp_path_factory) / "linted"
    taken.mkdir(exist_ok=True)
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    try:
        return Linted(taken, cache.mkdir(f"linted-{rules()}") if cache else taken)
    except OSError:  # of a checkout that is only read
        return Linted(taken, taken)


@pytest.fixture
def redshift(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer, s3: S3Server
) -> Iterator[StandIn]:
    """A stand-in for Redshift over an empty database `dev`, and the tests' S3 server."""
    if request.config.getoption("--redshift-url"):
        pytest.skip("looks into the stand-in, which --redshift-url takes the place of")
    folder = tmp_path / "redshift"
    folder.mkdir()
    fresh_cluster(postgres, "dev")
    with stand_in(folder, postgres, "dev", s3) as server:
        yield server


@pytest.fixture
def redshift_url(request: pytest.FixtureRequest, linted: Linted) -> Iterator[str]:
    """The stand-in's URL for the pipeline, with a bucket of its own to stage what COPY reads; or a real one's.

    Whatever the pipeline sends must be Redshift's to sqlfluff too.
    """
    real = request.config.getoption("--redshift-url")
    if real:
        try:
            url = emptied(real)
        except WarehouseError as error:
            request.session.shouldfail = f"--redshift-url: {error}"
            pytest.fail(request.session.shouldfail, pytrace=False)
        yield url
        return
    redshift: StandIn = request.getfixturevalue("redshift")
    bucket = request.getfixturevalue("s3_bucket")
    yield f"{redshift.url()}&staging={bucket}/staging"
    assert unparsable(redshift.statements, linted) == []


@pytest.fixture(params=["duckdb", *engines.SERVERS])
def server_url(request: pytest.FixtureRequest) -> str:
    """What uses it runs once of each engine: the URL of a database, or none for a DuckDB file of its own."""
    return "" if request.param == "duckdb" else str(request.getfixturevalue(f"{request.param}_url"))
