"""The commands from a generated bucket to answers: generate, plan, load, status, rejected and analyze.

The rows that are loaded are not compared here.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from scx_pipeline.declarations import star_folder
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.support.load_env import csv_text, job
from scx_pipeline_tests.support.scx_command import Scx


def test_generate_reports_what_a_correct_load_must_find(scx: Scx, home: Path) -> None:
    result = scx(
        "generate", "scx", "--to", "2021-02", "--months", "2", "--jobs", "50", "--bad-rows", "3", "--json"
    )
    report = json.loads(result.out)
    assert (report["jobs"], report["bad_rows"], report["objects"]) == (50, 3, 2)
    assert sum(report["jobs_by_month"].values()) == 50
    assert len(list((home / "bucket").rglob("*.csv"))) == 2


def test_plan_load_status_rejected_and_analyze_report_consistent_numbers(scx: Scx, bucket: Path) -> None:
    planned = json.loads(scx("plan", "scx", "--json").out)
    assert [item["month"] for item in planned["due"]] == ["2020-12", "2021-01", "2021-02", "2021-03"]
    loaded = scx("load", "scx", "--json")
    assert loaded.code == 0, loaded.err
    (outcome,) = json.loads(loaded.out)
    assert outcome["published"]
    assert sum(outcome["rows"]["auto_classification_logs"].values()) == 300
    assert (outcome["rows_read"], outcome["rows_rejected"], outcome["rows_deduplicated"]) == (310, 6, 4)
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []
    status = json.loads(scx("status", "scx", "--json").out)
    assert sum(item["rows"]["staging_cleansed_logs"] for item in status["months"]) == 300
    assert all(check["passed"] for check in status["checks"])
    rejected = json.loads(scx("rejected", "scx", "--json").out)
    assert len(rejected) == 6
    assert all(
        row["file"].endswith(".csv") and row["line"] > 1 and row["reason"] and row["raw"] for row in rejected
    )
    answers = json.loads(scx("analyze", "scx", "--json").out)
    assert sum(row["jobs"] for row in answers["ground_profile_by_month"]) == 300


def test_plan_lists_the_first_ignored_objects_and_counts_the_others(scx: Scx, bucket: Path) -> None:
    file = next(bucket.rglob("*2021-02.csv"))
    for number in range(6):
        file.with_name(f"[red]{number}.txt").write_text("x")
    file.with_name(f"{file.name}.md5").write_text("x")
    result = scx("plan", "scx").out
    shown = [line for line in result.splitlines() if line.startswith("ignored: ")]
    assert len(shown) == 5
    assert all(
        line.endswith(" (matches no pattern of its source, or is a sidecar file)") and "/[red]" in line
        for line in shown
    )
    assert "and 2 more: --json prints all" in result
    assert len(json.loads(scx("plan", "scx", "--json").out)["ignored"]) == 7
    file.with_name("[red]5.txt").unlink()
    file.with_name("[red]4.txt").unlink()
    assert "--json prints all" not in scx("plan", "scx").out


def test_plan_of_all_stars_shows_valid_stars_and_fails_for_invalid_stars(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = scx("plan")
    assert (result.code, result.err) == (0, "")
    assert "scx: 4 months due" in result.out
    assert "songplays: 0 months due; the bucket has no objects under " in result.out

    def load(folder: Path) -> CompiledStar:
        if folder.name in ("songplays", "sensor_readings"):
            raise DeclarationError("defs.yaml, line 7: no such role [bold]")
        return load_star(folder)

    monkeypatch.setattr(star_folder, "load_star", load)
    result = scx("plan")
    assert result.code == 1
    assert "scx: 4 months due" in result.out
    assert "no such role" not in result.out
    message = "error: sensor_readings, songplays: defs.yaml, line 7: no such role [bold]"
    assert result.err.splitlines() == [message]
    result = scx("plan", "--json")
    assert (result.code, result.err.splitlines()) == (1, [message])
    found = json.loads(result.out)
    assert len(found["stars"]["scx"]["due"]) == 4
    assert found["stars"]["songplays"] == {"error": "defs.yaml, line 7: no such role [bold]"}
    assert found["leftovers_of_removed_stars"] == []


def test_plan_of_all_stars_fails_without_a_warehouse_or_objects(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://me@127.0.0.1:9/dev")
    result = scx("plan", "--json")
    assert result.code == 1
    found = json.loads(result.out)
    assert all("127.0.0.1:9" in item["error"] for item in found["stars"].values())
    assert found["leftovers_of_removed_stars"] is None
    [line] = result.err.splitlines()
    assert line.startswith("error: scx, sensor_readings, songplays: ")
    monkeypatch.delenv("SCX_WAREHOUSE_URL")
    shutil.rmtree(bucket / "auto_classify_jobs")
    result = scx("plan")
    assert result.code == 1
    assert "has no objects of any star: set SCX_BUCKET_URL" in result.err


def test_load_prints_a_report_of_the_published_months(scx: Scx, bucket: Path) -> None:
    result = scx("load", "scx", "--from", "2021-01", "--to", "2021-03")
    assert result.code == 0
    assert "scx 2021-01…2021-03: published" in result.out
    assert "public.auto_classification_logs" in result.out
    assert "310 rows read: 6 rejected, 4 deduplicated" in result.out
    assert "nothing to load" in scx("load", "scx", "--changed").out or "2020-12" in scx("status", "scx").out


def test_load_says_that_only_an_added_object_was_read(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx", "--from", "2021-02", "--to", "2021-02").code == 0
    added = csv_text([job(10**6, "2021-02-10 10:00:00")])
    (bucket / "auto_classify_jobs" / "2021" / "02" / "added.csv").write_text(added)
    assert "1 added object (" in scx("load", "scx", "--from", "2021-02", "--to", "2021-02").out


def test_load_and_status_count_the_same_checks(scx: Scx, bucket: Path) -> None:
    shown = scx("load", "scx").out
    total = sum(map(int, re.findall(r"^public\..* (\d+) passed *$", shown, re.MULTILINE)))
    assert f" rejected; {total} checks of what was published, 0 not passed" in scx("status", "scx").out
    assert "freshness and volume: 1 passed, 1 warned" in shown


def test_analyze_prints_a_chart(scx: Scx, bucket: Path) -> None:
    scx("load", "scx", "--all")
    result = scx("analyze", "scx", "ground_profile_by_month")
    assert result.code == 0
    assert "█" in result.out
    assert "202102" in result.out


def test_a_load_with_a_failed_check_exits_with_1_and_changes_nothing(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx", "--all").code == 0
    before = json.loads(scx("status", "scx", "--json").out)
    file = next(bucket.rglob("*2021-02.csv"))
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join([lines[0], *("not,a,row\n" for _ in range(20)), *lines[1:]]), "utf-8")
    result = scx("load", "scx", "--month", "2021-02")
    assert result.code == 1
    assert "was not published, nothing was changed" in result.err
    assert "rejected_rows" in result.err
    after = json.loads(scx("status", "scx", "--json").out)
    assert before.pop("failed_run") is None
    assert after.pop("failed_run")["message"] in result.err
    assert list(after.pop("held")) == ["2021-02"]
    assert before.pop("held") == {}
    assert after == before


def test_load_from_an_empty_bucket_names_the_prefix(scx: Scx, bucket: Path) -> None:
    shutil.rmtree(bucket / "auto_classify_jobs")
    result = scx("load", "scx")
    assert result.code == 1
    assert "has no objects under its root that match auto_classify_jobs_concatenated.csv* or " in result.err


@pytest.fixture
def concatenated(home: Path, scx: Scx) -> Path:
    """Return the bucket with the original's layout: one file of all months, at the root."""
    report = scx(
        "generate", "scx", "--to", "2021-03", "--months", "3", "--jobs", "90", "--layout", "concatenated"
    )
    assert report.code == 0, report.err
    name = "auto_classify_jobs_concatenated.csv"
    (home / "bucket" / "auto_classify_jobs" / name).rename(home / "bucket" / name)
    return home / "bucket"


def test_the_original_layout_is_planned_loaded_and_shown_in_few_lines(scx: Scx, concatenated: Path) -> None:
    months = Month(2020, 1), Month.current()
    planned = scx("plan", "scx").out
    assert re.search(rf"^{months[0]}…{months[1]} +not loaded yet +1 ", planned, re.MULTILINE), planned
    assert len(planned.splitlines()) < 6
    due = json.loads(scx("plan", "scx", "--json").out)["due"]
    assert [item["month"] for item in due] == [str(month) for month in MonthRange(*months)]
    assert scx("load", "scx").code == 0
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []
    shown = scx("status", "scx").out
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("20")] == [
        "2020-01…2020-12", "2021-01", "2021-02", "2021-03", f"2021-04…{months[1]}",
    ]  # fmt: skip
    status = json.loads(scx("status", "scx", "--json").out)
    assert sum(item["rows"]["auto_classification_logs"] for item in status["months"]) == 90


def test_a_concatenated_file_may_be_in_the_folder_and_months_next_to_it(scx: Scx, concatenated: Path) -> None:
    folder = concatenated / "auto_classify_jobs"
    (concatenated / "auto_classify_jobs_concatenated.csv").rename(
        folder / "auto_classify_jobs_concatenated.csv"
    )
    (folder / "2021" / "03").mkdir(parents=True)
    (folder / "2021" / "03" / "more.csv").write_text(csv_text([job(10**8, "2021-03-20 10:00:00")]))
    (concatenated / "notes.csv").write_text("not,a,log\n")
    planned = json.loads(scx("plan", "scx", "--json").out)
    assert planned["ignored"] == ["notes.csv"]
    assert {item["objects"] for item in planned["due"]} == {1, 2}
    assert scx("load", "scx").code == 0
    status = json.loads(scx("status", "scx", "--json").out)
    assert sum(item["rows"]["auto_classification_logs"] for item in status["months"]) == 91
