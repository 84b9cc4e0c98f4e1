"""The compose file's services, started as processes with their own commands and variables: healthy, loading, killed, stopped.
That they do so in containers is not proven here: no Docker engine runs where the tests do."""

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
from tools.local_services.compose import ROOT, filled
from tools.local_services.services import Deployment, deployed

pytestmark = pytest.mark.services

SAMPLES = "SCX_SAMPLES=scx songplays sensor_readings"
PASSWORDS = (
    "POSTGRES_PASSWORD",
    "SCX_LOADER_PASSWORD",
    "SCX_ANALYST_PASSWORD",
    "DAGSTER_POSTGRES_PASSWORD",
    "S3_SECRET_KEY",
)


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, as a person fills it in; sensors look more often, and at one star's samples."""
    path = tmp_path_factory.mktemp("env") / ".env"
    text = (ROOT / ".env.example").read_text("utf-8")
    for ours, theirs in (("SCX_SENSOR_SECONDS=8", "SCX_SENSOR_SECONDS=30"), ("SCX_SAMPLES=scx", SAMPLES)):
        assert theirs in text
        text = text.replace(theirs, ours)
    for name in PASSWORDS:
        [line] = [line for line in text.splitlines() if line.startswith(f"{name}=")]
        text = text.replace(line, f"{name}={secrets.token_hex(12)}")
    path.write_text(text, "utf-8")
    return path


@pytest.fixture(scope="module")
def deployment(env_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("compose")
    with deployed(filled(env_file), folder) as running:
        yield running


def bucket_of(deployment: Deployment, name: str) -> S3Store:
    """A bucket, as whoever has the keys of .env sees it."""
    known = deployment.services["samples"].environment
    return S3Store(
        name,
        endpoint=known["AWS_ENDPOINT_URL"],
        access_key_id=known["AWS_ACCESS_KEY_ID"],
        secret_access_key=known["AWS_SECRET_ACCESS_KEY"],
        region=known["AWS_REGION"],
        client_options={"allow_http": True},
    )


@pytest.fixture
def bucket(deployment: Deployment) -> S3Store:
    """The bucket of raw objects."""
    return bucket_of(deployment, "scx-raw")


@contextmanager
def connected(deployment: Deployment, user: str, secret: str, database: str = "dev") -> Iterator[Any]:
    """A cursor of one of the database's users, whose password is in that variable of the compose file."""
    known = deployment.services["postgres"].environment
    connection = psycopg2.connect(
        host=LOOPBACK, port=known["PGPORT"], dbname=database, user=user, password=known[secret]
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def asked(deployment: Deployment, sql: str) -> list[tuple[Any, ...]]:
    """What the read-only analyst gets."""
    with connected(deployment, "scx_analyst", "SCX_ANALYST_PASSWORD") as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def jobs_of(deployment: Deployment, month: str) -> int:
    """How many jobs of a month the analyst sees; -1 while tables or database are not there."""
    sql = f"SELECT COUNT(*) FROM public.auto_classification_logs WHERE to_char(created_at, 'YYYY-MM') = '{month}'"
    try:
        return int(asked(deployment, sql)[0][0])
    except psycopg2.Error:
        return -1


def runs(deployment: Deployment) -> list[str]:
    """How the runs of the star's job stand, in the order in which they were asked for, as Dagster's database has it."""
    sql = "SELECT status FROM runs WHERE pipeline_name = 'scx' ORDER BY id"
    with connected(deployment, "dagster", "DAGSTER_POSTGRES_PASSWORD", "dagster") as cursor:
        cursor.execute(sql)
        return [status for (status,) in cursor.fetchall()]


@contextmanager
def held_up(deployment: Deployment, cause: Callable[[], object]) -> Iterator[None]:
    """Cause a load, and keep it from publishing: a run stands in the middle of it until this ends or the database goes."""
    # The report's run waits for the table too, but has not the star's lock.
    waiting = (
        "SELECT COUNT(*) FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND wait_event_type = 'Lock'"
    )

    def stands() -> bool:
        with connected(deployment, "postgres", "POSTGRES_PASSWORD") as cursor:
            cursor.execute(waiting)
            return bool(cursor.fetchone()[0])

    with connected(deployment, "postgres", "POSTGRES_PASSWORD") as holder:
        holder.execute("LOCK TABLE public.auto_classification_logs IN ACCESS EXCLUSIVE MODE")
        cause()
        deployment.wait("a run waits for the lock", stands)
        yield


def test_all_services_become_healthy_and_the_samples_are_loaded(deployment: Deployment) -> None:
    deployment.wait_healthy()
    deployment.wait("the samples are there", lambda: jobs_of(deployment, "2021-11") > 0)


def test_an_object_put_into_the_bucket_ends_as_rows_for_the_read_only_analyst(
    deployment: Deployment, bucket: S3Store
) -> None:
    rows = [job(900_000 + at, f"2022-01-{at + 1:02} 10:00:00") for at in range(20)]
    obstore.put(bucket, f"{PREFIX}2022/01/new.csv", csv_text(rows).encode())
    deployment.wait("20 jobs of January", lambda: jobs_of(deployment, "2022-01") == 20)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        asked(deployment, "DELETE FROM public.auto_classification_logs")


def test_what_runs_print_lies_in_its_own_bucket(deployment: Deployment) -> None:
    logs = bucket_of(deployment, "scx-dagster-logs")
    deployment.wait("a run's output", lambda: bool(logs.list("dagster").collect()))


def test_killed_in_the_middle_of_a_load_all_come_back_and_nothing_is_lost_or_doubled(
    deployment: Deployment, bucket: S3Store
) -> None:
    deployment.wait("no run is on its way", lambda: set(runs(deployment)) == {"SUCCESS"})
    before = len(runs(deployment))
    rows = [job(910_000 + at, f"2022-02-{at + 1:02} 10:00:00") for at in range(25)]
    key = f"{PREFIX}2022/02/new.csv"
    with held_up(deployment, lambda: obstore.put(bucket, key, csv_text(rows).encode())):
        for name in ("code", "daemon", "postgres"):
            deployment.services[name].kill()
    deployment.wait("25 jobs of February", lambda: jobs_of(deployment, "2022-02") == 25)
    deployment.wait_healthy()
    assert jobs_of(deployment, "2022-01") == 20
    deployment.wait("the runs are over", lambda: set(runs(deployment)) == {"FAILURE", "SUCCESS"})
    assert runs(deployment)[before:] == ["FAILURE", "SUCCESS"]


def test_all_stop_cleanly(deployment: Deployment) -> None:
    codes = deployment.down()
    assert codes == dict.fromkeys(codes, 0)
