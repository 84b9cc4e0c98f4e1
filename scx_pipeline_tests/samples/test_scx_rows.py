"""Rows of the Scx log generator: clean rows, older versions and invalid rows.

Files and options do not belong here.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from scx_pipeline.samples.scx import job_rows
from scx_pipeline.samples.scx.invalid_rows import INVALID_KINDS
from scx_pipeline.samples.scx.plan import ScxLogOptions
from scx_pipeline_tests.samples.scx_log import (
    HEADER,
    NOISY,
    Row,
    check_report,
    is_good,
    make,
    read,
    sort_out,
)


@pytest.fixture(scope="module")
def year() -> list[Row]:
    return [row for _, row in check_report(ScxLogOptions(jobs=12_000))[1]]


def test_values_are_valid_for_their_columns(year: list[Row]) -> None:
    allowed = dict(zip(HEADER[5:10], map(set, job_rows.POOLS), strict=True))
    for row in year:
        assert all(row[name] in values for name, values in allowed.items())
        assert all(row[name] in ("0", "1") for name in HEADER[10:16])
        assert row["plan_id"] in ("1", "2", "3", "4")
        assert re.fullmatch(r"[0-9a-f]{1,150}", row["email_encrypted"])
        assert re.fullmatch(r"\d\d[0-5]\d[0-5]\d", row["upload_time"])
        assert row["date"] == f"{datetime.fromisoformat(row['date']):%Y-%m-%d}"
        took = datetime.fromisoformat(row["updated_at"]) - datetime.fromisoformat(row["created_at"])
        hours, minutes, seconds = (int(row["upload_time"][at : at + 2]) for at in (0, 2, 4))
        assert took > timedelta(hours=hours, minutes=minutes, seconds=seconds)


def test_ids_increase_with_time(year: list[Row]) -> None:
    stamps = [row["created_at"] for row in sorted(year, key=lambda row: int(row["job_id"]))]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) < len(stamps)  # some jobs share a second


def test_the_busiest_user_has_jobs_in_every_month(year: list[Row]) -> None:
    months = Counter(row["created_at"][:7] for row in year if row["user_id"] == "211")
    assert len(months) == 12
    assert min(months.values()) > 30


def test_plans_and_summaries_change_over_time_but_owners_do_not(year: list[Row]) -> None:
    """An email belongs to one user, and so does a project. Plans and summaries change with updated_at, so only the
    newest row has the current value."""
    for names in (("user_id", "email_encrypted"), ("project_id", "user_id", "project_name", "date")):
        assert len({row[names[0]] for row in year}) == len(
            {tuple(row[name] for name in names) for row in year}
        )
    for key, value, some, many in (("user_id", "plan_id", 50, 3), ("project_id", "summary", 100, 3)):
        seen: dict[str, list[str]] = {}
        for row in sorted(year, key=lambda row: row["updated_at"]):
            history = seen.setdefault(row[key], [])
            if not history or history[-1] != row[value]:
                history.append(row[value])
        assert sum(len(history) > 1 for history in seen.values()) > some
        assert max(map(len, seen.values())) <= many
    joined = [row["user_id"] for row in year if row["created_at"] < "2021-02"]
    assert len(set(joined)) < 0.8 * len({row["user_id"] for row in year})


def test_jobs_follow_working_hours_weekdays_and_seasons(year: list[Row]) -> None:
    timestamps = [datetime.fromisoformat(row["created_at"]) for row in year]
    hours = Counter(timestamp.hour for timestamp in timestamps)
    assert min(hours[9], hours[10], hours[14], hours[15]) > 4 * max(hours[2], hours[22])
    weekdays = Counter(timestamp.weekday() for timestamp in timestamps)
    assert max(weekdays[5], weekdays[6]) * 3 < min(weekdays[day] for day in range(5))
    months = Counter(timestamp.month for timestamp in timestamps)
    assert min(months[month] for month in range(5, 11)) > max(months[month] for month in (1, 2, 3, 12))


def test_ground_profiles_are_skewed(year: list[Row]) -> None:
    profiles = Counter(row["ground_profile"] for row in year)
    usual = {"city": 0.38, "forestry": 0.27, "urban": 0.18, "town": 0.12, "skip": 0.05}
    assert {name: profiles[name] / len(year) for name in usual} == pytest.approx(usual, abs=0.08)
    assert {row["noise_type"] == "" for row in year} == {True, False}


@pytest.mark.parametrize(
    ("column", "needed"),
    [("project_name", ',"\n서é🌲'), ("summary", ',"\n측É²🔁—')],
    ids=["project_name", "summary"],
)
def test_texts_contain_the_special_characters_of_csv(year: list[Row], column: str, needed: str) -> None:
    texts = "".join({row[column] for row in year})
    assert [character for character in needed if character not in texts] == []


def test_some_summaries_are_empty(year: list[Row]) -> None:
    assert "" in {row["summary"] for row in year}


def test_only_fields_that_need_quotes_are_quoted() -> None:
    """Written again by Python's csv module, which quotes where it must, every file stays the same."""
    for data in make(NOISY)[1].values():
        again = io.StringIO(newline="")
        csv.writer(again, lineterminator="\n").writerows(csv.reader(io.StringIO(data.decode(), newline="")))
        assert again.getvalue().encode() == data


def test_older_versions_belong_to_the_same_job_and_have_an_earlier_updated_at() -> None:
    newest, older, _ = sort_out(make(replace(NOISY, duplicates=300))[1])
    now = {row["job_id"]: (key, row) for key, row in newest}
    for key, row in older:
        newer_key, newer = now[row["job_id"]]
        assert key == newer_key
        assert row["created_at"] == newer["created_at"] <= row["updated_at"] < newer["updated_at"]
        assert row["ground_profile"] != newer["ground_profile"]
    assert len({row["job_id"] for _, row in older}) == 300


def test_older_versions_precede_or_follow_the_newer_version() -> None:
    jobs = [(row[0], row[17]) for _, row in read(make(replace(NOISY, bad_rows=0, duplicates=300))[1])]
    updates: dict[str, list[str]] = {}
    for job, updated in jobs:
        updates.setdefault(job, []).append(updated)
    orders = Counter(stamps == sorted(stamps) for stamps in updates.values() if len(stamps) == 2)
    assert min(orders[True], orders[False]) > 50


def test_invalid_rows_are_of_every_kind_and_spread_over_the_file() -> None:
    files = make(replace(NOISY, bad_rows=100))[1]
    bad = sort_out(files)[2]
    by_length = Counter(len(fields) for fields in bad)
    assert by_length[23] == 10
    assert sum(by_length[length] for length in range(5, 22)) == 10
    complete = [dict(zip(HEADER, fields, strict=True)) for fields in bad if len(fields) == 22]
    for values in list(INVALID_KINDS.values())[2:]:
        assert sum(all(row[name] == value for name, value in values.items()) for row in complete) == 10
    for key, data in files.items():
        places = [at for at, (_, fields) in enumerate(read({key: data})) if not is_good(fields)]
        rows = len(read({key: data}))
        assert places[0] < rows / 4
        assert places[-1] > rows * 3 / 4
