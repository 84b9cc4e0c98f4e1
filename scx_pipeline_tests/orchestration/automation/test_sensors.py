"""The object sensor, tick by tick, on a real instance: which runs it requests for new, changed and deleted objects."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline.orchestration.automation import sensors
from scx_pipeline.ownership.resets import reset
from scx_pipeline.planning import run_requests
from scx_pipeline_tests.orchestration.automation.daemon import Daemon, put_job, range_of
from scx_pipeline_tests.support.load_env import jobs_of


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


def test_after_a_reset_of_the_star_its_months_are_requested_again_under_a_new_key(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_env = daemon.dagster_env.load_env
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert daemon.tick_and_run() == []
    reset(load_env.warehouse, load_env.compiled, [])
    assert daemon.tick_and_run() == []  # the key of the earlier run, which Dagster does not run again
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    assert daemon.tick_and_run() == ["2021-02…2021-03"]
    assert jobs_of(load_env) == [1]
