"""Builds that are killed, each in a process of its own: readers see the old months or the new ones.

Killed Spark drivers do not belong here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from scx_pipeline.model.calendar import MonthRange
from scx_pipeline.orchestration.execute import open_runner
from scx_pipeline.orchestration.jobs import lake_job_name
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.lake.lake_contents import contents
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv, change_scx, open_lake_load_env, put_scx
from scx_pipeline_tests.support.load_env import range_of_keys, scx_star
from scx_pipeline_tests.support.processes.load_process import FORK_SERVER, start_fork_server

# Progress messages at which a run is killed.
PROGRESS_MESSAGES = (
    "objects, ",
    "users: built in",
    "publishing files",
)


def build(environment: Mapping[str, str], folder: str, scope: MonthRange, kill_at: str) -> None:
    """Run a build like `scx lake build`; kill the process at a progress message."""
    os.environ.clear()
    os.environ.update(environment)

    def progress(message: str) -> None:
        if kill_at in message:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(home=Path(folder), lake_url=(Path(folder) / "lake").as_uri())
    with open_runner(
        scx_star(), settings, progress, lambda part: lake_job_name(scx_star().star, part)
    ) as run:
        run(scope)


def build_and_kill(kill_at: str, folder: Path, scope: MonthRange) -> int | None:
    """Return the exit code of a build that is killed at a progress message."""
    start_fork_server()
    process = FORK_SERVER.Process(target=build, args=(dict(os.environ), str(folder), scope, kill_at))
    process.start()
    process.join(60)
    return process.exitcode


def test_a_run_killed_at_any_step_leaves_the_old_months_and_the_next_one_converges(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    put_scx(loads.load_env)
    loads.build()
    old = contents(loads)
    change_scx(loads.load_env)
    scope = range_of_keys("2021-02", "2021-07")
    for message in PROGRESS_MESSAGES:
        assert build_and_kill(message, tmp_path, scope) == -signal.SIGKILL, message
        assert contents(loads) == old, message
    loads.build()
    fresh = LakeLoadEnv(loads.load_env, f"{loads.lake}-fresh")
    fresh.build()
    assert contents(loads) == contents(fresh) != old
    assert not loads.store.list("_writing/")
