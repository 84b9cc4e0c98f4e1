"""The loads that rejected rows, as the load history of every engine tells them.
From which share on they are a problem is decided in `alerts.finding`, and tested in alerts/test_problems.py."""

from __future__ import annotations

from pathlib import Path

from scx_pipeline.reporting.status import read_rejecting
from scx_pipeline_tests.support.load_env import MARCH, World, folder_world, job

FEBRUARY = "2021-02"


def found(world: World) -> list[tuple[str, int, int]]:
    with world.warehouse.reader() as session:
        rows = read_rejecting(session, "scx") if session else []
    return sorted((row.part, row.rows_read, row.rows_rejected) for row in rows)


def test_a_load_is_told_for_each_month_that_stands_by_it(server_url: str, tmp_path: Path) -> None:
    world = folder_world(tmp_path, server_url)
    assert found(world) == []
    rows = [job(number, "2021-03-05 10:00:00") for number in range(1, 100)]
    world.put("2021/03/jobs.csv", [*rows, job(100, "2021-03-05 10:00:00", user_id="nobody")])
    world.load(FEBRUARY, MARCH)
    assert found(world) == [(FEBRUARY, 100, 1), (MARCH, 100, 1)]
    world.put("2021/03/jobs.csv", rows)
    world.load(MARCH)
    assert found(world) == [(FEBRUARY, 100, 1)]
