"""`scx rejected`: which rows it prints, and what it says if there are none."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from scx_pipeline_tests.support.scx_command import Scx


@pytest.fixture
def loaded(scx: Scx, bucket: Path) -> Path:
    """Load the bucket, of whose rows 6 are rejected; return the warehouse's file."""
    assert scx("load", "scx").code == 0
    return bucket.parent / "dev.duckdb"


def test_rejected_prints_rows_up_to_the_limit_and_how_to_see_all(scx: Scx, loaded: Path) -> None:
    shown = scx("rejected", "scx", "--limit", "2").out
    assert "scx: 6 stored rejected rows" in shown
    assert "4 more rows; to see all: `scx rejected scx --limit 6`" in shown
    shown = scx("rejected", "scx", "--limit", "5", "--reason", "A").out
    assert "1 more row; to see all: `scx rejected scx --reason A --limit 6`" in shown


def test_rejected_filters_rows_by_month_reason_and_file(scx: Scx, loaded: Path) -> None:
    rows = json.loads(scx("rejected", "scx", "--json").out)
    of_march = [row for row in rows if "2021-03" in row["file"]]
    with_integer = [row for row in rows if "is not an integer" in row["reason"]]
    assert 0 < len(of_march) < 6
    assert 0 < len(with_integer) < 6
    assert json.loads(scx("rejected", "scx", "--month", "2021-03", "--json").out) == of_march
    assert json.loads(scx("rejected", "scx", "--file", "2021-03.csv", "--json").out) == of_march
    assert json.loads(scx("rejected", "scx", "--reason", "IS NOT AN integer", "--json").out) == with_integer
    shown = scx("rejected", "scx", "--month", "2021-03", "--reason", "is not an integer").out
    both = [row for row in of_march if row in with_integer]
    assert shown.startswith(
        f"scx --month 2021-03 --reason 'is not an integer': {len(both)} stored rejected row"
    )


@pytest.mark.parametrize("selection", ["--month 2019-02", "--reason nothing", "--file other --month 2021-03"])
def test_rejected_without_rows_prints_one_line_with_the_filters(
    scx: Scx, loaded: Path, selection: str
) -> None:
    result = scx("rejected", "scx", *selection.split())
    assert result.code == 0
    assert len(result.out.splitlines()) == 1
    assert result.out.endswith(": no stored rejected rows\n")
    assert all(word in result.out for word in selection.split())
    assert json.loads(scx("rejected", "scx", *selection.split(), "--json").out) == []


def test_rejected_refuses_a_month_that_is_none(scx: Scx, loaded: Path) -> None:
    result = scx("rejected", "scx", "--month", "March")
    assert (result.code, result.out) == (1, "")
    assert "'March' is not a month: write it as YYYY-MM" in result.err


@pytest.mark.parametrize("removed", ["line % 2 = 0 OR line > 5", "TRUE"])
def test_rejected_explains_why_counted_rows_are_not_stored(scx: Scx, loaded: Path, removed: str) -> None:
    assert "only counted" not in scx("rejected", "scx").out
    with duckdb.connect(loaded) as con:
        con.execute(f"DELETE FROM scx_pipeline.rejected_rows WHERE {removed}")
        [(stored,)] = con.sql("SELECT COUNT(*) FROM scx_pipeline.rejected_rows").fetchall()
    result = scx("rejected", "scx").out
    assert f"scx: {stored or 'no'} stored rejected row" in result
    rows = "row" if stored == 5 else "rows"
    assert (
        f"only counted, not stored: {6 - stored} {rows} of these files, because a file has more than max_stored_rejects"
        in result
    )
