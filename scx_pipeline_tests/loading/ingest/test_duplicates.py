"""Duplicate rows of a key: the latest is kept, and a key in two months fails the load."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    MAY,
    STAGING,
    LoadEnv,
    edited_star,
    failed_load,
    job,
)

NEW, OLD = "2021-03-09 00:00:00", "2021-03-08 00:00:00"


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        (NEW, OLD, "first"),
        (OLD, NEW, "second"),
        (None, OLD, "second"),
        (OLD, None, "first"),
        ("2021-03-09T02:00:00+03:00", OLD, "first"),
        ("2021-03-09T02:00:00+03:00", NEW, "second"),
    ],
)
@pytest.mark.parametrize("files", [1, 2])
def test_the_row_with_the_latest_updated_at_is_kept(
    first: str | None, second: str | None, wins: str, files: int, duckdb_env: LoadEnv
) -> None:
    rows = [
        job(1, "2021-03-05 10:00:00", updated_at=first, ground_profile="first"),
        job(1, "2021-03-05 10:00:00", updated_at=second, ground_profile="second"),
    ]
    duckdb_env.put("2021/03/a.csv", rows[:files])
    if files == 1:
        duckdb_env.put("2021/03/b.csv", rows[1:])
    else:
        duckdb_env.put("2021/03/a.csv", rows)
    assert duckdb_env.load(MARCH).deduplicated == 1
    assert duckdb_env.table(FACTS, "job_id, ground_profile") == [(1, wins)]


def test_ties_between_equally_new_rows_are_broken_the_same_way_on_both_engines(
    duckdb_env: LoadEnv, postgres_env: LoadEnv
) -> None:
    postgres_env.bucket_url = duckdb_env.bucket_url
    texts = ["Ä", "a", "B", "", "10", "9", "ü", "\U0001f600", "é", "e\u0301"]
    rows = [
        job(
            number % 4,
            "2021-03-05 10:00:00",
            updated_at=None,
            project_name=text,
            user_id=1 + number % 3,
            plan_id=number,
        )
        | {"job_id": 1 + number % 4}
        for number, text in enumerate(texts * 3)
    ]
    duckdb_env.put("2021/03/a.csv", rows[:15])
    duckdb_env.put("2021/03/b.csv", rows[15:])
    for load_env in (duckdb_env, postgres_env):
        assert load_env.load(MARCH).deduplicated == 26
    assert duckdb_env.snapshot(load_ids=False) == postgres_env.snapshot(load_ids=False)


def test_a_duplicate_job_fails_the_load_without_sequence_by(load_env: LoadEnv, tmp_path: Path) -> None:
    load_env.compiled = edited_star(tmp_path, {STAGING: {"sequence_by": []}})
    load_env.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00"), job(8, "2021-03-05 10:00:00")])
    load_env.put("2021/03/b.csv", [job(7, "2021-03-05 10:00:00", ground_profile="other")])
    [check] = failed_load(load_env, MARCH)
    assert (check.table, check.name) == (STAGING, "unique_job_id")
    assert check.message == "job_id 7 occurs twice in 2021-03"


def test_a_job_in_two_loaded_months_fails_naming_both_months(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00")])
    load_env.put("2021/04/a.csv", [job(7, "2021-04-05 10:00:00")])
    [check] = failed_load(load_env, MARCH, APRIL)
    assert (check.table, check.name) == (STAGING, "unique_job_id")
    assert check.message == "job_id 7 occurs in 2021-03 and in 2021-04"


def test_a_job_that_is_already_in_another_month_fails_naming_both_months(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00")])
    load_env.put("2021/05/a.csv", [job(7, "2021-05-05 10:00:00")])
    load_env.load(MARCH)
    failed = failed_load(load_env, MAY)
    assert {(check.table, check.name) for check in failed} == {
        (STAGING, "unique_job_id"),
        (FACTS, "unique_job_id"),
    }
    assert {check.message for check in failed} == {"job_id 7 occurs in 2021-03 and in 2021-05"}


def test_a_job_that_moved_to_another_month_is_loaded_with_both_months(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    load_env.put("2021/03/a.csv", [])
    load_env.put("2021/04/a.csv", [job(7, "2021-04-05 10:00:00")])
    failed_load(load_env, APRIL)
    load_env.load(MARCH, APRIL)
    assert load_env.table(FACTS, "job_id, created_at") == [(7, datetime(2021, 4, 5, 10))]
