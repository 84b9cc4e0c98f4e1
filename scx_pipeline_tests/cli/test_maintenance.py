"""`scx maintain`: what it prints, its JSON and its exit code.
What it does to a warehouse is in maintenance/test_maintain.py, what it removes of Dagster's runs in orchestration/."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from scx_pipeline_tests.cli.conftest import Scx


def test_maintain_tells_what_it_would_do_and_then_does_it(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scx("load", "scx").code == 0
    monkeypatch.setenv("SCX_KEEP_STAGING_MONTHS", "2")
    monkeypatch.setenv("SCX_KEEP_RUNS_DAYS", "30")
    told = scx("maintain", "--dry-run")
    assert "scx: 1 statements would run" in told.out
    assert "not kept: rows of staging_cleansed_logs: 2020-12…2021-01" in told.out
    assert "songplays: never loaded, nothing to do" in told.out
    done = scx("maintain", "scx", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["runs"] == 0
    [star] = found["stars"]
    assert star["surplus"]["staging"] == {"staging_cleansed_logs": ["2020-12", "2021-01"]}
    assert star["statements"] == ["CHECKPOINT"]
    facts = {table["name"]: table["rows"] for table in star["after"]["tables"]}
    assert facts["public.auto_classification_logs"] > facts["public.staging_cleansed_logs"] > 0
    months = json.loads(scx("status", "scx", "--json").out)["months"]
    assert ["staging_cleansed_logs" in month["rows"] for month in months] == [False, False, True, True]
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []


def test_rejected_rows_that_are_not_kept_are_still_counted(scx: Scx, bucket: Path, home: Path) -> None:
    assert scx("load", "scx").code == 0
    assert "were only counted" not in scx("rejected", "scx").out
    with duckdb.connect(home / "dev.duckdb") as con:
        con.execute("DELETE FROM scx_pipeline.rejected_rows")  # as upkeep does after some days
    assert "6 more were only counted: " in scx("rejected", "scx").out


def test_maintain_goes_on_after_a_star_that_fails(scx: Scx, home: Path) -> None:
    told = scx("maintain", "scy", "scx")
    assert told.code == 1
    assert "scy: there is no star 'scy'; did you mean scx?" in told.err
    assert "scx: never loaded, nothing to do" in told.out
