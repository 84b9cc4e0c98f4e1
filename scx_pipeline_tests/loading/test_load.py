"""What a load does to rows and months: accounted for, quarantined, deduplicated, put into their month, replaced.
Tables are in test_tables.py, files in test_files.py, checks in test_gate.py, random histories in test_purity.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from scx_pipeline.model.calendar import Month
from scx_pipeline.samples.scx.scx_bucket import ScxLogOptions, generate
from scx_pipeline_tests.support.load_env import (
    APRIL,
    CONCATENATED,
    FACTS,
    MARCH,
    MAY,
    PREFIX,
    STAGING,
    World,
    edited_star,
    failed_load,
    job,
    jobs_of,
    line_of,
    range_of_keys,
)

# ------------------------------------------------------------------ every row is accounted for


def test_every_object_is_accounted_for(world: World) -> None:
    world.put("2021/03/a.csv", [*(job(n, "2021-03-05 10:00:00") for n in range(1, 31)), "31,10,short"])
    older = job(30, "2021-03-05 10:00:00", updated_at="2021-03-01 00:00:00")
    world.put("2021/03/b.csv", [older, job(40, "2021-03-06 10:00:00")])
    world.put("2021/04/c.csv", [job(50, "2021-03-31 23:00:00"), job(60, "2021-04-01 00:00:00")])
    report = world.load(MARCH)
    counts = world.state(
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
    assert len(world.table(STAGING)) == len(jobs_of(world)) == 32
    loads = world.state(
        "loads",
        "first_month, last_month, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    )
    assert loads == [(MARCH, MARCH, 35, 32, 1, 1, 1)]


def test_the_load_is_recorded_with_its_run_months_and_checks(world: World) -> None:
    world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    report = world.loader().load(range_of_keys(MARCH, APRIL), run_id="run-7")
    assert world.state("loads", "load_id, run_id") == [(report.load_id, "run-7")]
    fingerprints = world.state("months", "month, fingerprint")
    assert fingerprints == [(str(month), text) for month, text in report.fingerprints.items()]
    assert ("time", MARCH, 1) in world.state("month_rows", "table_name, month, row_count")
    checks = world.state("check_results", "table_name, check_name, passed, severity, message")
    assert checks == sorted((c.table, c.name, c.passed, c.severity, c.message) for c in report.checks)
    assert report.tables[FACTS].rows == {Month(2021, 3): 1, Month(2021, 4): 0}


def test_a_generated_log_is_loaded_alike_by_both_engines(duck: World, pg: World) -> None:
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
    log = generate(options, duck.bucket.store)
    pg.bucket_url = duck.bucket_url
    for world in (duck, pg):
        report = world.load("2021-01", "2021-06")
        assert (report.loaded, report.rejected, report.deduplicated) == (
            log.jobs,
            log.bad_rows,
            log.duplicates,
        )
        assert {str(month): rows for month, rows in report.tables[FACTS].rows.items()} == log.jobs_by_month
        assert len(world.table("users")) == log.users
        assert len(world.table("projects")) == log.projects
    assert duck.snapshot(load_ids=False) == pg.snapshot(load_ids=False)


# ------------------------------------------------------------------ duplicates


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
def test_the_newest_updated_at_wins(
    first: str | None, second: str | None, wins: str, files: int, duck: World
) -> None:
    rows = [
        job(1, "2021-03-05 10:00:00", updated_at=first, ground_profile="first"),
        job(1, "2021-03-05 10:00:00", updated_at=second, ground_profile="second"),
    ]
    duck.put("2021/03/a.csv", rows[:files])
    if files == 1:
        duck.put("2021/03/b.csv", rows[1:])
    else:
        duck.put("2021/03/a.csv", rows)
    assert duck.load(MARCH).deduplicated == 1
    assert duck.table(FACTS, "job_id, ground_profile") == [(1, wins)]


def test_rows_as_new_as_each_other_end_alike_on_both_engines(duck: World, pg: World) -> None:
    pg.bucket_url = duck.bucket_url
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
    duck.put("2021/03/a.csv", rows[:15])
    duck.put("2021/03/b.csv", rows[15:])
    for world in (duck, pg):
        assert world.load(MARCH).deduplicated == 26
    assert duck.snapshot(load_ids=False) == pg.snapshot(load_ids=False)


def test_a_job_that_stands_twice_is_refused_where_nothing_says_which_is_newer(
    world: World, tmp_path: Path
) -> None:
    world.compiled = edited_star(tmp_path, {STAGING: {"sequence_by": []}})
    world.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00"), job(8, "2021-03-05 10:00:00")])
    world.put("2021/03/b.csv", [job(7, "2021-03-05 10:00:00", ground_profile="other")])
    [check] = failed_load(world, MARCH)
    assert (check.table, check.name) == (STAGING, "unique_job_id")
    assert check.message == "job_id 7 stands twice in 2021-03"


def test_a_job_in_two_months_of_a_span_names_both(world: World) -> None:
    world.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00")])
    world.put("2021/04/a.csv", [job(7, "2021-04-05 10:00:00")])
    [check] = failed_load(world, MARCH, APRIL)
    assert (check.table, check.name) == (STAGING, "unique_job_id")
    assert check.message == "job_id 7 stands in 2021-03 and in 2021-04"


def test_a_job_that_stands_in_another_month_names_both(world: World) -> None:
    world.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00")])
    world.put("2021/05/a.csv", [job(7, "2021-05-05 10:00:00")])
    world.load(MARCH)
    failed = failed_load(world, MAY)
    assert {(check.table, check.name) for check in failed} == {
        (STAGING, "unique_job_id"),
        (FACTS, "unique_job_id"),
    }
    assert {check.message for check in failed} == {"job_id 7 stands in 2021-03 and in 2021-05"}


def test_a_job_that_moved_to_another_month_loads_with_both(world: World) -> None:
    world.put("2021/03/a.csv", [job(7, "2021-03-05 10:00:00")])
    world.load(MARCH)
    world.put("2021/03/a.csv", [])
    world.put("2021/04/a.csv", [job(7, "2021-04-05 10:00:00")])
    failed_load(world, APRIL)
    world.load(MARCH, APRIL)
    assert world.table(FACTS, "job_id, created_at") == [(7, datetime(2021, 4, 5, 10))]


# ------------------------------------------------------------------ rejected rows


def test_rejected_rows_keep_file_line_column_reason_and_raw_text(world: World) -> None:
    at = "2021-03-05 10:00:00"
    bad: list[tuple[str, str | None, str]] = [
        ("1,2,3", None, "has 3 values, the header 22"),
        (line_of(job(2, at)) + ",more", None, "has 23 values, the header 22"),
        (line_of(job(3, at, plan_id="2.7")), "plan_id", "'2.7' is not an integer"),
        (line_of(job(4, at, user_id=None)), "user_id", "is empty, and must not be"),
        (line_of(job(5, "2021-02-30 10:00:00")), "created_at", "'2021-02-30 10:00:00' is not a timestamp"),
        (line_of(job(6, at, upload_time="x" * 17)), "upload_time", "'xxxxxxxxxxxxxxxxx' is longer than 16 bytes"),
        (line_of(job(7, at, upload_time="ü" * 9)), "upload_time", "'üüüüüüüüü' is longer than 16 bytes"),
        (line_of(job(8, at, user_id=99999999999)), "user_id", "'99999999999' is not an integer"),
        (line_of(job(9, at, plan_id="1e3")), "plan_id", "'1e3' is not an integer"),
        (line_of(job(10, at, plan_id="NaN")), "plan_id", "'NaN' is not an integer"),
        (line_of(job(11, at, updated_at="infinity")), "updated_at", "'infinity' is not a timestamp"),
        (line_of(job(12, "1970-01-01 00:00:00")), "created_at", "1970-01-01 00:00:00 is before the star's first month, 2020-01"),
        (line_of(job(13, "9998-01-01 00:00:00")), "created_at", "9998-01-01 00:00:00 is in the future"),
        (line_of(job(14, "2021-05-01 00:00:00")), "created_at", "2021-05-01 00:00:00 is outside the months that the key names, 2021-02…2021-03"),
        ('"a"b' + line_of(job(15, at)), "job_id", "has text between a closing quote and the next comma"),
        (line_of(job(16, at, project_name="a\0b")), "project_name", "'a\\x00b' holds a NUL character"),
    ]  # fmt: skip
    good = [job(100 + n, at, project_name='a\nb, "c"' if n % 3 else "서울") for n in range(400)]
    rows: list[dict[str, object] | str] = []
    expected = []
    line = 2
    for number, item in enumerate(good):
        if number % 25 == 0:
            text, column, reason = bad[number // 25]
            rows.append(text)
            expected.append((PREFIX + "2021/03/a.csv.gz", line, column, reason, text.replace("\0", "\\0")))
            line += 1
        rows.append(item)
        line += 2 if number % 3 else 1
    world.put("2021/03/a.csv.gz", rows)
    report = world.load(MARCH)
    assert report.rejected == len(bad) == 16
    found = world.rows(
        'SELECT object_key, line, column_name, reason, "raw" FROM scx_pipeline.rejected_rows ORDER BY line'
    )
    assert found == expected
    assert len(jobs_of(world)) == 400


def test_a_row_of_the_running_month_is_not_in_the_future_though_its_file_names_others(world: World) -> None:
    now = world.compiled.star.months().last
    good = [job(n, "2021-03-05 10:00:00") for n in range(1, 41)]
    world.put(
        "2021/03/a.csv", [*good, job(41, f"{now}-01 00:00:00"), job(42, f"{now.end:%Y-%m-%d %H:%M:%S}")]
    )
    assert world.load(MARCH).rejected == 2
    assert world.rows("SELECT line, reason FROM scx_pipeline.rejected_rows ORDER BY line") == [
        (42, f"{now}-01 00:00:00 is outside the months that the key names, 2021-02…2021-03"),
        (43, f"{now.end} is in the future"),
    ]


def test_bad_rows_are_told_from_each_other_in_many_files(duck: World) -> None:
    for name in ("a.csv", "b.csv", "c.csv.gz", "d.csv"):
        rows: list[dict[str, object] | str] = [
            job(ord(name[0]) * 100 + n, "2021-03-05 10:00:00") for n in range(60)
        ]
        rows.insert(ord(name[0]) - ord("a"), f"{name},short")
        rows.insert(40, line_of(job(1, "2021-03-05 10:00:00", plan_id=name)))
        duck.put(f"2021/03/{name}", rows)
    duck.load(MARCH)
    found = duck.rows(
        'SELECT object_key, line, column_name, "raw" FROM scx_pipeline.rejected_rows ORDER BY 1, 2'
    )
    assert [(key[-len(raw.split(",")[0]) :], line) for key, line, column, raw in found if column is None] == [
        ("a.csv", 2),
        ("b.csv", 3),
        ("c.csv.gz", 4),
        ("d.csv", 5),
    ]
    assert all(raw.endswith(key.split("/")[-1]) and line == 42 for key, line, column, raw in found if column)


def test_rejected_rows_go_when_their_object_is_mended(world: World) -> None:
    good = [job(n, "2021-03-05 10:00:00") for n in range(1, 30)]
    world.put("2021/03/a.csv", [*good, "bad"])
    world.load(MARCH)
    assert len(world.state("rejected_rows")) == 1
    world.put("2021/03/a.csv", good)
    world.load(MARCH)
    assert world.state("rejected_rows") == []


@pytest.mark.parametrize(
    ("good", "bad", "published"),
    [(20, 0, True), (19, 1, True), (18, 1, False), (38, 2, True), (37, 2, False)],
)
def test_more_than_the_limit_of_rejected_rows_fails(
    good: int, bad: int, published: bool, duck: World
) -> None:
    duck.put("2021/03/a.csv", [*(job(n, "2021-03-05 10:00:00") for n in range(1, good + 1)), *["bad"] * bad])
    if published:
        report = duck.load(MARCH)
        assert [(check.name, check.severity) for check in report.warnings] == [
            ("rejected_rows", "warn")
        ] * bool(bad)
        assert not report.failed
    else:
        [check] = failed_load(duck, MARCH)
        assert (check.table, check.name, check.severity) == (STAGING, "rejected_rows", "error")
        assert f"{bad} of {good + bad} rows were rejected" in check.message
        assert "the limit is 5%" in check.message
        assert f"{PREFIX}2021/03/a.csv, line {good + 2}: has 1 values, the header 22" in check.message


def test_an_empty_value_is_null_quoted_or_not(world: World) -> None:
    row = line_of(job(1, "2021-03-05 10:00:00", project_name="Q", summary=""))
    world.put("2021/03/a.csv", [row.replace("Q", '""')])
    world.load(MARCH)
    assert world.table("projects", "project_name, summary") == [(None, None)]


# ------------------------------------------------------------------ months


def test_a_month_without_objects_is_loaded_with_no_rows(world: World) -> None:
    report = world.load(MARCH, APRIL)
    assert [check for check in report.checks if not check.passed] == []
    assert {
        (month, rows) for _, month, rows in world.state("month_rows", "table_name, month, row_count")
    } == {(MARCH, 0), (APRIL, 0)}
    assert [month for (month,) in world.state("months", "month")] == [MARCH, APRIL]
    assert world.table(FACTS) == []
    assert world.changed() == []


def test_a_month_whose_objects_are_gone_becomes_empty(world: World) -> None:
    world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    world.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00", user_id=5, project_id=6)])
    world.load("2021-02", APRIL)
    world.delete("2021/04/a.csv")
    assert [(str(item.month), item.reason) for item in world.plan().changed] == [
        (MARCH, "objects changed"),  # rows written late would have been in it
        (APRIL, "its objects are gone"),
    ]
    world.load(APRIL)
    assert jobs_of(world) == [1]
    assert world.table("users", "user_id") == [(211,)]
    assert world.table("projects", "project_id") == [(10,)]
    assert world.table("time", "created_at") == [(datetime(2021, 3, 5, 10),)]
    assert world.state("objects", "object_key") == [(f"{PREFIX}2021/03/a.csv",)]


def test_a_plan_tells_which_months_changed_and_why(duck: World, tmp_path: Path) -> None:
    def reasons(world: World) -> dict[str, str]:
        return {str(item.month): item.reason for item in world.plan().changed}

    duck.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    assert reasons(duck) == {"2021-02": "not loaded yet", MARCH: "not loaded yet"}
    duck.load("2021-02", MARCH)
    assert reasons(duck) == {}
    duck.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    assert reasons(duck) == {"2021-02": "objects changed", MARCH: "objects changed"}, (
        "rewritten with the same bytes"
    )
    duck.load("2021-02", MARCH)
    other = edited_star(tmp_path, sql={"users": ("plan_id,", "plan_id + 1 AS plan_id,")})
    told = "the star's tables or SQL changed"
    assert reasons(World(duck.bucket_url, duck.warehouse_url, other)) == {"2021-02": told, MARCH: told}


def test_a_month_takes_its_own_rows_whatever_file_they_are_in(world: World) -> None:
    world.put(
        CONCATENATED.removeprefix(PREFIX),
        [job(1, "2021-02-28 23:59:59.999999"), job(2, "2021-03-01 00:00:00")],
    )
    world.put("2021/04/a.csv", [job(3, "2021-03-31 23:59:59.999999"), job(4, "2021-04-01 00:00:00")])
    assert world.load(MARCH).filtered == 2
    assert jobs_of(world) == [2, 3]
    world.load("2021-02")
    world.load(APRIL)
    assert jobs_of(world) == [1, 2, 3, 4]


def test_times_are_utc_with_iso_weeks(world: World) -> None:
    moments = [
        "2021-01-01T08:30:00+09:00",
        "2021-01-03 12:00:00",
        "2020-02-29 00:00:00Z",
        "2020-12-31 23:59:59.999999",
    ]
    world.put(CONCATENATED.removeprefix(PREFIX), [job(n, text) for n, text in enumerate(moments, 1)])
    world.load("2020-01", "2021-01")
    assert world.table("time") == [
        (datetime(2020, 12, 31, 23, 30), 23, 31, 53, 12, 2020, 4),
        (datetime(2020, 12, 31, 23, 59, 59, 999999), 23, 31, 53, 12, 2020, 4),
        (datetime(2020, 2, 29), 0, 29, 9, 2, 2020, 6),
        (datetime(2021, 1, 3, 12), 12, 3, 53, 1, 2021, 0),
    ]
    assert world.rows(
        "SELECT row_count FROM scx_pipeline.month_rows WHERE table_name = 'time' AND month = '2020-12'"
    ) == [(2,)]
