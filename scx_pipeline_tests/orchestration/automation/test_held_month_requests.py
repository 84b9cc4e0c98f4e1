"""The object sensor after runs that held months, on a real instance: when it requests these, and what it publishes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scx_pipeline.planning import run_requests
from scx_pipeline_tests.orchestration.automation.daemon import Daemon
from scx_pipeline_tests.support.load_env import FACTS, MARCH, MAY, STAGING, job, jobs_of
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv, failure
from scx_pipeline_tests.support.year_of_jobs import (
    REFUSED,
    REFUSED_VALUE,
    SHARED,
    SHARED_KEY,
    YEAR,
    Files,
    file_of,
    job_of,
    put_files,
    valid_year,
)

# Jobs of the last day of 2020 may be in the file of January.
LOADED = ["2020-12", *YEAR]
FIRST_RANGE = f"2020-12…{YEAR[-1]}"
OF_MARCH = f"{MARCH}…{MARCH}"


def load_year(daemon: Daemon, fault: Files) -> None:
    """Write a year with a fault, and let the first tick's run load it."""
    put_files(daemon.dagster_env.load_env, valid_year() | fault)
    assert daemon.tick_and_run() == [FIRST_RANGE]


def materialized(dagster_env: DagsterEnv, table: str) -> list[str]:
    return sorted(dagster_env.materializations(table))


def jobs(daemon: Daemon) -> list[int]:
    return sorted(jobs_of(daemon.dagster_env.load_env))


def test_the_year_is_one_run_that_materializes_eleven_months_and_names_the_held_one(daemon: Daemon) -> None:
    put_files(daemon.dagster_env.load_env, valid_year() | REFUSED_VALUE)
    [request] = daemon.tick().run_requests or []
    result = daemon.run(request)
    assert result is not None
    assert not result.success
    assert f"12 of 13 months were published; {MARCH} is held" in failure(result)
    assert REFUSED in failure(result)
    for table in (STAGING, FACTS):
        assert materialized(daemon.dagster_env, table) == [month for month in LOADED if month != MARCH]
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [(check.asset_key.path[-1], check.check_name) for check in failed] == [(STAGING, "range_plan_id")]


def test_a_held_month_is_requested_alone_after_a_wait_of_its_own(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_year(daemon, REFUSED_VALUE)
    assert daemon.requested() == []
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    [request] = daemon.tick().run_requests or []
    assert request.run_key is not None
    assert request.run_key.endswith(":2")
    result = daemon.run(request)
    assert result is not None
    assert failure(result) == f"scx {MARCH} was not published, nothing was changed: {REFUSED}"
    monkeypatch.undo()
    assert daemon.requested() == []


def test_changes_of_other_months_are_requested_at_once_and_without_the_held_month(daemon: Daemon) -> None:
    load_year(daemon, REFUSED_VALUE)
    more = [job_of("2021-06"), job(20, "2021-06-06 10:00:00")]
    put_files(daemon.dagster_env.load_env, {file_of("2021-06"): more})
    assert daemon.tick_and_run() == ["2021-05…2021-06"]
    assert jobs(daemon) == [1, 2, *range(4, 13), 20]


def test_a_month_that_fails_again_does_not_keep_changes_waiting(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_year(daemon, REFUSED_VALUE)
    put_files(daemon.dagster_env.load_env, {file_of("2021-04"): [job_of("2021-04", user_id=40)]})
    # The file of April may have jobs of March, so that this is another March.
    assert daemon.tick_and_run() == [f"{MARCH}…2021-04"]
    assert (40,) in daemon.dagster_env.load_env.table("users", "user_id")
    assert daemon.requested() == []
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    assert daemon.tick_and_run() == [OF_MARCH]


def test_a_corrected_month_is_published_at_once_and_nothing_is_due_then(daemon: Daemon) -> None:
    load_year(daemon, REFUSED_VALUE)
    put_files(daemon.dagster_env.load_env, {file_of(MARCH): [job_of(MARCH, plan_id=20)]})
    assert daemon.tick_and_run() == [f"2021-02…{MARCH}"]
    assert materialized(daemon.dagster_env, FACTS) == LOADED
    assert jobs(daemon) == list(range(1, 13))
    assert daemon.requested() == []


def test_months_that_share_a_key_are_both_held_and_stay_held_when_they_are_retried(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_year(daemon, SHARED_KEY)
    published = [month for month in LOADED if month not in (MARCH, MAY)]
    assert materialized(daemon.dagster_env, FACTS) == published
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    for _ in range(2):
        requests = daemon.tick().run_requests or []
        results = [result for request in requests if (result := daemon.run(request))]
        for month, result in zip((MARCH, MAY), results, strict=True):
            assert failure(result).startswith(f"scx {month} was not published, nothing was changed: ")
            assert SHARED in failure(result)
    assert materialized(daemon.dagster_env, FACTS) == published
    assert jobs(daemon) == [1, 2, 4, *range(6, 13)]


def test_both_months_that_shared_a_key_are_published_at_once_after_one_is_corrected(daemon: Daemon) -> None:
    load_year(daemon, SHARED_KEY)
    put_files(daemon.dagster_env.load_env, {file_of(MAY): [job_of(MAY)]})
    assert daemon.tick_and_run() == [f"{MARCH}…{MAY}"]
    assert materialized(daemon.dagster_env, FACTS) == LOADED
    assert jobs(daemon) == list(range(1, 13))
    assert daemon.requested() == []
