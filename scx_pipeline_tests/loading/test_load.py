"""Loads of months: row counts, history, filtering by month, and changed months."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from scx_pipeline.model.calendar import Month
from scx_pipeline.samples.scx.plan import ScxLogOptions
from scx_pipeline.samples.scx.scx_bucket import generate
from scx_pipeline_tests.support.load_env import (
    APRIL,
    CONCATENATED,
    FACTS,
    MARCH,
    PREFIX,
    STAGING,
    LoadEnv,
    edited_star,
    job,
    jobs_of,
    range_of_keys,
)


def test_row_counts_of_every_object_balance_and_are_recorded(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [*(job(n, "2021-03-05 10:00:00") for n in range(1, 31)), "31,10,short"])
    older = job(30, "2021-03-05 10:00:00", updated_at="2021-03-01 00:00:00")
    load_env.put("2021/03/b.csv", [older, job(40, "2021-03-06 10:00:00")])
    load_env.put("2021/04/c.csv", [job(50, "2021-03-31 23:00:00"), job(60, "2021-04-01 00:00:00")])
    report = load_env.load(MARCH)
    counts = load_env.state(
        "objects", "object_key, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered"
    )
    assert counts == [
        (f"{PREFIX}2021/03/a.csv", 31, 30, 1, 0, 0),
        (f"{PREFIX}2021/03/b.csv", 2, 1, 0, 1, 0),
        (f"{PREFIX}2021/04/c.csv", 2, 1, 0, 0, 1),
    ]
    assert (report.read, report.loaded, report.rejected, report.deduplicated, report.filtered) == (
        35,
        32,
        1,
        1,
        1,
    )
    assert report.objects == 3
    assert len(load_env.table(STAGING)) == len(jobs_of(load_env)) == 32
    loads = load_env.state(
        "loads",
        "first_month, last_month, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    )
    assert loads == [(MARCH, MARCH, 35, 32, 1, 1, 1)]


def test_a_staging_table_has_what_was_read_by_the_month_that_the_keys_name(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [*(job(n, "2021-03-05 10:00:00") for n in range(1, 31)), "31,10,short"])
    load_env.put("2021/03/b.csv", [job(30, "2021-03-05 10:00:00", updated_at="2021-03-01 00:00:00")])
    load_env.put("2021/04/c.csv", [job(50, "2021-03-31 23:00:00"), job(60, "2021-04-01 00:00:00")])
    report = load_env.load(MARCH, APRIL)
    table = report.tables[STAGING]
    march, april = (table.totals_by_month[month] for month in (Month(2021, 3), Month(2021, 4)))
    assert (march.objects, march.read, march.rejected, march.deduplicated) == (2, 32, 1, 1)
    assert (april.objects, april.read, april.filtered) == (1, 2, 0)
    assert march.bytes + april.bytes == report.bytes
    assert list(table.rows.values()) == [31, 1], "a job of March is in the file of April"
    assert not report.tables[FACTS].totals_by_month
    only_march = load_env.load(MARCH)
    assert list(only_march.tables[STAGING].totals_by_month) == [Month(2021, 3)]
    assert only_march.filtered == 1, "the row of April is in the totals of the load only"


def test_a_month_that_no_key_names_has_no_totals_if_objects_may_contain_any_month(load_env: LoadEnv) -> None:
    load_env.put(
        CONCATENATED.removeprefix(PREFIX), [job(1, "2021-03-05 10:00:00"), job(2, "2021-04-05 10:00:00")]
    )
    load_env.put("2021/04/c.csv", [job(60, "2021-04-06 00:00:00")])
    table = load_env.load(MARCH, APRIL).tables[STAGING]
    assert {str(month): totals.read for month, totals in table.totals_by_month.items()} == {APRIL: 1}
    assert table.objects_of_any_month == 1


def test_the_rows_of_a_dimension_without_months_are_those_of_its_table(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00", user_id=7), job(2, "2021-03-05 10:00:00")])
    load_env.put("2021/04/c.csv", [job(60, "2021-04-06 00:00:00", user_id=7)])
    load_env.load(MARCH)
    tables = load_env.load(APRIL).tables
    assert dict(tables["users"].rows) == {Month(2021, 4): 1}
    assert tables["users"].total_rows == len(load_env.table("users")) == 2
    assert tables[FACTS].total_rows is None


def test_the_load_is_recorded_with_its_run_months_and_checks(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    report = load_env.loader().load(range_of_keys(MARCH, APRIL), run_id="run-7")
    assert load_env.state("loads", "load_id, run_id") == [(report.load_id, "run-7")]
    fingerprints = load_env.state("months", "month, fingerprint")
    assert fingerprints == [(str(month), text) for month, text in report.fingerprints.items()]
    assert ("time", MARCH, 1) in load_env.state("month_rows", "table_name, month, row_count")
    checks = load_env.state("check_results", "table_name, check_name, passed, severity, message")
    assert checks == sorted((c.table, c.name, c.passed, c.severity, c.message) for c in report.checks)
    assert report.tables[FACTS].rows == {Month(2021, 3): 1, Month(2021, 4): 0}


def test_a_generated_log_gives_the_same_rows_on_both_engines(
    duckdb_env: LoadEnv, postgres_env: LoadEnv
) -> None:
    options = ScxLogOptions(
        to="2021-06",
        months=6,
        jobs=6000,
        seed=3,
        layout="both",
        compression="zstd",
        bad_rows=90,
        duplicates=120,
        late_rows=40,
    )
    log = generate(options, duckdb_env.bucket.store)
    postgres_env.bucket_url = duckdb_env.bucket_url
    for load_env in (duckdb_env, postgres_env):
        report = load_env.load("2021-01", "2021-06")
        assert (report.loaded, report.rejected, report.deduplicated) == (
            log.jobs,
            log.bad_rows,
            log.duplicates,
        )
        assert {str(month): rows for month, rows in report.tables[FACTS].rows.items()} == log.jobs_by_month
        assert len(load_env.table("users")) == log.users
        assert len(load_env.table("projects")) == log.projects
    assert duckdb_env.snapshot(load_ids=False) == postgres_env.snapshot(load_ids=False)


def test_a_month_without_objects_is_loaded_with_no_rows(load_env: LoadEnv) -> None:
    report = load_env.load(MARCH, APRIL)
    assert [check for check in report.checks if not check.passed] == []
    assert {
        (month, rows) for _, month, rows in load_env.state("month_rows", "table_name, month, row_count")
    } == {(MARCH, 0), (APRIL, 0)}
    assert [month for (month,) in load_env.state("months", "month")] == [MARCH, APRIL]
    assert load_env.table(FACTS) == []
    assert load_env.changed() == []


def test_a_month_whose_objects_were_deleted_becomes_empty(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00", user_id=5, project_id=6)])
    load_env.load("2021-02", APRIL)
    load_env.delete("2021/04/a.csv")
    assert [(str(item.month), item.reason) for item in load_env.plan().changed] == [
        (MARCH, "objects changed"),  # rows written late would have been in it
        (APRIL, "its objects are gone"),
    ]
    load_env.load(APRIL)
    assert jobs_of(load_env) == [1]
    assert load_env.table("users", "user_id") == [(211,)]
    assert load_env.table("projects", "project_id") == [(10,)]
    assert load_env.table("time", "created_at") == [(datetime(2021, 3, 5, 10),)]
    assert load_env.state("objects", "object_key") == [(f"{PREFIX}2021/03/a.csv",)]


def test_a_plan_names_changed_months_with_the_reason(duckdb_env: LoadEnv, tmp_path: Path) -> None:
    def reasons(load_env: LoadEnv) -> dict[str, str]:
        return {str(item.month): item.reason for item in load_env.plan().changed}

    duckdb_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    assert reasons(duckdb_env) == {"2021-02": "not loaded yet", MARCH: "not loaded yet"}
    duckdb_env.load("2021-02", MARCH)
    assert reasons(duckdb_env) == {}
    duckdb_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    assert reasons(duckdb_env) == {"2021-02": "objects changed", MARCH: "objects changed"}, (
        "rewritten with the same bytes"
    )
    duckdb_env.load("2021-02", MARCH)
    other = edited_star(tmp_path, sql={"users": ("plan_id,", "plan_id + 1 AS plan_id,")})
    message = "the star's tables or SQL changed"
    assert reasons(LoadEnv(duckdb_env.bucket_url, duckdb_env.warehouse_url, other)) == {
        "2021-02": message,
        MARCH: message,
    }


def test_a_month_loads_its_rows_from_any_file(load_env: LoadEnv) -> None:
    load_env.put(
        CONCATENATED.removeprefix(PREFIX),
        [job(1, "2021-02-28 23:59:59.999999"), job(2, "2021-03-01 00:00:00")],
    )
    load_env.put("2021/04/a.csv", [job(3, "2021-03-31 23:59:59.999999"), job(4, "2021-04-01 00:00:00")])
    assert load_env.load(MARCH).filtered == 2
    assert jobs_of(load_env) == [2, 3]
    load_env.load("2021-02")
    load_env.load(APRIL)
    assert jobs_of(load_env) == [1, 2, 3, 4]


def test_times_are_utc_with_iso_weeks(load_env: LoadEnv) -> None:
    timestamps = [
        "2021-01-01T08:30:00+09:00",
        "2021-01-03 12:00:00",
        "2020-02-29 00:00:00Z",
        "2020-12-31 23:59:59.999999",
    ]
    load_env.put(CONCATENATED.removeprefix(PREFIX), [job(n, text) for n, text in enumerate(timestamps, 1)])
    load_env.load("2020-01", "2021-01")
    assert load_env.table("time") == [
        (datetime(2020, 12, 31, 23, 30), 23, 31, 53, 12, 2020, 4),
        (datetime(2020, 12, 31, 23, 59, 59, 999999), 23, 31, 53, 12, 2020, 4),
        (datetime(2020, 2, 29), 0, 29, 9, 2, 2020, 6),
        (datetime(2021, 1, 3, 12), 12, 3, 53, 1, 2021, 0),
    ]
    assert load_env.rows(
        "SELECT row_count FROM scx_pipeline.month_rows WHERE table_name = 'time' AND month = '2020-12'"
    ) == [(2,)]
