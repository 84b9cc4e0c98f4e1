"""The object sensor and the hourly schedule, tick by tick, on a real instance: which runs they request.

The rules for due months are tested without Dagster elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from scx_pipeline.orchestration.automation import sensors
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START
from scx_pipeline.planning import run_requests
from scx_pipeline_tests.support.load_env import job, jobs_of
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv

LOCK_THE_FILE = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()
"""


@dataclass
class Daemon:
    """A stand-in for Dagster's daemon: it keeps the cursor, and starts one run per run key."""

    dagster_env: DagsterEnv
    cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        """Evaluate the sensor once, and keep its cursor."""
        sensor = self.dagster_env.definitions.resolve_sensor_def("scx_objects")
        with dg.build_sensor_context(
            instance=self.dagster_env.instance,
            cursor=self.cursor,
            resources=dict(self.dagster_env.definitions.resources or {}),
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data

    def requested(self) -> list[str]:
        """Tick, and return the requested ranges of months."""
        return [range_of(request) for request in self.tick().run_requests or []]

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult | None:
        """Run a request, unless a run with its key exists."""
        assert request.run_key is not None
        if self.dagster_env.instance.get_runs(dg.RunsFilter(tags={sensors.RUN_KEY: request.run_key})):
            return None
        return self.dagster_env.run(
            request.tags[RANGE_START],
            request.tags[RANGE_END],
            tags={**request.tags, sensors.RUN_KEY: request.run_key},
        )

    def tick_and_run(self) -> list[str]:
        """Tick and run the requests; return the ranges of months that were run."""
        results = [(range_of(request), self.run(request)) for request in self.tick().run_requests or []]
        return [months for months, result in results if result]


def range_of(request: dg.RunRequest) -> str:
    """Return the first and the last month of a request."""
    return f"{request.tags[RANGE_START]}…{request.tags[RANGE_END]}"


@pytest.fixture
def daemon(dagster_env: DagsterEnv) -> Daemon:
    return Daemon(dagster_env)


def put_job(
    dagster_env: DagsterEnv, name: str, job_id: int = 1, day: str = "2021-03-05", **values: object
) -> Path:
    """Write a file with one row, and return its path."""
    return dagster_env.load_env.bucket_path / dagster_env.load_env.put(
        name, [job(job_id, f"{day} 10:00:00", **values)]
    )


def test_an_empty_bucket_skips_the_tick_with_a_reason(daemon: Daemon) -> None:
    data = daemon.tick()
    assert data.run_requests == []
    assert data.skip_message == "no month has changed, or its run is in progress"


def test_a_new_object_requests_one_run_of_the_months_it_may_contain(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    assert daemon.requested() == ["2021-02…2021-03"]


def test_each_contiguous_range_of_changed_months_is_one_run_and_is_not_requested_again(
    daemon: Daemon,
) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    put_job(daemon.dagster_env, "2021/04/jobs.csv", 2, "2021-04-05")
    put_job(daemon.dagster_env, "2021/08/jobs.csv", 3, "2021-08-05")
    assert daemon.tick_and_run() == ["2021-02…2021-04", "2021-07…2021-08"]
    assert jobs_of(daemon.dagster_env.load_env) == [1, 2, 3]
    assert daemon.tick_and_run() == []
    assert daemon.dagster_env.instance.get_runs_count() == 2


def test_a_rebuild_of_all_months_is_one_run_whatever_changes_meanwhile(daemon: Daemon) -> None:
    load_env = daemon.dagster_env.load_env
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    put_job(daemon.dagster_env, "2021/08/jobs.csv", 3, "2021-08-05")
    daemon.tick_and_run()
    with load_env.warehouse.transaction("an administrator") as session:
        session.execute("DROP TABLE public.projects")
    [first] = daemon.tick().run_requests or []
    put_job(daemon.dagster_env, "2021/05/jobs.csv", 2, "2021-05-05")
    assert daemon.tick_and_run() == [range_of(first)] == ["2021-02…2021-08"]
    assert jobs_of(load_env) == [1, 2, 3]
    assert daemon.requested() == []


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_month_whose_run_is_in_progress_is_not_requested_again(daemon: Daemon, status: str) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    [request] = daemon.tick().run_requests or []
    tags = {**request.tags, sensors.RUN_KEY: request.run_key or ""}
    run = dg.DagsterRun(job_name="scx", tags=tags, status=dg.DagsterRunStatus(status))
    daemon.dagster_env.instance.add_run(run)
    data = daemon.tick()
    assert data.run_requests == []
    assert "in progress" in (data.skip_message or "")


def test_a_requested_run_shows_its_months_in_the_list_of_runs(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    [request] = daemon.tick().run_requests or []
    shown = {name: value for name, value in request.tags.items() if not name.startswith("dagster/")}
    assert shown == {"months": "2021-02…2021-03"}


def test_a_repeated_tick_uses_the_same_run_keys(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    first, second = daemon.tick().run_requests, daemon.tick().run_requests
    assert first
    assert [item.run_key for item in first] == [item.run_key for item in second or []]


def test_a_file_that_is_overwritten_within_the_same_second_is_detected(daemon: Daemon) -> None:
    path = put_job(daemon.dagster_env, "2021/03/jobs.csv", 1)
    before = path.stat()
    daemon.tick_and_run()
    put_job(daemon.dagster_env, "2021/03/jobs.csv", 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.dagster_env.load_env) == [2]


def test_a_late_file_with_older_rows_than_the_loaded_ones_is_detected(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/08/jobs.csv", 8, "2021-08-05")
    daemon.tick_and_run()
    late = put_job(daemon.dagster_env, "2021/03/a-late-one.csv", 3)
    os.utime(late, (0, 0))
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.dagster_env.load_env) == [3, 8]


def test_the_rows_of_a_deleted_object_are_deleted(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv", 1)
    put_job(daemon.dagster_env, "2021/03/more.csv", 2)
    daemon.tick_and_run()
    daemon.dagster_env.load_env.delete("2021/03/more.csv")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.dagster_env.load_env) == [1]
    daemon.dagster_env.load_env.delete("2021/03/jobs.csv")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.dagster_env.load_env) == []
    assert daemon.tick_and_run() == []


def test_an_object_that_no_pattern_matches_requests_nothing(daemon: Daemon) -> None:
    daemon.dagster_env.load_env.put_raw("2021/03/README.txt", b"not a log")
    assert daemon.requested() == []


def test_a_failed_month_is_not_retried_at_once(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv", user_id="unknown")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert daemon.tick_and_run() == []


def test_a_failed_month_is_retried_after_a_delay_until_it_succeeds(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    with _failing_loads():
        assert daemon.tick_and_run() == ["2021-02…2021-03"]
        assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.dagster_env.load_env) == [1]
    assert daemon.tick_and_run() == []


@contextmanager
def _failing_loads() -> Iterator[None]:
    """Let every load fail while it publishes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scx_pipeline.loading.publish.publish_table", _fail_to_connect)
        yield


def _fail_to_connect(*args: object) -> None:
    raise ConnectionError("the server closed the connection")


def test_a_bad_file_that_is_fixed_is_loaded_without_delay(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv", user_id="unknown")
    daemon.tick_and_run()
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.dagster_env.load_env) == [1]


def test_a_sensor_without_its_cursor_requests_only_what_is_not_loaded(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    daemon.tick_and_run()
    daemon.cursor = "corrupt"
    assert daemon.requested() == []


def test_a_deleted_warehouse_is_loaded_again_after_a_delay(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    daemon.tick_and_run()
    (daemon.dagster_env.settings.home / "dev.duckdb").unlink()
    assert daemon.requested() == [], (
        "the month is delayed like that of a failed run, since its run changed nothing"
    )
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    again = [months for _ in range(2) for months in daemon.tick_and_run()]
    assert again == ["2021-02…2021-03"]
    assert jobs_of(daemon.dagster_env.load_env) == [1]


def test_a_missing_bucket_skips_the_tick_with_its_name(daemon: Daemon) -> None:
    daemon.dagster_env.load_env.bucket_path.rmdir()
    data = daemon.tick()
    assert str(daemon.dagster_env.load_env.bucket_path) in (data.skip_message or "")
    assert not data.run_requests


def test_a_warehouse_locked_by_another_process_skips_the_tick_and_names_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    daemon.tick_and_run()
    put_job(daemon.dagster_env, "2021/04/jobs.csv", 4, "2021-04-05")
    monkeypatch.setattr(sensors, "TICK_LOCK_TIMEOUT", 0.2)
    cursor = daemon.cursor
    with _locked_by_another_process(daemon.dagster_env.settings.home / "dev.duckdb") as pid:
        data = daemon.tick()
    assert str(pid) in (data.skip_message or "")
    assert "dev.duckdb is in use by" in (data.skip_message or "")
    assert daemon.cursor == cursor
    assert daemon.requested() == ["2021-03…2021-04"]


@contextmanager
def _locked_by_another_process(path: Path) -> Iterator[int]:
    argv = [sys.executable, "-c", LOCK_THE_FILE, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        yield holder.pid
        holder.stdin.close()


def test_a_tick_over_100_000_objects_takes_less_than_half_a_minute(daemon: Daemon) -> None:
    _put_many(daemon.dagster_env.load_env.bucket_path, 100_000)
    started = time.monotonic()
    assert daemon.requested() == ["2020-01…2021-12"]
    assert time.monotonic() - started < 30


def _put_many(bucket: Path, count: int) -> None:
    """Write that many empty files, spread over two years."""
    for month in range(24):
        folder = bucket / "auto_classify_jobs" / f"{2020 + month // 12}" / f"{month % 12 + 1:02d}"
        folder.mkdir(parents=True)
        for number in range(month, count, 24):
            os.close(os.open(folder / f"{number:06d}.csv", os.O_CREAT | os.O_WRONLY))


def schedule(dagster_env: DagsterEnv, time_of_tick: datetime) -> list[dg.RunRequest] | str:
    """Return the requests of the hourly schedule, or why it skips."""
    hourly = dagster_env.definitions.resolve_schedule_def("scx_hourly")
    with dg.build_schedule_context(
        instance=dagster_env.instance,
        scheduled_execution_time=time_of_tick,
        resources=dict(dagster_env.definitions.resources or {}),
    ) as context:
        data = hourly.evaluate_tick(context)
    return list(data.run_requests or []) or data.skip_message or ""


NOON = datetime(2021, 5, 1, 12, tzinfo=UTC)


def test_the_schedule_requests_every_hour_what_is_not_loaded_yet(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    ticks = [schedule(daemon.dagster_env, NOON + timedelta(hours=hour)) for hour in (0, 0, 1)]
    keys = []
    for requests in ticks:
        assert isinstance(requests, list)
        assert [range_of(request) for request in requests] == ["2021-02…2021-03"]
        keys.append(requests[0].run_key)
    assert keys[0] == keys[1], "an hour that is evaluated twice has one run"
    assert keys[1] != keys[2], "a month that is still due an hour later is requested again"


def test_the_schedule_skips_if_everything_is_loaded(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    daemon.dagster_env.load_env.load("2021-02", "2021-03")
    assert schedule(daemon.dagster_env, NOON) == "nothing has changed"


def test_the_schedule_skips_with_a_reason_if_the_bucket_is_missing(daemon: Daemon) -> None:
    daemon.dagster_env.load_env.bucket_path.rmdir()
    assert str(daemon.dagster_env.load_env.bucket_path) in schedule(daemon.dagster_env, NOON)


def test_a_run_requested_by_the_schedule_loads_the_month(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    requests = schedule(daemon.dagster_env, NOON)
    assert isinstance(requests, list)
    result = daemon.run(requests[0])
    assert result is not None
    assert result.success
    assert jobs_of(daemon.dagster_env.load_env) == [1]
