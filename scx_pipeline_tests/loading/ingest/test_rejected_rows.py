"""Rejected rows: what is stored about them, when they are deleted, and the limit above which a load fails."""

from __future__ import annotations

import pytest

from scx_pipeline_tests.support.load_env import (
    MARCH,
    PREFIX,
    STAGING,
    LoadEnv,
    failed_load,
    job,
    jobs_of,
    line_of,
)


def test_rejected_rows_keep_file_line_column_reason_and_raw_text(load_env: LoadEnv) -> None:
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
        ('"a"b' + line_of(job(15, at)), "job_id", "has text between a closing quote and the next delimiter"),
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
    load_env.put("2021/03/a.csv.gz", rows)
    report = load_env.load(MARCH)
    assert report.rejected == len(bad) == 16
    found = load_env.rows(
        'SELECT object_key, line, column_name, reason, "raw" FROM scx_pipeline.rejected_rows ORDER BY line'
    )
    assert found == expected
    assert len(jobs_of(load_env)) == 400


def test_a_row_of_the_current_month_in_a_file_of_other_months_is_not_reported_as_future(
    load_env: LoadEnv,
) -> None:
    now = load_env.compiled.star.months().last
    good = [job(n, "2021-03-05 10:00:00") for n in range(1, 41)]
    load_env.put(
        "2021/03/a.csv", [*good, job(41, f"{now}-01 00:00:00"), job(42, f"{now.end:%Y-%m-%d %H:%M:%S}")]
    )
    assert load_env.load(MARCH).rejected == 2
    assert load_env.rows("SELECT line, reason FROM scx_pipeline.rejected_rows ORDER BY line") == [
        (42, f"{now}-01 00:00:00 is outside the months that the key names, 2021-02…2021-03"),
        (43, f"{now.end} is in the future"),
    ]


def test_bad_rows_of_many_files_are_reported_with_their_own_file_and_line(duckdb_env: LoadEnv) -> None:
    for name in ("a.csv", "b.csv", "c.csv.gz", "d.csv"):
        rows: list[dict[str, object] | str] = [
            job(ord(name[0]) * 100 + n, "2021-03-05 10:00:00") for n in range(60)
        ]
        rows.insert(ord(name[0]) - ord("a"), f"{name},short")
        rows.insert(40, line_of(job(1, "2021-03-05 10:00:00", plan_id=name)))
        duckdb_env.put(f"2021/03/{name}", rows)
    duckdb_env.load(MARCH)
    found = duckdb_env.rows(
        'SELECT object_key, line, column_name, "raw" FROM scx_pipeline.rejected_rows ORDER BY 1, 2'
    )
    assert [(key[-len(raw.split(",")[0]) :], line) for key, line, column, raw in found if column is None] == [
        ("a.csv", 2),
        ("b.csv", 3),
        ("c.csv.gz", 4),
        ("d.csv", 5),
    ]
    assert all(raw.endswith(key.split("/")[-1]) and line == 42 for key, line, column, raw in found if column)


def test_rejected_rows_are_deleted_when_their_object_is_corrected(load_env: LoadEnv) -> None:
    good = [job(n, "2021-03-05 10:00:00") for n in range(1, 30)]
    load_env.put("2021/03/a.csv", [*good, "bad"])
    load_env.load(MARCH)
    assert len(load_env.state("rejected_rows")) == 1
    load_env.put("2021/03/a.csv", good)
    load_env.load(MARCH)
    assert load_env.state("rejected_rows") == []


@pytest.mark.parametrize(
    ("good", "bad", "published"),
    [(20, 0, True), (19, 1, True), (18, 1, False), (38, 2, True), (37, 2, False)],
)
def test_a_load_fails_above_the_limit_of_rejected_rows(
    good: int, bad: int, published: bool, duckdb_env: LoadEnv
) -> None:
    duckdb_env.put(
        "2021/03/a.csv", [*(job(n, "2021-03-05 10:00:00") for n in range(1, good + 1)), *["bad"] * bad]
    )
    if published:
        report = duckdb_env.load(MARCH)
        assert not report.warnings
        assert not report.failed
        [check] = [check for check in report.checks if check.name == "rejected_rows"]
        assert check.numbers == {
            "rows_rejected": bad,
            "rows_read": good + bad,
            "share": round(bad / (good + bad), 6),
        }
    else:
        [check] = failed_load(duckdb_env, MARCH)
        assert (check.table, check.name, check.severity) == (STAGING, "rejected_rows", "error")
        assert f"{bad} of {good + bad} rows were rejected" in check.message
        assert "the limit is 5%" in check.message
        assert f"{PREFIX}2021/03/a.csv, line {good + 2}: has 1 values, the header 22" in check.message


def test_an_empty_value_is_null_whether_quoted_or_not(load_env: LoadEnv) -> None:
    row = line_of(job(1, "2021-03-05 10:00:00", project_name="Q", summary=""))
    load_env.put("2021/03/a.csv", [row.replace("Q", '""')])
    load_env.load(MARCH)
    assert load_env.table("projects", "project_name, summary") == [(None, None)]
