"""A year of the star scx, one file and one job a month, and the faults for which a load holds some of its months.

Tests do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from scx_pipeline.errors import CheckFailedError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline_tests.support.load_env import MARCH, MAY, LoadEnv, job, jobs_of

Files = dict[str, list[dict[str, object]]]  # rows by the file's name below the star's prefix

YEAR = [f"2021-{month:02d}" for month in range(1, 13)]


def file_of(month: str) -> str:
    """Return the name of a month's file."""
    return f"{month.replace('-', '/')}/a.csv"


def job_of(month: str, **values: object) -> dict[str, object]:
    """Return the job of a month, which has its number."""
    return job(int(month[-2:]), f"{month}-05 10:00:00", **values)


def valid_year() -> Files:
    """Return the files of twelve months that can be published."""
    return {file_of(month): [job_of(month, user_id=int(month[-2:]))] for month in YEAR}


# March has a value that a blocking check refuses.
REFUSED_VALUE: Files = {file_of(MARCH): [job_of(MARCH, plan_id=2000)]}
REFUSED = f"range_plan_id on staging_cleansed_logs: plan_id is outside 0 … 1000 in 1 row in {MARCH}"
# May has the job of March once more.
SHARED_KEY: Files = {file_of(MAY): [job_of(MAY), job(3, f"{MAY}-06 10:00:00")]}
SHARED = f"unique_job_id on staging_cleansed_logs: job_id 3 occurs in {MARCH} and in {MAY}"


def put_files(load_env: LoadEnv, files: Files) -> None:
    """Write files to the bucket."""
    for name, rows in files.items():
        load_env.put(name, rows)


def put_year(load_env: LoadEnv) -> None:
    """Write a file with one job for each month of a year; the job has the number of its month."""
    put_files(load_env, valid_year())


def put_month(load_env: LoadEnv, month: str, rows: Iterable[Mapping[str, object]]) -> None:
    load_env.put(file_of(month), rows)


def load_some(load_env: LoadEnv, first: str, last: str) -> tuple[LoadReport, str]:
    """Run a load that publishes some months and holds the others; return its report and its message."""
    with pytest.raises(CheckFailedError) as caught:
        load_env.load(first, last)
    report = caught.value.report
    assert isinstance(report, LoadReport)
    assert report.is_published
    return report, str(caught.value)


def published_jobs(load_env: LoadEnv) -> list[int]:
    return sorted(jobs_of(load_env))


def held(report: LoadReport) -> list[str]:
    return [str(month) for month in report.held]
