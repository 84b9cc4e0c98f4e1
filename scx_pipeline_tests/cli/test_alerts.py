"""`scx alerts` and `scx alerts try`: open problems, and test messages to real receivers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.support.scx_command import Scx
from scx_pipeline_tests.support.servers.receivers import SLACK_PATH, TOKEN, hook


def test_alerts_prints_open_problems_and_sends_nothing(scx: Scx, home: Path) -> None:
    result = scx("alerts")
    assert result.code == 0
    assert "open problems: 1" in result.out
    assert "unreachable  scx, sensor_readings, songplays cannot be checked" in result.out
    assert f"the bucket {home}/bucket is not a folder" in result.out
    (home / "bucket").mkdir()
    assert json.loads(scx("alerts", "--json").out) == []


def test_alerts_prints_warned_and_failed_loads_with_links(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    (bucket / "auto_classify_jobs" / "2021" / "03" / "bad.csv").write_text("job_id\n1\n")
    assert scx("load", "scx").code == 1
    run, *others = json.loads(scx("alerts", "--json").out)
    assert (run["kind"], run["failure"], run["months"]) == ("run", "source_file", ["2021-02", "2021-03"])
    assert run["links"] == [{"name": "Run", "url": f"http://127.0.0.1:3000/runs/{run['run_id']}"}]
    assert {item["kind"] for item in others} == {"check", "rejected"}


def test_alerts_try_delivers_to_each_channel_and_reports_each_result(
    scx: Scx, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as slack, hook() as webhook:
        monkeypatch.setenv("SCX_ALERT_SLACK_URL", slack.url(SLACK_PATH))
        monkeypatch.setenv("SCX_ALERT_WEBHOOK_URL", webhook.url("/alerts"))
        monkeypatch.setenv("SCX_ALERT_WEBHOOK_TOKEN", TOKEN)
        result = scx("alerts", "try")
        assert result.code == 0, result.err
        assert result.out.count("it was delivered") == 2
        assert [body["kind"] for body in webhook.received()] == ["trial"]
        assert [body["text"] for body in slack.received()] == ["[scx] test alert"]
        webhook.status = 500
        again = scx("alerts", "try", "--json")
        assert again.code == 1
        assert json.loads(again.out) == [
            {"channel": "slack", "delivered": True, "message": "it was delivered"},
            {"channel": "webhook", "delivered": False, "message": "it answered 500 (SCX_ALERT_WEBHOOK_URL)"},
        ]


def test_alerts_try_without_a_channel_names_the_settings(scx: Scx) -> None:
    result = scx("alerts", "try")
    assert result.code == 1
    assert all(f"SCX_ALERT_{name}_URL" in result.err for name in ("SLACK", "SMTP", "WEBHOOK"))


def test_a_malformed_channel_url_is_reported_without_its_secret(
    scx: Scx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_ALERT_SLACK_URL", "http://hooks.slack.com/pl4nted")
    result = scx("alerts")
    assert result.code == 1
    assert "SCX_ALERT_SLACK_URL: it must begin with https://" in result.err
    assert "pl4nted" not in result.err


def test_alerts_reads_a_warehouse_on_a_server(
    scx: Scx, bucket: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", postgres_url)
    result = scx("alerts")
    assert result.code == 0, result.err
    assert "cannot be checked" not in result.out + result.err
