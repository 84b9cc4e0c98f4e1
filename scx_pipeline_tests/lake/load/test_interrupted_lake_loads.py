"""Loads from the lake that are interrupted: they are retried, or leave the tables unchanged.

Loads that are refused are not tested here.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg2
import pytest

from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline.lake.load.lake_source import LakeSource
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.table import Table
from scx_pipeline_tests.lake.load.opened_states import open_state
from scx_pipeline_tests.support.broken_statements import InterruptedLoad, failing_statement
from scx_pipeline_tests.support.lake.lake_loads import (
    BucketState,
    LakeLoadEnv,
    read_all_tables,
    without_history,
)
from scx_pipeline_tests.support.load_env import APRIL, MARCH, job, jobs_of, range_of_keys


def test_a_load_is_retried_if_another_run_replaced_a_file(
    loads: LakeLoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    runs: list[LoadReport] = []
    fill = LakeSource.fill

    def rebuild_and_load(source: LakeSource, table: Table, scope: LoadScope) -> None:
        if table.name == "users" and not runs:
            loads.load_env.put("2021/03/b.csv", [job(50, "2021-03-20 10:00:00", user_id=77)])
            runs.append(loads.builder().load(range_of_keys(MARCH)))
        fill(source, table, scope)

    monkeypatch.setattr(LakeSource, "fill", rebuild_and_load)
    loads.loader(messages.append).load(range_of_keys(MARCH))
    assert 50 in jobs_of(loads.load_env)
    assert (77,) in loads.load_env.table("users", "user_id")
    [line] = [line for line in messages if line.endswith("; retrying")]
    assert "/_latest/users/year=2021/month=3/" in line


@pytest.mark.postgres
def test_an_interrupted_load_leaves_the_tables_unchanged(
    postgres_url: str, states: Callable[[str], list[BucketState]]
) -> None:
    first, second = states("scx")
    open_state("scx", first, (postgres_url, "")).load()
    loads = open_state("scx", second, (postgres_url, ""))
    before = loads.load_env.snapshot()
    scope = loads.due()[0]
    assert scope is not UNPARTITIONED
    number, broken = 3, ["-"]
    while broken:
        with failing_statement((number, number % 2 == 0)) as broken:
            try:
                loads.loader().load(scope)
            except (InterruptedLoad, psycopg2.Error, PipelineError):
                assert loads.load_env.snapshot() == before
        number += 11
    assert number > 100
    assert loads.load() == second.loads[1:]
    assert without_history(read_all_tables(loads.load_env)) == without_history(second.tables)


@pytest.mark.postgres
def test_a_connection_closed_by_the_server_leaves_the_tables_unchanged(
    postgres_url: str, states: Callable[[str], list[BucketState]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = open_state("scx", states("scx")[0], (postgres_url, ""))
    loads.load_month(APRIL)
    before = loads.load_env.snapshot()
    fill = LakeSource.fill

    def terminate_and_load(source: LakeSource, table: Table, scope: LoadScope) -> None:
        if table.name == "users":
            with psycopg2.connect(postgres_url) as con, con.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'scx_pipeline' AND pid <> pg_backend_pid()"
                )
        fill(source, table, scope)

    monkeypatch.setattr(LakeSource, "fill", terminate_and_load)
    with pytest.raises(WarehouseError, match=r"terminating connection|closed") as caught:
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert "\n" not in str(caught.value)
    assert loads.load_env.snapshot() == before
