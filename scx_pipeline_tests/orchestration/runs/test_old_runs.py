"""Which Dagster runs are old, and that deleting them keeps every asset's latest events."""

from __future__ import annotations

from uuid import uuid4

import dagster as dg

from scx_pipeline.orchestration.runs.old_runs import old_runs, remove_runs
from scx_pipeline_tests.support.load_env import APRIL, FACTS, MARCH, job
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv


def test_runs_with_the_latest_materializations_and_unfinished_runs_are_kept(dagster_env: DagsterEnv) -> None:
    load_env = dagster_env.load_env
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    for month in (MARCH, MARCH, APRIL):
        assert dagster_env.run(month).success
    instance = dagster_env.instance
    unfinished = dg.DagsterRun(job_name="scx", run_id=str(uuid4()), status=dg.DagsterRunStatus.STARTED)
    instance.add_run(unfinished)
    assert old_runs(instance, 1) == []
    runs = [run.run_id for run in instance.get_runs() if run.run_id != unfinished.run_id]  # newest first
    assert old_runs(instance, 0) == [runs[-1]]
    before = {month: dagster_env.materializations(FACTS)[month] for month in (MARCH, APRIL)}
    assert remove_runs(instance, old_runs(instance, 0)) == 1
    assert {run.run_id for run in instance.get_runs()} == {unfinished.run_id, *runs[:-1]}
    assert dagster_env.materializations(FACTS) == before
    assert old_runs(instance, 0) == []
