"""The object sensor after failed runs, and without its cursor, its bucket or its warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from scx_pipeline.orchestration.automation import sensors
from scx_pipeline.planning import run_requests
from scx_pipeline_tests.orchestration.automation.daemon import Daemon, put_job
from scx_pipeline_tests.support.load_env import jobs_of
from scx_pipeline_tests.support.processes.locked_file import locked_by_another_process


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
        patch.setattr("scx_pipeline.loading.targets.publish.publish_table", _fail_to_connect)
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
    with locked_by_another_process(daemon.dagster_env.settings.home / "dev.duckdb") as pid:
        data = daemon.tick()
    assert str(pid) in (data.skip_message or "")
    assert "dev.duckdb is in use by" in (data.skip_message or "")
    assert daemon.cursor == cursor
    assert daemon.requested() == ["2021-03…2021-04"]
