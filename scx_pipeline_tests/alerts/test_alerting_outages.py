"""Alerts about a missing bucket and an unusable warehouse: sent once to all receivers, and again if they recur.

After each test, everything received is searched for secrets and for the people in rows and keys.
"""

from __future__ import annotations

import pytest

from scx_pipeline.orchestration.automation import alerting
from scx_pipeline_tests.support.leaks import leaks
from scx_pipeline_tests.support.orchestration.alert_env import (
    FAILED,
    IMMEDIATELY,
    UNREACHABLE,
    WORD,
    AlertEnv,
    AlertEnvFactory,
    person,
)
from scx_pipeline_tests.support.processes.locked_file import locked_by_another_process


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


def test_a_locked_warehouse_is_not_a_problem_and_keeps_the_state(
    alert_env_of: AlertEnvFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "TICK_LOCK_TIMEOUT", 0.1)
    alert_env = alert_env_of(alert_overdue_hours=IMMEDIATELY)
    alert_env.put(person(1))
    assert alert_env.run_now().success
    alert_env.put(person(2))
    assert alert_env.tick(2) == ["scx: 2 months are overdue"]
    with locked_by_another_process(alert_env.settings.home / "dev.duckdb"):
        assert alert_env.tick() == []
        assert "is in use by" in alert_env.remark
    assert alert_env.tick(2) == []
