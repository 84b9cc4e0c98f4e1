"""Months that a load holds: they keep their previous rows, and the other months of the load are published."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError, SourceFileError
from scx_pipeline.loading.held_months import UnsolvedConflictError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    MAY,
    STAGING,
    LoadEnv,
    create_load_env,
    edited_star,
    filled,
    job,
    jobs_of,
    range_of_keys,
)
from scx_pipeline_tests.support.year_of_jobs import (
    REFUSED,
    REFUSED_VALUE,
    SHARED,
    SHARED_KEY,
    YEAR,
    held,
    load_some,
    published_jobs,
    put_files,
    put_month,
    put_year,
    valid_year,
)


def test_a_month_with_a_refused_value_is_held_and_the_other_eleven_are_published(load_env: LoadEnv) -> None:
    put_files(load_env, valid_year() | REFUSED_VALUE)
    report, message = load_some(load_env, YEAR[0], YEAR[-1])
    assert held(report) == [MARCH]
    assert "2021-01…2021-12: 11 of 12 months were published" in message
    assert REFUSED in message
    assert published_jobs(load_env) == [1, 2, *range(4, 13)]
    assert [month for month in load_env.changed() if month != "2020-12"] == [MARCH]
    [failed] = report.failed
    assert dict(failed.violations) == {MARCH: 1}


@pytest.mark.reader_independent
def test_two_months_that_share_a_key_are_both_held(load_env: LoadEnv) -> None:
    put_files(load_env, valid_year() | SHARED_KEY)
    report, message = load_some(load_env, YEAR[0], YEAR[-1])
    assert held(report) == [MARCH, MAY]
    assert "10 of 12 months were published" in message
    assert SHARED in message
    assert published_jobs(load_env) == [1, 2, 4, *range(6, 13)]


@pytest.mark.reader_independent
def test_months_held_for_a_shared_key_stay_held_when_each_is_loaded_alone(load_env: LoadEnv) -> None:
    put_files(load_env, valid_year() | SHARED_KEY)
    load_some(load_env, YEAR[0], YEAR[-1])
    for month in (MARCH, MAY, MARCH):
        with pytest.raises(UnsolvedConflictError, match="have not changed since these months were held"):
            load_env.load(month)
    assert published_jobs(load_env) == [1, 2, 4, *range(6, 13)]


@pytest.mark.reader_independent
def test_months_held_for_a_shared_key_are_published_after_one_of_them_is_corrected(load_env: LoadEnv) -> None:
    put_files(load_env, valid_year() | SHARED_KEY)
    load_some(load_env, YEAR[0], YEAR[-1])
    put_month(load_env, MAY, [job(5, f"{MAY}-05 10:00:00")])
    for month in (MARCH, MAY):
        load_env.load(month)
    assert published_jobs(load_env) == list(range(1, 13))
    assert load_env.state("held_months") == []


@pytest.mark.reader_independent
def test_every_month_that_has_one_of_many_shared_keys_is_held(load_env: LoadEnv) -> None:
    put_year(load_env)
    for month in (MARCH, APRIL, MAY):
        rows = [job(100 + number, f"{month}-06 10:00:00") for number in range(10)]
        put_month(load_env, month, [*rows, job(int(month[-2:]), f"{month}-05 10:00:00")])
    report, _ = load_some(load_env, YEAR[0], YEAR[-1])
    assert held(report) == [MARCH, APRIL, MAY]


@pytest.mark.reader_independent
def test_a_held_month_keeps_its_previous_rows_and_its_previous_history(load_env: LoadEnv) -> None:
    put_year(load_env)
    load_env.load(YEAR[0], YEAR[-1])
    before = load_env.snapshot(load_ids=False)
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00", plan_id=2000, user_id=99)])
    put_month(load_env, APRIL, [job(4, f"{APRIL}-05 10:00:00", user_id=4), job(40, f"{APRIL}-06 10:00:00")])
    report, _ = load_some(load_env, MARCH, APRIL)
    assert held(report) == [MARCH]
    after = load_env.snapshot(load_ids=False)
    for name in ("months", "month_rows", "objects"):
        of_march = [
            [row for row in rows[name] if MARCH in row or "2021/03" in str(row)] for rows in (before, after)
        ]
        assert of_march[0] == of_march[1], name
    assert published_jobs(load_env) == sorted([*range(1, 13), 40])
    assert 99 not in [user for (user,) in load_env.table("users", "user_id")]


@pytest.mark.reader_independent
def test_dimensions_have_no_value_of_a_held_month(load_env: LoadEnv) -> None:
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00", user_id=7, plan_id=1)])
    put_month(
        load_env,
        APRIL,
        [job(4, f"{APRIL}-05 10:00:00", user_id=7, plan_id=2), job(5, f"{APRIL}-06 10:00:00", remove_dup=9)],
    )
    load_some(load_env, MARCH, APRIL)
    assert load_env.table("users", "user_id, plan_id") == [(7, 1)]
    assert load_env.table("time", "created_at") == load_env.table(FACTS, "created_at")


@pytest.mark.reader_independent
def test_a_violation_in_a_dimension_holds_only_the_month_that_has_the_value(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    load_env.compiled = edited_star(tmp_path, {"users.plan_id": {"range": [0, 9]}})
    for number, month in enumerate((MARCH, APRIL, MAY)):
        put_month(load_env, month, [job(number, f"{month}-05 10:00:00", plan_id=10 if month == APRIL else 1)])
    report, message = load_some(load_env, MARCH, MAY)
    assert held(report) == [APRIL]
    assert f"range_plan_id on users: plan_id is outside 0 … 9 in 1 row in {APRIL}" in message
    assert load_env.table("users", "plan_id") == [(1,)]


@pytest.mark.reader_independent
def test_a_broken_reference_holds_the_month_of_the_row(load_env: LoadEnv, tmp_path: Path) -> None:
    sql = {"users": (f"FROM {STAGING}", f"FROM {STAGING} WHERE user_id <> 77")}
    load_env.compiled = edited_star(tmp_path, sql=sql)
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00", user_id=77)])
    put_month(load_env, APRIL, [job(4, f"{APRIL}-05 10:00:00", user_id=1)])
    report, _ = load_some(load_env, MARCH, APRIL)
    assert held(report) == [MARCH]
    assert published_jobs(load_env) == [4]


@pytest.mark.reader_independent
def test_a_missing_row_of_a_monthly_table_holds_its_month(load_env: LoadEnv, tmp_path: Path) -> None:
    sql = {"time": (f"FROM {STAGING}", f"FROM {STAGING} WHERE job_id <> 3")}
    load_env.compiled = edited_star(tmp_path, sql=sql)
    for number, month in ((3, MARCH), (4, APRIL)):
        put_month(
            load_env, month, [job(number, f"{month}-05 10:00:00"), job(number + 10, f"{month}-06 10:00:00")]
        )
    report, _ = load_some(load_env, MARCH, APRIL)
    assert held(report) == [MARCH]


@pytest.mark.reader_independent
def test_a_key_that_a_published_month_has_already_holds_the_month_that_brings_it(load_env: LoadEnv) -> None:
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00")])
    load_env.load(MARCH)
    put_month(load_env, APRIL, [job(4, f"{APRIL}-05 10:00:00"), job(3, f"{APRIL}-06 10:00:00")])
    put_month(load_env, MAY, [job(5, f"{MAY}-05 10:00:00")])
    report, _ = load_some(load_env, APRIL, MAY)
    assert held(report) == [APRIL]
    assert published_jobs(load_env) == [3, 5]


def test_an_unreadable_file_holds_only_its_months(load_env: LoadEnv) -> None:
    put_year(load_env)
    load_env.put("2021/06/broken.csv", b"no,such,header\n1,2,3\n")
    report, message = load_some(load_env, YEAR[0], YEAR[-1])
    # A file may have rows of the last day of the month before.
    assert held(report) == ["2021-05", "2021-06"]
    assert "2021/06/broken.csv" in message
    assert published_jobs(load_env) == [1, 2, 3, 4, *range(7, 13)]


@pytest.mark.reader_independent  # a cluster that reads objects itself finds one file per attempt, from the headers
def test_all_unreadable_files_are_found_by_one_attempt(load_env: LoadEnv) -> None:
    put_year(load_env)
    for month in ("02", "06", "10"):
        load_env.put(f"2021/{month}/broken.csv", b"no,such,header\n1,2,3\n")
    messages: list[str] = []
    with pytest.raises(
        CheckFailedError, match=r"6 of 12 months were published.*02/broken.*06/broken.*10/broken"
    ):
        load_env.loader(messages.append).load(range_of_keys(YEAR[0], YEAR[-1]))
    [holding] = [message for message in messages if message.startswith("holding ")]
    assert holding == "holding 2021-01, 2021-02, 2021-05, 2021-06, 2021-09, 2021-10; loading the other months"
    assert published_jobs(load_env) == [3, 4, 7, 8, 11, 12]


def test_an_unreadable_file_that_may_have_rows_of_any_month_holds_all(load_env: LoadEnv) -> None:
    put_year(load_env)
    load_env.put("auto_classify_jobs_concatenated.csv", b"no,such,header\n1,2,3\n")
    with pytest.raises(SourceFileError, match="auto_classify_jobs_concatenated"):
        load_env.load(YEAR[0], YEAR[-1])
    assert load_env.snapshot() == {}


def test_the_share_of_rejected_rows_is_that_of_a_month_whatever_else_is_loaded(load_env: LoadEnv) -> None:
    for number, month in enumerate((MARCH, APRIL, MAY)):
        rows = [job(100 * number + n, f"{month}-05 10:00:00") for n in range(20)]
        put_month(load_env, month, rows)
    bad = [job(1000 + n, f"{MAY}-06 10:00:00", user_id="x") for n in range(2)]
    load_env.put("2021/05/bad.csv", bad)
    report, message = load_some(load_env, MARCH, MAY)
    assert held(report) == [MAY]  # April may have rows in the 42 rows of both months' files
    assert "2 of 22 in 2021-05" in message
    with pytest.raises(CheckFailedError, match="2 of 22 rows were rejected"):
        load_env.load(MAY)
    assert len(jobs_of(load_env)) == 40


def test_a_corrected_month_is_published_and_the_warehouse_equals_a_build_from_nothing(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    put_files(load_env, valid_year() | REFUSED_VALUE)
    load_some(load_env, YEAR[0], YEAR[-1])
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00", plan_id=20, user_id=4)])
    load_env.load_changed()
    assert load_env.changed() == []
    built = create_load_env(tmp_path / "built")
    built.bucket_url = load_env.bucket_url
    built.load("2020-12", YEAR[-1])
    assert filled(load_env) == filled(built)


@pytest.mark.reader_independent
def test_a_load_of_some_tables_holds_a_month_too(load_env: LoadEnv, tmp_path: Path) -> None:
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00", plan_id=50)])
    put_month(load_env, APRIL, [job(4, f"{APRIL}-05 10:00:00", plan_id=1, user_id=5)])
    load_env.load(MARCH, APRIL)
    load_env.compiled = edited_star(tmp_path, {"users.plan_id": {"range": [0, 9]}})
    with pytest.raises(CheckFailedError) as caught:
        load_env.load(MARCH, APRIL, tables={"users"})
    assert isinstance(caught.value.report, LoadReport)
    assert held(caught.value.report) == [MARCH]


@pytest.mark.reader_independent
def test_a_rebuild_publishes_nothing_if_a_loaded_month_must_be_held(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00", plan_id=50)])
    put_month(load_env, APRIL, [job(4, f"{APRIL}-05 10:00:00")])
    load_env.load(MARCH, APRIL)
    before = load_env.snapshot()
    changes = {f"{STAGING}.plan_id": {"range": [0, 9]}, f"{STAGING}.summary": {"type": "varchar(100)"}}
    load_env.compiled = edited_star(tmp_path, changes | {f"{STAGING}.remove_dup": {"type": "bigint"}})
    with pytest.raises(CheckFailedError, match="range_plan_id") as caught:
        load_env.load(MARCH, APRIL)
    assert isinstance(caught.value.report, LoadReport)
    assert not caught.value.report.is_published
    assert load_env.snapshot() == before


@pytest.mark.reader_independent
def test_each_check_has_the_months_that_it_was_evaluated_for(load_env: LoadEnv) -> None:
    put_year(load_env)
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00", plan_id=2000)])
    put_month(load_env, MAY, [*[job(5, f"{MAY}-05 10:00:00")], *["bad"] * 3])
    report, _ = load_some(load_env, YEAR[0], YEAR[-1])
    checks = {(check.table, check.name): check for check in report.checks}
    assert len(checks) == len(report.checks)
    found = {name: [str(month) for month in check.months] for name, check in checks.items()}
    # The first attempt ended at the rejected rows, before rows were checked.
    april_and_may = {APRIL, MAY}
    assert held(report) == [MARCH, APRIL, MAY]
    assert found[STAGING, "rejected_rows"] == YEAR
    assert set(checks[STAGING, "rejected_rows"].violations) == april_and_may
    rest = [month for month in YEAR if month not in april_and_may]
    assert found[STAGING, "range_plan_id"] == rest
    assert dict(checks[STAGING, "range_plan_id"].violations) == {MARCH: 1}
    assert found[FACTS, "references_users"] == rest
    assert checks[FACTS, "references_users"].passed


@pytest.mark.reader_independent
def test_a_load_that_published_nothing_reports_the_passed_checks_of_all_its_attempts(
    load_env: LoadEnv,
) -> None:
    put_month(load_env, MARCH, [job(3, f"{MARCH}-05 10:00:00"), *["bad"] * 3])
    put_month(load_env, APRIL, [job(5, f"{APRIL}-05 10:00:00", plan_id=2000)])
    with pytest.raises(CheckFailedError, match="nothing was changed") as caught:
        load_env.load(MARCH, APRIL)
    assert isinstance(caught.value.report, LoadReport)
    checks = {(check.table, check.name): check for check in caught.value.report.checks}
    assert {name for name, check in checks.items() if not check.passed} == {
        (STAGING, "rejected_rows"),
        (STAGING, "range_plan_id"),
    }
    assert [str(month) for month in checks[STAGING, "row_reconciliation"].months] == [MARCH, APRIL]
    assert [str(month) for month in checks[STAGING, "not_null_job_id"].months] == [APRIL]
