"""Random histories of loads: published months are as a build from scratch would have them, held ones as they last were.

The histories run on several engines side by side; tests of single behaviors do not belong here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, note

from scx_pipeline_tests.purity.load_counts import LoadCounts
from scx_pipeline_tests.purity.log_driver import Driver, tolerant_star
from scx_pipeline_tests.purity.log_history import Settle, Step, histories
from scx_pipeline_tests.purity.purity_settings import purity_settings
from scx_pipeline_tests.support.load_env import LoadEnv


@pytest.mark.redshift
@pytest.mark.histories
def test_any_history_of_logs_equals_a_build_from_scratch(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]],
) -> None:
    counts = LoadCounts()

    @given(history=histories(additions=4))
    @purity_settings(examples=2)
    def run(history: list[Step]) -> None:
        with tempfile.TemporaryDirectory(prefix="scx-purity-") as name:
            folder = Path(name)
            load_envs = [LoadEnv(*load_urls, tolerant_star()) for load_urls in fresh_load_urls(folder)]
            driver = Driver(folder, load_envs, counts=counts)
            for step in [*history, Settle()]:
                note(repr(step))
                driver.run_step(step)
            driver.repair()

    run()
    counts.check_share(least=0.15)
