"""The overview of a star: months, gaps, rows and the last load, on every engine."""

from __future__ import annotations

import pytest

from scx_pipeline.reporting.overview import StarOverview, read_overviews
from scx_pipeline_tests.support.load_env import FACTS, LoadEnv, job


def overview(load_env: LoadEnv) -> StarOverview:
    [found] = read_overviews([load_env.compiled], load_env.bucket, load_env.warehouse)
    return found


@pytest.mark.reader_independent
def test_overview_shows_months_gaps_due_months_rows_and_the_last_load(load_env: LoadEnv) -> None:
    empty = overview(load_env)
    assert (empty.months, empty.gaps, empty.rows, empty.last_load) == ([], [], {FACTS: 0}, None)
    for month in range(2, 8):
        rows = [job(month * 100 + number, f"2021-0{month}-05 10:00:00") for number in range(month)]
        load_env.put(f"2021/0{month}/jobs.csv", rows)
    for first, last in (("2021-07", "2021-07"), ("2021-02", "2021-03"), ("2021-05", "2021-05")):
        load_env.load(first, last)
    found = overview(load_env)
    assert list(map(str, found.months)) == ["2021-02", "2021-03", "2021-05", "2021-07"]
    assert list(map(str, found.gaps)) == ["2021-04", "2021-06"]
    assert found.rows == {FACTS: 2 + 3 + 5 + 7}
    assert found.due is not None
    assert [str(item.month) for item in found.due.changed] == ["2021-01", "2021-04", "2021-06"]
    last = found.last_load
    assert last is not None
    assert (last.rows_loaded, last.rows_rejected) == (5, 0)
    assert 0 <= last.seconds < 120
    assert last.load_id in [load_id for (load_id,) in load_env.state("months", "load_id")]
