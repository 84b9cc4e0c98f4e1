"""`scx alerts` and `scx alerts try`: what stands, told from what the sensor knows, and channels tried at real receivers.
Which problems there are, and how the channels work, is tested in alerts/ and unit/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.cli.conftest import Scx
from scx_pipeline_tests.support.servers.receivers import SLACK_PATH, TOKEN, hook


def test_what_stands_is_shown_and_nobody_is_told(scx: Scx, home: Path) -> None:
    told = scx("alerts")
    assert told.code == 0
    assert "problems that stand: 1" in told.out
    assert "unreachable  scx, sensor_readings, songplays cannot be looked at" in told.out
    assert f"the bucket {home}/bucket is not a folder" in told.out
    (home / "bucket").mkdir()
    assert json.loads(scx("alerts", "--json").out) == []


def test_a_load_that_warned_and_one_that_failed_are_shown_with_where_to_look(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    (bucket / "auto_classify_jobs" / "2021" / "03" / "bad.csv").write_text("job_id\n1\n")
    assert scx("load", "scx").code == 1
    run, *others = json.loads(scx("alerts", "--json").out)
    assert (run["kind"], run["failure"], run["months"]) == ("run", "source_file", ["2021-02", "2021-03"])
    assert run["links"] == [{"name": "Run", "url": f"http://127.0.0.1:3000/runs/{run['run_id']}"}]
    assert {item["kind"] for item in others} == {"check", "rejected"}


def test_a_trial_arrives_at_each_channel_and_says_so(scx: Scx, monkeypatch: pytest.MonkeyPatch) -> None:
    with hook() as slack, hook() as webhook:
        monkeypatch.setenv("SCX_ALERT_SLACK_URL", slack.url(SLACK_PATH))
        monkeypatch.setenv("SCX_ALERT_WEBHOOK_URL", webhook.url("/alerts"))
        monkeypatch.setenv("SCX_ALERT_WEBHOOK_TOKEN", TOKEN)
        told = scx("alerts", "try")
        assert told.code == 0, told.err
        assert told.out.count("it arrived") == 2
        assert [body["kind"] for body in webhook.received()] == ["trial"]
        assert [body["text"] for body in slack.received()] == ["[scx] a trial of the alerts"]
        webhook.status = 500
        again = scx("alerts", "try", "--json")
        assert again.code == 1
        assert json.loads(again.out) == [
            {"channel": "slack", "arrived": True, "message": "it arrived"},
            {"channel": "webhook", "arrived": False, "message": "it answered 500 (SCX_ALERT_WEBHOOK_URL)"},
        ]


def test_a_trial_without_a_channel_names_the_settings(scx: Scx) -> None:
    told = scx("alerts", "try")
    assert told.code == 1
    assert all(f"SCX_ALERT_{name}_URL" in told.err for name in ("SLACK", "SMTP", "WEBHOOK"))


def test_a_malformed_address_is_named_and_not_shown(scx: Scx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_ALERT_SLACK_URL", "http://hooks.slack.com/pl4nted")
    told = scx("alerts")
    assert told.code == 1
    assert "SCX_ALERT_SLACK_URL: it must begin with https://" in told.err
    assert "pl4nted" not in told.err


def test_a_warehouse_on_a_server_is_looked_at(
    scx: Scx, bucket: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", postgres_url)
    told = scx("alerts")
    assert told.code == 0, told.err
    assert "cannot be looked at" not in told.out + told.err
