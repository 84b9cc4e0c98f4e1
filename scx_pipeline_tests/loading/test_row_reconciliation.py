"""A load whose row counts do not add up fails at its check `row_reconciliation`, and changes nothing.
Which counts add up is in history/test_ingest_result.py; here a reader loses or invents one row of a real load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.ingest import IngestJob
from scx_pipeline.parsing.csv.csv_parser import CsvParser
from scx_pipeline_tests.support.load_env import (
    APRIL,
    MARCH,
    PREFIX,
    STAGING,
    World,
    failed_load,
    job,
    jobs_of,
)

OFF = {name: off for name in ("read", "loaded", "rejected", "deduplicated", "filtered") for off in (1,)} | {
    "loaded less": -1
}


def off_by_one(patch: pytest.MonkeyPatch, count: str, off: int) -> None:
    """Let every ingestion count one row more, or less, of its last object."""
    run = IngestJob.run

    def wrong(job: IngestJob, objects: Sequence[Any], buffer: Any) -> IngestResult:
        ingest_result = run(job, objects, buffer)
        last = ingest_result.counts[-1]
        setattr(last, count, getattr(last, count) + off)
        return ingest_result

    patch.setattr(IngestJob, "run", wrong)


def two_files(world: World) -> None:
    """A month that is loaded, and another with a good file and one that is counted wrongly."""
    world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    world.load(MARCH)
    world.put("2021/04/a.csv", [job(n, "2021-04-05 10:00:00") for n in range(2, 6)])
    world.put("2021/04/b.csv", [job(n, "2021-04-05 10:00:00") for n in range(6, 9)])


def assert_refused(world: World) -> None:
    [failed] = [check for check in failed_load(world, APRIL) if check.name == "row_reconciliation"]
    assert (failed.table, failed.severity) == (STAGING, "error")
    assert f"{PREFIX}2021/04/b.csv" in failed.message
    assert f"{PREFIX}2021/04/a.csv" not in failed.message
    assert jobs_of(world) == [1]


@pytest.mark.parametrize(("count", "off"), OFF.items())
def test_a_load_that_counts_a_row_too_many_or_too_few_fails_and_changes_nothing(
    count: str, off: int, duck: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files(duck)
    with monkeypatch.context() as patch:
        off_by_one(patch, count.split()[0], off)
        assert_refused(duck)
    duck.load(APRIL)
    assert jobs_of(duck) == [*range(1, 9)]


@pytest.mark.whoever_reads
def test_a_load_that_has_lost_a_row_fails_on_every_engine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files(world)
    off_by_one(monkeypatch, "loaded", -1)
    assert_refused(world)


def test_a_rejected_row_that_its_parser_does_not_report_fails_the_load(
    duck: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files(duck)
    duck.put("2021/04/b.csv", [*(job(n, "2021-04-05 10:00:00") for n in range(6, 999)), "1,2,3", "4,5,6"])
    explain = CsvParser.explain
    monkeypatch.setattr(CsvParser, "explain", lambda *arguments: explain(*arguments)[:-1])
    assert_refused(duck)
