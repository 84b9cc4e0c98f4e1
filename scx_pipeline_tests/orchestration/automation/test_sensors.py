"""The sensor and the schedule, tick by tick, on a real instance: what they ask for, and what they leave alone.
Which of the changed months are due is decided in `due`, and tested in planning/test_run_requests.py."""

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
from scx_pipeline_tests.support.dagster_env import Desk
from scx_pipeline_tests.support.load_env import job, jobs_of

HOLD_THE_FILE = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@dataclass
class Daemon:
    """Dagster's daemon, as far as a sensor can tell: it keeps the cursor, and runs each key once."""

    desk: Desk
    cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        """Evaluate the sensor once, and keep its cursor."""
        sensor = self.desk.definitions.resolve_sensor_def("scx_objects")
        with dg.build_sensor_context(
            instance=self.desk.instance,
            cursor=self.cursor,
            resources=dict(self.desk.definitions.resources or {}),
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data

    def asked(self) -> list[str]:
        """The spans that a tick asks for."""
        return [range_of(request) for request in self.tick().run_requests or []]

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult | None:
        """What a request becomes: a run, unless its key was run before."""
        assert request.run_key is not None
        if self.desk.instance.get_runs(dg.RunsFilter(tags={sensors.RUN_KEY: request.run_key})):
            return None
        return self.desk.run(
            request.tags[RANGE_START],
            request.tags[RANGE_END],
            tags={**request.tags, sensors.RUN_KEY: request.run_key},
        )

    def tick_and_run(self) -> list[str]:
        """Tick, and run what was asked for; the spans that became a run."""
        results = [(range_of(request), self.run(request)) for request in self.tick().run_requests or []]
        return [asked for asked, result in results if result]


def range_of(request: dg.RunRequest) -> str:
    """The first and last month of what a request is for."""
    return f"{request.tags[RANGE_START]}…{request.tags[RANGE_END]}"


@pytest.fixture
def daemon(desk: Desk) -> Daemon:
    return Daemon(desk)


def put_job(desk: Desk, name: str, job_id: int = 1, day: str = "2021-03-05", **values: object) -> Path:
    """Put a file with one job into the folder; where it is."""
    return desk.world.bucket_path / desk.world.put(name, [job(job_id, f"{day} 10:00:00", **values)])


def test_an_empty_bucket_asks_for_nothing_and_says_so(daemon: Daemon) -> None:
    data = daemon.tick()
    assert data.run_requests == []
    assert data.skip_message == "no month has changed, or its run is on its way"


def test_a_new_object_asks_for_the_months_it_may_hold_in_one_run(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    assert daemon.asked() == ["2021-02…2021-03"]


def test_each_contiguous_span_of_changed_months_is_one_run_and_nothing_is_run_twice(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    put_job(daemon.desk, "2021/04/jobs.csv", 2, "2021-04-05")
    put_job(daemon.desk, "2021/08/jobs.csv", 3, "2021-08-05")
    assert daemon.tick_and_run() == ["2021-02…2021-04", "2021-07…2021-08"]
    assert jobs_of(daemon.desk.world) == [1, 2, 3]
    assert daemon.tick_and_run() == []
    assert daemon.desk.instance.get_runs_count() == 2


def test_a_rebuild_of_all_months_is_one_run_whatever_changes_meanwhile(daemon: Daemon) -> None:
    world = daemon.desk.world
    put_job(daemon.desk, "2021/03/jobs.csv")
    put_job(daemon.desk, "2021/08/jobs.csv", 3, "2021-08-05")
    daemon.tick_and_run()
    with world.warehouse.transaction("an administrator") as session:
        session.execute("DROP TABLE public.projects")
    [first] = daemon.tick().run_requests or []
    put_job(daemon.desk, "2021/05/jobs.csv", 2, "2021-05-05")
    assert daemon.tick_and_run() == [range_of(first)] == ["2021-02…2021-08"]
    assert jobs_of(world) == [1, 2, 3]
    assert daemon.asked() == []


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_month_whose_run_is_on_its_way_is_not_asked_for_again(daemon: Daemon, status: str) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    [request] = daemon.tick().run_requests or []
    tags = {**request.tags, sensors.RUN_KEY: request.run_key or ""}
    run = dg.DagsterRun(job_name="scx", tags=tags, status=dg.DagsterRunStatus(status))
    daemon.desk.instance.add_run(run)
    data = daemon.tick()
    assert data.run_requests == []
    assert "on its way" in (data.skip_message or "")


def test_a_run_that_is_asked_for_shows_its_months_in_the_list_of_runs(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    [request] = daemon.tick().run_requests or []
    shown = {name: value for name, value in request.tags.items() if not name.startswith("dagster/")}
    assert shown == {"months": "2021-02…2021-03"}


def test_a_tick_that_is_repeated_asks_by_the_same_keys(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    first, second = daemon.tick().run_requests, daemon.tick().run_requests
    assert first
    assert [item.run_key for item in first] == [item.run_key for item in second or []]


def test_a_file_that_is_overwritten_within_the_same_moment_is_noticed(daemon: Daemon) -> None:
    path = put_job(daemon.desk, "2021/03/jobs.csv", 1)
    before = path.stat()
    daemon.tick_and_run()
    put_job(daemon.desk, "2021/03/jobs.csv", 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.desk.world) == [2]


def test_a_late_file_that_is_older_than_what_was_loaded_is_noticed(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/08/jobs.csv", 8, "2021-08-05")
    daemon.tick_and_run()
    late = put_job(daemon.desk, "2021/03/a-late-one.csv", 3)
    os.utime(late, (0, 0))
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.desk.world) == [3, 8]


def test_a_deleted_object_takes_its_rows_with_it(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv", 1)
    put_job(daemon.desk, "2021/03/more.csv", 2)
    daemon.tick_and_run()
    daemon.desk.world.delete("2021/03/more.csv")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.desk.world) == [1]
    daemon.desk.world.delete("2021/03/jobs.csv")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.desk.world) == []
    assert daemon.tick_and_run() == []


def test_an_object_that_no_pattern_matches_asks_for_nothing(daemon: Daemon) -> None:
    daemon.desk.world.put_raw("2021/03/README.txt", b"not a log")
    assert daemon.asked() == []


def test_a_failed_month_is_not_retried_at_once(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv", user_id="nobody")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert daemon.tick_and_run() == []


def test_a_failed_month_is_retried_after_its_wait_until_it_is_good(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    put_job(daemon.desk, "2021/03/jobs.csv")
    with _failing_loads():
        assert daemon.tick_and_run() == ["2021-02…2021-03"]
        assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.desk.world) == [1]
    assert daemon.tick_and_run() == []


@contextmanager
def _failing_loads() -> Iterator[None]:
    """The warehouse breaks down in the middle of every load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scx_pipeline.loading.publish.publish_table", _break_down)
        yield


def _break_down(*args: object) -> None:
    raise ConnectionError("the server closed the connection")


def test_a_bad_file_that_is_mended_is_loaded_without_a_wait(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv", user_id="nobody")
    daemon.tick_and_run()
    put_job(daemon.desk, "2021/03/jobs.csv")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(daemon.desk.world) == [1]


def test_a_sensor_that_lost_its_cursor_asks_only_for_what_is_not_loaded(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    daemon.tick_and_run()
    daemon.cursor = "corrupt"
    assert daemon.asked() == []


def test_a_warehouse_that_was_deleted_is_loaded_again_after_the_wait(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    daemon.tick_and_run()
    (daemon.desk.settings.home / "dev.duckdb").unlink()
    assert daemon.asked() == [], "what its run left changed waits as what its run failed to load does"
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    again = [asked for _ in range(2) for asked in daemon.tick_and_run()]
    assert again == ["2021-02…2021-03"]
    assert jobs_of(daemon.desk.world) == [1]


def test_a_bucket_that_is_not_there_skips_the_tick_with_its_name(daemon: Daemon) -> None:
    daemon.desk.world.bucket_path.rmdir()
    data = daemon.tick()
    assert str(daemon.desk.world.bucket_path) in (data.skip_message or "")
    assert not data.run_requests


def test_a_warehouse_that_another_process_writes_skips_the_tick_and_names_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    daemon.tick_and_run()
    put_job(daemon.desk, "2021/04/jobs.csv", 4, "2021-04-05")
    monkeypatch.setattr(sensors, "TICK_LOCK_TIMEOUT", 0.2)
    remembered = daemon.cursor
    with _held_by_another_process(daemon.desk.settings.home / "dev.duckdb") as pid:
        data = daemon.tick()
    assert str(pid) in (data.skip_message or "")
    assert "dev.duckdb is in use by" in (data.skip_message or "")
    assert daemon.cursor == remembered
    assert daemon.asked() == ["2021-03…2021-04"]


@contextmanager
def _held_by_another_process(path: Path) -> Iterator[int]:
    argv = [sys.executable, "-c", HOLD_THE_FILE, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid
        holder.stdin.close()


def test_a_tick_over_100_000_objects_takes_less_than_half_a_minute(daemon: Daemon) -> None:
    _put_many(daemon.desk.world.bucket_path, 100_000)
    begun = time.monotonic()
    assert daemon.asked() == ["2020-01…2021-12"]
    assert time.monotonic() - begun < 30


def _put_many(bucket: Path, count: int) -> None:
    """That many small files, spread over two years."""
    for month in range(24):
        folder = bucket / "auto_classify_jobs" / f"{2020 + month // 12}" / f"{month % 12 + 1:02d}"
        folder.mkdir(parents=True)
        for number in range(month, count, 24):
            os.close(os.open(folder / f"{number:06d}.csv", os.O_CREAT | os.O_WRONLY))


def schedule(desk: Desk, moment: datetime) -> list[dg.RunRequest] | str:
    """What the hourly schedule asks for at a moment, or why it skips."""
    hourly = desk.definitions.resolve_schedule_def("scx_hourly")
    with dg.build_schedule_context(
        instance=desk.instance,
        scheduled_execution_time=moment,
        resources=dict(desk.definitions.resources or {}),
    ) as context:
        data = hourly.evaluate_tick(context)
    return list(data.run_requests or []) or data.skip_message or ""


NOON = datetime(2021, 5, 1, 12, tzinfo=UTC)


def test_the_schedule_asks_every_hour_for_what_is_not_loaded_yet(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    requests = [schedule(daemon.desk, NOON + timedelta(hours=hour)) for hour in (0, 0, 1)]
    keys = []
    for asked in requests:
        assert isinstance(asked, list)
        assert [range_of(request) for request in asked] == ["2021-02…2021-03"]
        keys.append(asked[0].run_key)
    assert keys[0] == keys[1], "an hour that is evaluated twice is run once"
    assert keys[1] != keys[2], "a month that is still due an hour later is tried again"


def test_the_schedule_skips_when_all_is_loaded(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    daemon.desk.world.load("2021-02", "2021-03")
    assert schedule(daemon.desk, NOON) == "nothing has changed"


def test_the_schedule_skips_with_a_reason_when_the_bucket_is_gone(daemon: Daemon) -> None:
    daemon.desk.world.bucket_path.rmdir()
    assert str(daemon.desk.world.bucket_path) in schedule(daemon.desk, NOON)


def test_what_the_schedule_asks_for_is_a_run_that_loads_it(daemon: Daemon) -> None:
    put_job(daemon.desk, "2021/03/jobs.csv")
    asked = schedule(daemon.desk, NOON)
    assert isinstance(asked, list)
    result = daemon.run(asked[0])
    assert result is not None
    assert result.success
    assert jobs_of(daemon.desk.world) == [1]
