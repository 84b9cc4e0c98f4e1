"""`scx maintain`: output, JSON and exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.support.scx_command import Scx


def test_maintain_prints_a_dry_run_and_then_applies_it(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scx("load", "scx").code == 0
    monkeypatch.setenv("SCX_KEEP_STAGING_MONTHS", "2")
    monkeypatch.setenv("SCX_KEEP_RUNS_DAYS", "30")
    result = scx("maintain", "--dry-run")
    assert "scx: 1 statements would run" in result.out
    assert "expired: rows of staging_cleansed_logs: 2020-12…2021-01" in result.out
    assert "songplays: never loaded, nothing to do" in result.out
    done = scx("maintain", "scx", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["runs"] == 0
    [star] = found["stars"]
    assert star["expired"]["staging"] == {"staging_cleansed_logs": ["2020-12", "2021-01"]}
    assert star["statements"] == ["CHECKPOINT"]
    facts = {table["name"]: table["rows"] for table in star["after"]["tables"]}
    assert facts["public.auto_classification_logs"] > facts["public.staging_cleansed_logs"] > 0
    months = json.loads(scx("status", "scx", "--json").out)["months"]
    assert ["staging_cleansed_logs" in month["rows"] for month in months] == [False, False, True, True]
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []


def test_maintain_continues_after_a_star_fails(scx: Scx, home: Path) -> None:
    result = scx("maintain", "scy", "scx")
    assert result.code == 1
    assert "scy: there is no star 'scy'; did you mean scx?" in result.err
    assert "scx: never loaded, nothing to do" in result.out
