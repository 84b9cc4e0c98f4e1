"""A load whose row counts do not balance fails the check `row_reconciliation` and changes nothing.

A reader loses or invents one row.
"""

from __future__ import annotations

from typing import Any

import pytest

from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.ingest.ingest_objects import ingest_objects
from scx_pipeline.loading.targets import warehouse_target
from scx_pipeline.parsing.csv.csv_parser import CsvParser
from scx_pipeline_tests.support.load_env import (
    APRIL,
    MARCH,
    PREFIX,
    STAGING,
    LoadEnv,
    failed_load,
    job,
    jobs_of,
)

OFF = {name: off for name in ("read", "loaded", "rejected", "deduplicated", "filtered") for off in (1,)} | {
    "loaded less": -1
}


def off_by_one(patch: pytest.MonkeyPatch, count: str, off: int) -> None:
    """Patch ingestion to count one row too many or too few of its last object."""

    def ingest_and_miscount(*arguments: Any) -> IngestResult:
        ingest_result = ingest_objects(*arguments)
        last = ingest_result.counts[-1]
        setattr(last, count, getattr(last, count) + off)
        return ingest_result

    patch.setattr(warehouse_target, "ingest_objects", ingest_and_miscount)


def two_files(load_env: LoadEnv) -> None:
    """Load one month, and put two files of another month, of which the second is counted wrongly."""
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    load_env.put("2021/04/a.csv", [job(n, "2021-04-05 10:00:00") for n in range(2, 6)])
    load_env.put("2021/04/b.csv", [job(n, "2021-04-05 10:00:00") for n in range(6, 9)])


def assert_refused(load_env: LoadEnv) -> None:
    [failed] = [check for check in failed_load(load_env, APRIL) if check.name == "row_reconciliation"]
    assert (failed.table, failed.severity) == (STAGING, "error")
    assert f"{PREFIX}2021/04/b.csv" in failed.message
    assert f"{PREFIX}2021/04/a.csv" not in failed.message
    assert jobs_of(load_env) == [1]


@pytest.mark.parametrize(("count", "off"), OFF.items())
def test_a_load_with_a_wrong_row_count_fails_and_changes_nothing(
    count: str, off: int, duckdb_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files(duckdb_env)
    with monkeypatch.context() as patch:
        off_by_one(patch, count.split()[0], off)
        assert_refused(duckdb_env)
    duckdb_env.load(APRIL)
    assert jobs_of(duckdb_env) == [*range(1, 9)]


@pytest.mark.reader_independent
def test_a_load_that_lost_a_row_fails_on_every_engine(
    load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files(load_env)
    off_by_one(monkeypatch, "loaded", -1)
    assert_refused(load_env)


def test_a_rejected_row_that_the_parser_does_not_report_fails_the_load(
    duckdb_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files(duckdb_env)
    duckdb_env.put(
        "2021/04/b.csv", [*(job(n, "2021-04-05 10:00:00") for n in range(6, 999)), "1,2,3", "4,5,6"]
    )
    explain = CsvParser.find_rejected
    monkeypatch.setattr(CsvParser, "find_rejected", lambda *arguments: explain(*arguments)[:-1])
    assert_refused(duckdb_env)
