"""What `scx` prints of a load that holds months: `load`, `plan`, `status` and `rejected`, until the months are corrected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.support.load_env import MARCH, MAY, LoadEnv, create_load_env, job, jobs_of
from scx_pipeline_tests.support.scx_command import Scx
from scx_pipeline_tests.support.year_of_jobs import (
    REFUSED,
    REFUSED_VALUE,
    SHARED,
    SHARED_KEY,
    YEAR,
    file_of,
    job_of,
    put_files,
    valid_year,
)

LOAD_YEAR = ("load", "scx", "--from", YEAR[0], "--to", YEAR[-1])


@pytest.fixture
def year(home: Path) -> LoadEnv:
    """The bucket and the warehouse of SCX_HOME, with a year of jobs in the bucket."""
    load_env = create_load_env(home)
    put_files(load_env, valid_year())
    return load_env


@pytest.fixture
def refused_value(scx: Scx, year: LoadEnv) -> LoadEnv:
    """A year of which March is held, because of a value that a check refuses."""
    put_files(year, REFUSED_VALUE)
    assert scx(*LOAD_YEAR).code == 1
    return year


@pytest.fixture
def shared_key(scx: Scx, year: LoadEnv) -> LoadEnv:
    """A year of which March and May are held, because of a job that is in both."""
    put_files(year, SHARED_KEY)
    assert scx(*LOAD_YEAR).code == 1
    return year


def test_load_prints_what_is_published_and_one_error_for_the_held_month(scx: Scx, year: LoadEnv) -> None:
    put_files(year, REFUSED_VALUE)
    result = scx(*LOAD_YEAR)
    assert result.code == 1
    assert result.out.startswith(f"scx 2021-01…2021-12 without {MARCH}: published\n")
    assert "public.auto_classification_logs" in result.out
    assert "15 passed, 1 failed" in result.out
    assert result.err.splitlines() == [
        f"error: scx 2021-01…2021-12: 11 of 12 months were published; {MARCH} is held and keeps its previous rows: {REFUSED}"
    ]
    assert sorted(jobs_of(year)) == [1, 2, *range(4, 13)]


def test_load_names_both_months_that_share_a_key_and_the_reason_once(scx: Scx, year: LoadEnv) -> None:
    put_files(year, SHARED_KEY)
    result = scx(*LOAD_YEAR)
    assert result.code == 1
    assert result.out.startswith(f"scx 2021-01…2021-12 without {MARCH}, {MAY}: published\n")
    [error] = result.err.splitlines()
    assert error.startswith(
        f"error: scx 2021-01…2021-12: 10 of 12 months were published; {MARCH}, {MAY} are held and keep their previous rows: "
        f"{SHARED}; if these rows are right, declare another key for staging_cleansed_logs ("
    )
    assert (result.out + result.err).count(SHARED) == 1
    assert sorted(jobs_of(year)) == [1, 2, 4, *range(6, 13)]


def test_load_as_json_has_the_held_months_with_their_reasons(scx: Scx, year: LoadEnv) -> None:
    put_files(year, SHARED_KEY)
    result = scx(*LOAD_YEAR, "--json")
    assert result.code == 1
    (outcome,) = json.loads(result.out)
    assert outcome["published"]
    assert outcome["held"] == {MARCH: SHARED, MAY: SHARED}
    assert len(outcome["rows"]["auto_classification_logs"]) == 10
    assert outcome["error"] in result.err
    failed = [check for check in outcome["checks"] if not check["passed"] and check["severity"] == "error"]
    assert [check["name"] for check in failed] == ["unique_job_id"]


def test_plan_names_the_held_months_and_their_reason_below_the_due_months(
    scx: Scx, shared_key: LoadEnv
) -> None:
    result = scx("plan", "scx")
    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()[2:5]] == ["2020-12", MARCH, MAY]
    assert f"scx: {MARCH}, {MAY} are held: {SHARED}" in result.out.splitlines()
    assert result.out.count(SHARED) == 1
    due = {item["month"]: item for item in json.loads(scx("plan", "scx", "--json").out)["due"]}
    assert (due[MARCH]["reason"], due[MARCH]["held"]) == ("not loaded yet", SHARED)
    assert due["2020-12"]["held"] is None


@pytest.mark.parametrize("command", [["status"], ["status", "scx"]])
def test_status_names_the_held_month_and_its_reason_once(
    scx: Scx, refused_value: LoadEnv, command: list[str]
) -> None:
    result = scx(*command)
    assert result.code == 0
    *_, held, failed = result.out.splitlines()
    assert held == f"scx: {MARCH} is held: {REFUSED}"
    assert failed.startswith("scx: load of 2021-01…2021-12 failed on ")
    assert failed.endswith(" UTC, because months are held")
    assert result.out.count(REFUSED) == 1


def test_status_as_json_has_the_held_months(scx: Scx, refused_value: LoadEnv) -> None:
    assert json.loads(scx("status", "scx", "--json").out)["held"] == {MARCH: REFUSED}
    assert json.loads(scx("status", "--json").out)["stars"]["scx"]["held"] == {MARCH: REFUSED}


def test_a_load_of_changes_loads_new_months_in_one_run_and_the_held_month_in_another(
    scx: Scx, refused_value: LoadEnv
) -> None:
    scx("load", "scx", "--month", "2020-12")
    put_files(refused_value, {file_of("2021-10"): [job_of("2021-10"), job(20, "2021-10-06 10:00:00")]})
    result = scx("load", "scx", "--json")
    assert result.code == 1
    changed, held = json.loads(result.out)
    assert (changed["months"], changed["published"]) == (["2021-09", "2021-10"], True)
    assert (held["months"], held["published"], held["held"]) == ([MARCH, MARCH], False, {})
    assert result.err.splitlines() == [
        f"error: scx {MARCH} was not published, nothing was changed: {REFUSED}"
    ]
    assert sorted(jobs_of(refused_value)) == [1, 2, *range(4, 13), 20]


def test_a_corrected_month_is_published_alone(scx: Scx, refused_value: LoadEnv) -> None:
    scx("load", "scx", "--month", "2020-12")
    put_files(refused_value, {file_of(MARCH): [job_of(MARCH, plan_id=20)]})
    result = scx("load", "scx", "--json")
    assert result.code == 0, result.err
    (outcome,) = json.loads(result.out)
    # February, too, may have rows in the file of March.
    assert outcome["months"] == ["2021-02", MARCH]
    assert sorted(jobs_of(refused_value)) == list(range(1, 13))
    assert "held" not in scx("status").out + scx("status", "scx").out + scx("plan", "scx").out


def test_months_that_share_a_key_stay_held_until_one_is_corrected(scx: Scx, shared_key: LoadEnv) -> None:
    scx("load", "scx", "--month", "2020-12")
    result = scx("load", "scx", "--json")
    assert result.code == 1
    assert [outcome["published"] for outcome in json.loads(result.out)] == [False, False]
    assert result.err.splitlines()[0] == (
        f"error: scx {MARCH} was not published, nothing was changed: the objects of {MARCH}, {MAY} have not changed since "
        f"these months were held: {SHARED}"
    )
    put_files(shared_key, {file_of(MAY): [job_of(MAY)]})
    result = scx("load", "scx")
    assert result.code == 0, result.err
    assert sorted(jobs_of(shared_key)) == list(range(1, 13))


def test_the_rejected_rows_of_a_first_load_that_failed_are_shown_as_held(scx: Scx, year: LoadEnv) -> None:
    put_files(year, {file_of(month): [job_of(month, user_id="unknown")] for month in YEAR})
    result = scx(*LOAD_YEAR)
    assert result.code == 1
    assert result.out == ""
    assert "scx 2021-01…2021-12 was not published, nothing was changed: rejected_rows on " in result.err
    shown = scx("rejected", "scx", "--month", MARCH)
    assert shown.code == 0
    row = next(line.split() for line in shown.out.splitlines() if file_of(MARCH) in line)
    assert row[-1] == "held"
    rows = json.loads(scx("rejected", "scx", "--json").out)
    assert len(rows) == 12
    assert {row["load"] for row in rows} == {"held"}
    assert "scx: nothing is loaded yet" in scx("status", "scx").out
