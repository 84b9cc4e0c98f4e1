"""Loads that rejected rows, as the load history of every engine lists them.

The threshold of alerts is not tested here.
"""

from __future__ import annotations

from pathlib import Path

from scx_pipeline.reporting.rejected_rows import read_rejection_summaries
from scx_pipeline_tests.support.load_env import MARCH, LoadEnv, create_load_env, job

FEBRUARY = "2021-02"


def rejecting_loads(load_env: LoadEnv) -> list[tuple[str, int, int]]:
    with load_env.warehouse.open_if_loaded() as session:
        rows = read_rejection_summaries(session, "scx") if session else []
    return sorted((row.partition, row.rows_read, row.rows_rejected) for row in rows)


def test_a_load_is_listed_for_each_month_whose_current_rows_it_loaded(
    server_url: str, tmp_path: Path
) -> None:
    load_env = create_load_env(tmp_path, server_url)
    assert rejecting_loads(load_env) == []
    rows = [job(number, "2021-03-05 10:00:00") for number in range(1, 100)]
    load_env.put("2021/03/jobs.csv", [*rows, job(100, "2021-03-05 10:00:00", user_id="unknown")])
    load_env.load(FEBRUARY, MARCH)
    assert rejecting_loads(load_env) == [(FEBRUARY, 100, 1), (MARCH, 100, 1)]
    load_env.put("2021/03/jobs.csv", rows)
    load_env.load(MARCH)
    assert rejecting_loads(load_env) == [(FEBRUARY, 100, 1)]
