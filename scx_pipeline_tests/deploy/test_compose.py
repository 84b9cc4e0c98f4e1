"""The compose file's services, run as processes with their own commands and variables: healthy, loading, killed, stopped.

They are not tested in containers: no Docker engine runs where the tests do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
import psycopg2
import pytest
from obstore.store import S3Store

from scx_pipeline_tests.support.load_env import PREFIX, csv_text, job
from scx_pipeline_tests.support.servers.ports import LOOPBACK
from tools.local_services.compose import ROOT, fill_compose_file
from tools.local_services.deployment import Deployment, run_deployment

pytestmark = pytest.mark.services

ALL_SAMPLES = "SCX_SAMPLES=scx songplays sensor_readings"
PASSWORDS = (
    "POSTGRES_PASSWORD",
    "SCX_LOADER_PASSWORD",
    "SCX_ANALYST_PASSWORD",
    "DAGSTER_POSTGRES_PASSWORD",
    "S3_SECRET_KEY",
)


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the example filled in as a user would; sensors run more often, and only one star has samples."""
    path = tmp_path_factory.mktemp("env") / ".env"
    text = (ROOT / ".env.example").read_text("utf-8")
    for new, old in (("SCX_SENSOR_SECONDS=8", "SCX_SENSOR_SECONDS=30"), ("SCX_SAMPLES=scx", ALL_SAMPLES)):
        assert old in text
        text = text.replace(old, new)
    for name in PASSWORDS:
        [line] = [line for line in text.splitlines() if line.startswith(f"{name}=")]
        text = text.replace(line, f"{name}={secrets.token_hex(12)}")
    path.write_text(text, "utf-8")
    return path


@pytest.fixture(scope="module")
def deployment(env_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("compose")
    with run_deployment(fill_compose_file(env_file), folder) as running:
        yield running


def open_bucket(deployment: Deployment, name: str) -> S3Store:
    """Open a bucket with the keys of .env."""
    environment = deployment.services["samples"].environment
    return S3Store(
        name,
        endpoint=environment["AWS_ENDPOINT_URL"],
        access_key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region=environment["AWS_REGION"],
        client_options={"allow_http": True},
    )


@pytest.fixture
def bucket(deployment: Deployment) -> S3Store:
    """Return the bucket of raw objects."""
    return open_bucket(deployment, "scx-raw")


@contextmanager
def connected(deployment: Deployment, user: str, secret: str, database: str = "dev") -> Iterator[Any]:
    """Yield a cursor of a database user, whose password is in a variable of the compose file."""
    environment = deployment.services["postgres"].environment
    connection = psycopg2.connect(
        host=LOOPBACK, port=environment["PGPORT"], dbname=database, user=user, password=environment[secret]
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def query_as_analyst(deployment: Deployment, sql: str) -> list[tuple[Any, ...]]:
    """Run a query as the read-only analyst, and return its rows."""
    with connected(deployment, "scx_analyst", "SCX_ANALYST_PASSWORD") as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def count_jobs(deployment: Deployment, month: str) -> int:
    """Count the jobs of a month as the analyst; -1 while tables or database do not exist."""
    sql = f"SELECT COUNT(*) FROM public.auto_classification_logs WHERE to_char(created_at, 'YYYY-MM') = '{month}'"
    try:
        return int(query_as_analyst(deployment, sql)[0][0])
    except psycopg2.Error:
        return -1


def run_statuses(deployment: Deployment) -> list[str]:
    """Return the statuses of the star's runs from Dagster's database, in the order in which they were requested."""
    sql = "SELECT status FROM runs WHERE pipeline_name = 'scx' ORDER BY id"
    with connected(deployment, "dagster", "DAGSTER_POSTGRES_PASSWORD", "dagster") as cursor:
        cursor.execute(sql)
        return [status for (status,) in cursor.fetchall()]


@contextmanager
def load_blocked(deployment: Deployment, cause: Callable[[], object]) -> Iterator[None]:
    """Cause a load, and block it before it publishes, until the block ends or the database stops."""
    # The report's run waits for the table too, but does not hold the star's lock.
    waiting = (
        "SELECT COUNT(*) FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND wait_event_type = 'Lock'"
    )

    def is_blocked() -> bool:
        with connected(deployment, "postgres", "POSTGRES_PASSWORD") as cursor:
            cursor.execute(waiting)
            return bool(cursor.fetchone()[0])

    with connected(deployment, "postgres", "POSTGRES_PASSWORD") as holder:
        holder.execute("LOCK TABLE public.auto_classification_logs IN ACCESS EXCLUSIVE MODE")
        cause()
        deployment.wait("a run waits for the lock", is_blocked)
        yield


def test_all_services_become_healthy_and_the_samples_are_loaded(deployment: Deployment) -> None:
    deployment.wait_healthy()
    deployment.wait("the samples are loaded", lambda: count_jobs(deployment, "2021-11") > 0)


def test_an_uploaded_object_becomes_rows_for_the_read_only_analyst(
    deployment: Deployment, bucket: S3Store
) -> None:
    rows = [job(900_000 + at, f"2022-01-{at + 1:02} 10:00:00") for at in range(20)]
    obstore.put(bucket, f"{PREFIX}2022/01/new.csv", csv_text(rows).encode())
    deployment.wait("20 jobs of January", lambda: count_jobs(deployment, "2022-01") == 20)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        query_as_analyst(deployment, "DELETE FROM public.auto_classification_logs")


def test_the_output_of_runs_is_stored_in_its_own_bucket(deployment: Deployment) -> None:
    logs = open_bucket(deployment, "scx-dagster-logs")
    deployment.wait("a run's output", lambda: bool(logs.list("dagster").collect()))


def test_services_killed_during_a_load_restart_and_lose_or_duplicate_nothing(
    deployment: Deployment, bucket: S3Store
) -> None:
    deployment.wait("no run is in progress", lambda: set(run_statuses(deployment)) == {"SUCCESS"})
    before = len(run_statuses(deployment))
    rows = [job(910_000 + at, f"2022-02-{at + 1:02} 10:00:00") for at in range(25)]
    key = f"{PREFIX}2022/02/new.csv"
    with load_blocked(deployment, lambda: obstore.put(bucket, key, csv_text(rows).encode())):
        for name in ("code", "daemon", "postgres"):
            deployment.services[name].kill()
    deployment.wait("25 jobs of February", lambda: count_jobs(deployment, "2022-02") == 25)
    deployment.wait_healthy()
    assert count_jobs(deployment, "2022-01") == 20
    deployment.wait("the runs are over", lambda: set(run_statuses(deployment)) == {"FAILURE", "SUCCESS"})
    assert run_statuses(deployment)[before:] == ["FAILURE", "SUCCESS"]


def test_all_services_stop_with_exit_code_0(deployment: Deployment) -> None:
    codes = deployment.down()
    assert codes == dict.fromkeys(codes, 0)
