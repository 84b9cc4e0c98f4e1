"""Alerts about real loads: each kind of problem is sent once to all receivers, and again if it recurs.

After each test, everything received is searched for secrets and for the people in rows and keys.
"""

from __future__ import annotations

import time
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from scx_pipeline.alerts.observations import RunScope
from scx_pipeline.alerts.problems import SensorState
from scx_pipeline.errors import CheckFailedError
from scx_pipeline.orchestration.runs.run_history import read_run_history
from scx_pipeline_tests.support.load_env import FACTS, STAGING, scx_star
from scx_pipeline_tests.support.orchestration.alert_env import (
    BEFORE,
    FAILED,
    IMMEDIATELY,
    MAILBOX,
    MONTHS,
    NOW,
    PERSON,
    WORD,
    AlertEnv,
    AlertEnvFactory,
    add_lost_run,
    invalid_row,
    person,
)

CHECK_FAILED = CheckFailedError.kind


def test_a_failed_run_is_sent_once_with_its_failed_checks_until_its_months_are_loaded(
    alert_env: AlertEnv,
) -> None:
    alert_env.put(person(1), invalid_row(2))
    first = alert_env.run_now()
    assert alert_env.tick(3) == [FAILED]
    sent = alert_env.last
    assert (sent["kind"], sent["failure"], sent["run_id"]) == ("run", CHECK_FAILED, first.run_id)
    assert sent["checks"] == [{"table": STAGING, "check": "rejected_rows"}]
    assert sent["months"] == [str(BEFORE), str(NOW)]
    assert sent["links"] == [{"name": "Run", "url": f"https://dagster.example.com/runs/{first.run_id}"}]
    alert_env.run_now()
    assert alert_env.tick(2) == [], "retries by the object sensor are not sent"
    alert_env.put(person(1))
    assert alert_env.run_now().success
    assert alert_env.tick(2) == []
    alert_env.put(person(1), invalid_row(2))
    alert_env.run_now()
    assert alert_env.tick(2) == [FAILED], "a problem that was fixed and occurred again is sent again"


def test_removing_the_bad_file_resolves_the_failed_run(alert_env: AlertEnv) -> None:
    bad = alert_env.put(invalid_row(2))
    alert_env.run_now()
    assert alert_env.tick(2) == [FAILED]
    bad.unlink()
    assert alert_env.tick(2) == []
    alert_env.put(invalid_row(2))
    alert_env.run_now()
    assert alert_env.tick(2) == [FAILED]


def test_a_freshness_check_that_warned_is_sent_once_until_it_passes(alert_env: AlertEnv) -> None:
    overdue, old = f"scx: freshness on {FACTS} warned", NOW.shift(-5)
    assert alert_env.tick() == []
    alert_env.load_env.put(f"{old.year}/{old.month:02d}/jobs.csv", [person(1, f"{old}-02")])
    alert_env.run(str(old))
    new = alert_env.put(person(2))
    alert_env.run_now()
    assert alert_env.tick(2) == [overdue], (
        "a warning is sent although the next load has already passed the check"
    )
    sent = alert_env.last
    assert (sent["kind"], sent["checks"]) == ("check", [{"table": FACTS, "check": "freshness"}])
    page = f"https://dagster.example.com/assets/scx/{FACTS}?view=checks&checkDetail=freshness"
    assert page in [item["url"] for item in sent["links"]]
    new.unlink()
    alert_env.run_now()
    assert alert_env.tick(2) == [overdue]
    alert_env.run(str(old))
    assert alert_env.tick() == [], "a repeated warning is not sent again"


def test_a_freshness_check_that_a_load_of_an_older_month_does_not_evaluate_stays_open(
    alert_env: AlertEnv,
) -> None:
    warned, older, newest = f"scx: freshness on {FACTS} warned", NOW.shift(-8), NOW.shift(-5)
    assert alert_env.tick() == []
    for number, month in enumerate((older, newest)):
        alert_env.load_env.put(f"{month.year}/{month.month:02d}/jobs.csv", [person(number, f"{month}-02")])
        alert_env.run(str(month))
    assert alert_env.tick(2) == [warned]
    assert alert_env.run(str(older)).success
    assert alert_env.tick(2) == []
    alert_env.run(str(newest))
    assert alert_env.tick(2) == [], "it has not passed in between"


def test_an_overdue_month_is_sent_once_until_it_is_loaded(alert_env_of: AlertEnvFactory) -> None:
    alert_env = alert_env_of(alert_overdue_hours=IMMEDIATELY)
    alert_env.put(person(1))
    assert alert_env.tick(3) == ["scx: 2 months are overdue"]
    assert (alert_env.last["kind"], alert_env.last["month_ranges"]) == ("overdue", [str(MONTHS)])
    assert alert_env.run_now().success
    assert alert_env.tick(2) == []
    alert_env.put(person(1), person(2))
    assert alert_env.tick(3) == ["scx: 2 months are overdue"]


def test_a_month_whose_load_failed_is_sent_as_a_failed_run_and_not_as_overdue(
    alert_env_of: AlertEnvFactory,
) -> None:
    alert_env = alert_env_of(alert_overdue_hours=IMMEDIATELY)
    alert_env.put(person(1))
    add_lost_run(alert_env)
    assert alert_env.tick(3) == [FAILED]


def test_rejected_rows_are_sent_once_above_the_threshold_and_not_below(alert_env_of: AlertEnvFactory) -> None:
    alert_env = alert_env_of(alert_rejected=0.02)
    many, title = [person(number) for number in range(1, 101)], f"scx {MONTHS}: rows were rejected"
    for bad, expected in ((3, [title]), (1, []), (3, [title])):
        alert_env.put(*many[bad:], *map(invalid_row, range(101, 101 + bad)))
        assert alert_env.run_now().success
        assert alert_env.tick(2) == expected
    assert alert_env.last["counts"] == {"rows_read": 100, "rows_rejected": 3}


def test_an_unexpected_error_is_sent_with_its_class_only(
    alert_env: AlertEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError(f"{PERSON} {MAILBOX} {WORD}")

    alert_env.put(person(1))
    with monkeypatch.context() as patch:
        patch.setattr("scx_pipeline.loading.loader.Loader.load", fail)
        alert_env.run_now()
    assert alert_env.tick(2) == [FAILED]
    assert alert_env.last["failure"] == "ZeroDivisionError"


def test_a_run_whose_process_ended_is_sent_with_that_reason(alert_env: AlertEnv) -> None:
    run = add_lost_run(alert_env)
    assert alert_env.tick(2) == [FAILED]
    assert (alert_env.last["failure"], alert_env.last["run_id"]) == ("process", run.run_id)


def test_a_run_that_dagster_retries_is_sent_after_its_last_attempt(alert_env: AlertEnv) -> None:
    first = add_lost_run(alert_env, **{"dagster/will_retry": "true"})
    assert alert_env.tick(2) == []
    last = add_lost_run(alert_env, **{"dagster/will_retry": "false", "dagster/parent_run_id": first.run_id})
    assert alert_env.tick(2) == [FAILED]
    assert alert_env.last["run_id"] == last.run_id


def test_a_run_of_another_code_location_is_not_sent(instance: dg.DagsterInstance) -> None:
    for location in ("ours", "elsewhere"):
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
        origin = RemoteJobOrigin(repository, "a_job")
        run = dg.DagsterRun("a_job", str(uuid4()), remote_job_origin=origin, job_code_origin=None)
        instance.add_run(run)
        instance.report_run_failed(run)
    [found] = read_run_history(instance, [scx_star()], SensorState(), time.time(), "ours").runs
    assert (found.target, found.failure) == (RunScope("", "a_job"), "process")
