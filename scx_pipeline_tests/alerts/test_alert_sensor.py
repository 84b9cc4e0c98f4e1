"""The alert sensor with channels that are down, too many problems, or a lost cursor, and what it stores and shows.

After each test, everything received is searched for secrets and for the people in rows and keys.
"""

from __future__ import annotations

import dagster as dg
import pytest

from scx_pipeline.alerts.channels import CHANNEL_SETTINGS
from scx_pipeline.orchestration.automation import alerting
from scx_pipeline.orchestration.automation.alerting import alert_sensor
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.leaks import leaks
from scx_pipeline_tests.support.orchestration.alert_env import (
    FAILED,
    IMMEDIATELY,
    SECRETS,
    AlertEnv,
    AlertEnvFactory,
    add_lost_run,
    person,
)


def test_a_lost_cursor_sends_open_problems_once_more(alert_env: AlertEnv) -> None:
    add_lost_run(alert_env)
    assert alert_env.tick() == [FAILED]
    alert_env.cursor = "corrupt"
    assert alert_env.tick(2) == [FAILED]


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
    sensor = alert_sensor(Settings(home=alert_env.settings.home), [])
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
