"""The alert sensor over real loads: each kind of problem is sent once to all receivers, and again if it recurs.

After each test, everything received is searched for secrets and for the people in rows and keys.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from scx_pipeline.alerts.channels import CHANNEL_SETTINGS
from scx_pipeline.alerts.observations import RunScope
from scx_pipeline.alerts.problems import SensorState
from scx_pipeline.errors import CheckFailedError
from scx_pipeline.orchestration.automation import alerting
from scx_pipeline.orchestration.automation.alerting import alert_sensor
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.runs.run_history import read_run_history
from scx_pipeline.settings import Settings
from scx_pipeline_tests.alerts.conftest import Receivers
from scx_pipeline_tests.orchestration.automation.test_sensors import LOCK_THE_FILE
from scx_pipeline_tests.support.leaks import leaks
from scx_pipeline_tests.support.load_env import FACTS, STAGING, scx_star
from scx_pipeline_tests.support.orchestration.alert_env import (
    BEFORE,
    MAILBOX,
    MONTHS,
    NOW,
    PERSON,
    WORD,
    AlertEnv,
    create_alert_env,
    invalid_row,
    person,
)
from scx_pipeline_tests.support.servers.receivers import PASSWORD, SLACK_PATH, TOKEN

CHECK_FAILED = CheckFailedError.kind
AlertEnvFactory = Callable[..., AlertEnv]
IMMEDIATELY = 1e-9  # hours
FAILED = f"scx {MONTHS}: load failed"
UNREACHABLE = "scx cannot be checked"
SECRETS = (PERSON, MAILBOX, WORD, PASSWORD, TOKEN, SLACK_PATH, "AKIAPL4NTED", "b4cket-pl4nted")


@pytest.fixture
def alert_env_of(
    tmp_path: Path, instance: dg.DagsterInstance, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AlertEnvFactory]:
    """Yield a factory of the environment; afterwards, no alert may contain a planted secret or person."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPL4NTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b4cket-pl4nted")
    yield lambda **given: create_alert_env(tmp_path, instance, receivers, **given)
    assert leaks(SECRETS, receivers.texts()) == []


@pytest.fixture
def alert_env(alert_env_of: AlertEnvFactory) -> AlertEnv:
    return alert_env_of()


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


def test_a_missing_bucket_is_sent_once_with_the_run_that_it_failed(alert_env: AlertEnv) -> None:
    bucket = alert_env.load_env.bucket_path
    bucket.rename(bucket.with_name("away"))
    failed = alert_env.run_now()
    assert alert_env.tick(3) == [UNREACHABLE]
    assert (alert_env.last["kind"], alert_env.last["failure"]) == ("unreachable", "bucket")
    assert alert_env.last["run_id"] == failed.run_id
    assert str(bucket) in alert_env.remark, "the full text is shown in the UI"
    bucket.with_name("away").rename(bucket)
    assert alert_env.tick(2) == []
    bucket.rename(bucket.with_name("away"))
    assert alert_env.tick(2) == [UNREACHABLE]
    assert alert_env.last["run_id"] is None


def test_a_run_that_a_missing_bucket_failed_is_sent_once_the_bucket_is_back(alert_env: AlertEnv) -> None:
    bucket = alert_env.load_env.bucket_path
    alert_env.put(person(1))
    bucket.rename(bucket.with_name("away"))
    alert_env.run_now()
    bucket.with_name("away").rename(bucket)
    assert alert_env.tick(2) == [FAILED]
    assert (alert_env.last["failure"], alert_env.last["checks"]) == ("bucket", [])


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


def test_a_corrupt_warehouse_is_sent_once(alert_env: AlertEnv) -> None:
    file = alert_env.settings.home / "dev.duckdb"
    for _ in range(2):
        file.write_text(f"no database, but {WORD}" * 1000)
        assert alert_env.tick(3) == [UNREACHABLE]
        assert (alert_env.last["kind"], alert_env.last["failure"]) == ("unreachable", "warehouse")
        file.unlink()
        assert alert_env.tick(2) == []


def test_an_unreachable_warehouse_server_is_sent_without_its_address(
    alert_env_of: AlertEnvFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://scx:{WORD}-{WORD}@127.0.0.1:1/dev?application_name={WORD}"
    monkeypatch.setenv("SCX_WAREHOUSE_URL", url)
    alert_env = alert_env_of()
    alert_env.put(person(1))
    failed = alert_env.run_now()
    assert alert_env.tick(2) == [UNREACHABLE]
    assert (alert_env.last["failure"], alert_env.last["run_id"]) == ("warehouse", failed.run_id)
    assert not leaks(["127.0.0.1:1", "application_name"], alert_env.receivers.texts())


def test_a_locked_warehouse_is_no_problem_and_keeps_the_state(
    alert_env_of: AlertEnvFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "TICK_LOCK_TIMEOUT", 0.1)
    alert_env = alert_env_of(alert_overdue_hours=IMMEDIATELY)
    alert_env.put(person(1))
    assert alert_env.run_now().success
    alert_env.put(person(2))
    assert alert_env.tick(2) == ["scx: 2 months are overdue"]
    argv = [sys.executable, "-c", LOCK_THE_FILE, str(alert_env.settings.home / "dev.duckdb")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        assert alert_env.tick() == []
        assert "is in use by" in alert_env.remark
        holder.stdin.close()
    assert alert_env.tick(2) == []


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


def add_lost_run(alert_env: AlertEnv, **tags: str) -> dg.DagsterRun:
    """Add a run whose process has ended, as Dagster's monitoring reports it."""
    run = dg.DagsterRun(
        "scx", str(uuid4()), tags={**range_tags(MONTHS), **tags}, status=dg.DagsterRunStatus.STARTED
    )
    alert_env.instance.add_run(run)
    alert_env.instance.report_run_failed(run, f"Detected run worker status FAILED: {WORD} {MAILBOX}")
    return run


def test_a_run_whose_process_ended_is_sent_as_such(alert_env: AlertEnv) -> None:
    run = add_lost_run(alert_env)
    assert alert_env.tick(2) == [FAILED]
    assert (alert_env.last["failure"], alert_env.last["run_id"]) == ("process", run.run_id)


def test_a_run_that_dagster_retries_is_sent_after_its_last_attempt(alert_env: AlertEnv) -> None:
    first = add_lost_run(alert_env, **{"dagster/will_retry": "true"})
    assert alert_env.tick(2) == []
    last = add_lost_run(alert_env, **{"dagster/will_retry": "false", "dagster/parent_run_id": first.run_id})
    assert alert_env.tick(2) == [FAILED]
    assert alert_env.last["run_id"] == last.run_id


def test_a_lost_cursor_sends_open_problems_once_more(alert_env: AlertEnv) -> None:
    add_lost_run(alert_env)
    assert alert_env.tick() == [FAILED]
    alert_env.cursor = "corrupt"
    assert alert_env.tick(2) == [FAILED]


def test_a_run_of_another_code_location_is_not_sent(instance: dg.DagsterInstance) -> None:
    for location in ("ours", "elsewhere"):
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
        origin = RemoteJobOrigin(repository, "a_job")
        run = dg.DagsterRun("a_job", str(uuid4()), remote_job_origin=origin, job_code_origin=None)
        instance.add_run(run)
        instance.report_run_failed(run)
    [found] = read_run_history(instance, [scx_star()], SensorState(), time.time(), "ours").runs
    assert (found.target, found.failure) == (RunScope("", "a_job"), "process")


def test_a_channel_that_was_down_is_sent_the_problem_later_and_the_others_only_once(
    alert_env: AlertEnv,
) -> None:
    add_lost_run(alert_env)
    for receiver in (alert_env.receivers.slack, alert_env.receivers.webhook):
        receiver.status = 503
    _tick_unchecked(alert_env)
    assert [len(titles) for titles in alert_env.titles()] == [0, 1, 0]
    assert "slack: 0 of 1 sent; it answered 503; it is retried" in alert_env.remark
    assert "e-mail: 1 of 1 sent" in alert_env.remark
    assert not leaks(SECRETS, [("the tick", alert_env.remark)])
    alert_env.receivers.slack.status = 200
    _tick_unchecked(alert_env)
    assert [len(titles) for titles in alert_env.titles()] == [1, 1, 0]
    alert_env.receivers.webhook.status = 200
    _tick_unchecked(alert_env)
    assert alert_env.tick(2) == []
    assert [len(titles) for titles in alert_env.titles()] == [1, 1, 1]


def _tick_unchecked(alert_env: AlertEnv) -> None:
    """Tick without requiring that all receivers got the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_env, "titles", lambda: ([], [], []))
        alert_env.tick()


def test_problems_above_the_maximum_of_a_tick_are_sent_by_the_next_ones(
    alert_env_of: AlertEnvFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "MAX_MESSAGES_PER_TICK", 1)
    alert_env = alert_env_of(alert_overdue_hours=IMMEDIATELY)
    alert_env.load_env.put("2021/03/jobs.csv", [person(1, "2021-03-05")])
    add_lost_run(alert_env)
    assert len(alert_env.tick()) == 1
    assert alert_env.tick() == ["scx: 2 months are overdue"]
    assert alert_env.tick(2) == []


def test_without_a_channel_the_sensor_is_stopped_and_names_the_settings(alert_env: AlertEnv) -> None:
    sensor = alert_sensor(Settings(home=alert_env.settings.home))
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    resources = dict(alert_env.definitions.resources or {})
    with dg.build_sensor_context(instance=alert_env.instance, resources=resources) as context:
        reason = sensor.evaluate_tick(context).skip_message or ""
    assert all(setting in reason for setting in CHANNEL_SETTINGS.values())


def test_with_a_channel_the_sensor_is_running_and_its_definition_has_no_secret(alert_env: AlertEnv) -> None:
    sensor = alert_env.definitions.resolve_sensor_def("alerts")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert not leaks(SECRETS, [("the sensor", repr(vars(sensor)))])


def test_the_sensor_state_contains_no_secret_and_no_person(alert_env_of: AlertEnvFactory) -> None:
    alert_env = alert_env_of(alert_overdue_hours=IMMEDIATELY)
    alert_env.load_env.put("2021/03/jobs.csv", [person(1, "2021-03-05")])
    alert_env.put(person(1))
    add_lost_run(alert_env)
    alert_env.tick(2)
    assert "run:scx:load" in (alert_env.cursor or "")
    assert not leaks(SECRETS, [("the cursor", alert_env.cursor or "")])
