"""Loads that publish some months and hold the others, from the bucket of a year.

Tests do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from scx_pipeline.errors import CheckFailedError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline_tests.support.load_env import LoadEnv, jobs_of
from scx_pipeline_tests.support.year_of_jobs import file_of, put_files, valid_year


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
