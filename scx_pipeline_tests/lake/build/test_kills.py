"""Runs of a lake that are killed, each in a process of its own: readers see the old months or the new ones.
A Spark driver that is killed is in spark/, a kill at each single change of the lake in pipeline/test_unload."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from scx_pipeline.orchestration.runs.execute import open_runner
from scx_pipeline.orchestration.assets.lake_assets import lake_job_name
from scx_pipeline.settings import Settings
from scx_pipeline.model.calendar import MonthRange
from scx_pipeline_tests.support.lake_contents import contents
from scx_pipeline_tests.support.lake_loads import Loads, change_scx, open_loads, put_scx
from scx_pipeline_tests.support.load_process import NURSERY, start_nursery
from scx_pipeline_tests.support.load_env import scx_star, range_of_keys

# What a build says when it is there.
MOMENTS = (
    "objects, ",
    "staging_cleansed_logs: made in",
    "users: made in",
    "checks in",
    "putting files in their places",
)


def build(environment: Mapping[str, str], folder: str, span: MonthRange, moment: str) -> None:
    """A run as `scx lake build` makes it, which dies at the moment."""
    os.environ.clear()
    os.environ.update(environment)

    def say(message: str) -> None:
        if moment in message:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(home=Path(folder))
    with open_runner(scx_star(), settings, say, lambda part: lake_job_name(scx_star().star, part)) as run:
        run(span)


def killed_at(moment: str, folder: Path, span: MonthRange) -> int | None:
    """The exit code of a run that should die at the moment."""
    start_nursery()
    process = NURSERY.Process(target=build, args=(dict(os.environ), str(folder), span, moment))
    process.start()
    process.join(60)
    return process.exitcode


def test_a_run_killed_at_any_moment_leaves_the_old_months_and_the_next_one_converges(tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    put_scx(loads.world)
    loads.build()
    old = contents(loads)
    change_scx(loads.world)
    for moment in MOMENTS:
        assert killed_at(moment, tmp_path, range_of_keys("2021-02", "2021-07")) == -signal.SIGKILL, moment
        assert contents(loads) == old, moment
    loads.build()
    fresh = Loads(loads.world, f"{loads.lake}-fresh")
    fresh.build()
    assert contents(loads) == contents(fresh) != old
    assert not loads.place.list("_writing/")
