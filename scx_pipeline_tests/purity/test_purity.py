"""Random histories of loads: once all changed months are loaded, the warehouse equals a build from scratch.

The histories run on several engines side by side; tests of single behaviors do not belong here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, note

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError
from scx_pipeline.model.calendar import Month, MonthRange, contiguous_ranges
from scx_pipeline_tests.purity.expected_tables import Model
from scx_pipeline_tests.purity.log_history import (
    MONTHS,
    BrokenLoad,
    Delete,
    Load,
    PoisonedLoad,
    Put,
    Settle,
    Step,
    histories,
)
from scx_pipeline_tests.purity.purity_settings import purity_settings
from scx_pipeline_tests.support.broken_statements import failing_statement
from scx_pipeline_tests.support.load_env import LoadEnv, filled, job, scx_star
from scx_pipeline_tests.support.snapshots import Snapshot


@cache
def tolerant_star() -> CompiledStar:
    """Return the star with a reject limit that random files do not exceed."""
    star = scx_star().star
    sources = tuple(source.model_copy(update={"reject_limit": 0.5}) for source in star.sources)
    return replace(scx_star(), star=star.model_copy(update={"sources": sources}))


@dataclass
class Driver:
    """Runs the steps of a history in one bucket and several warehouses, and compares the results."""

    folder: Path
    load_envs: Sequence[LoadEnv]
    model: Model = field(default_factory=Model)
    builds: int = 0

    def run_step(self, step: Step) -> None:
        note(repr(step))
        match step:
            case Put():
                self.put(step)
            case Delete(name):
                self.delete(name)
            case Load():
                for load_env in self.load_envs:
                    self.try_load(load_env, step)
            case BrokenLoad(load):
                for load_env in self.load_envs:
                    self.try_load(load_env, load, step)
            case PoisonedLoad(month):
                self.poison(MonthRange(MONTHS[month], MONTHS[month]))
            case Settle():
                self.settle(step)

    def put(self, put: Put) -> None:
        self.load_envs[0].put(put.name, put.content().encode())
        self.model.files[put.name] = put

    def delete(self, name: str) -> None:
        if self.model.files.pop(name, None):
            self.load_envs[0].delete(name)

    def try_load(self, load_env: LoadEnv, load: Load | MonthRange, breaks: BrokenLoad | None = None) -> bool:
        """Load, and check that a load that is refused or interrupted changes nothing."""
        before = load_env.snapshot()
        scope, tables = (load.scope, load.tables) if isinstance(load, Load) else (load, frozenset[str]())
        how = (breaks.statements, breaks.by_database) if breaks else None
        with failing_statement(how) as broken:
            try:
                load_env.loader().load(scope, tables or None)
            except Exception as error:
                failure = error
            else:
                return True
        assert broken or self.may_refuse(failure), failure
        assert load_env.snapshot() == before
        return False

    def may_refuse(self, failure: Exception) -> bool:
        """Return whether a load may fail: because of a job_id in two months, or staging rows that were never loaded."""
        return (
            isinstance(failure, CheckFailedError) and bool(self.model.objects_with_strays())
        ) or "was never loaded" in str(failure)

    def poison(self, scope: MonthRange) -> None:
        name = f"{scope.first.year}/{scope.first.month:02d}/poison.csv"
        self.load_envs[0].put(name, [job(0, "never")] * 300)
        for load_env in self.load_envs:
            before = load_env.snapshot()
            with pytest.raises(CheckFailedError, match="rejected"):
                load_env.loader().load(scope)
            assert load_env.snapshot() == before
        self.load_envs[0].delete(name)

    def settle(self, step: Settle) -> None:
        """Load what changed, and compare; if it is refused, first delete objects whose job_ids are in two months."""
        loaded = [self.load_changed(load_env, step) for load_env in self.load_envs]
        built = self.build()
        assert loaded == [built is not None] * len(self.load_envs), (
            "the engines disagree on whether to refuse the load"
        )
        if built is None:
            assert self.model.objects_with_strays()
            for name in self.model.objects_with_strays():
                self.delete(name)
            self.settle(step)
        else:
            self.compare(built)

    def load_changed(self, load_env: LoadEnv, step: Settle) -> bool:
        months = changed(load_env)
        ranges = (
            contiguous_ranges(months)
            if step.each == "range"
            else [MonthRange(month, month) for month in months[:5]]
        )
        for scope in reversed(ranges) if step.each == "month backwards" else ranges:
            self.try_load(load_env, scope)
        # A job that moved from one month to another can only be loaded with both months.
        rest = changed(load_env)
        done = not rest or self.try_load(load_env, MonthRange(min(rest), max(rest)))
        assert not (done and changed(load_env))
        return done

    def build(self) -> Snapshot | None:
        """Return the tables after a load into an empty DuckDB; None if it is refused."""
        self.builds += 1
        load_env = LoadEnv(
            self.load_envs[0].bucket_url,
            f"duckdb://{self.folder}/built{self.builds}.duckdb",
            self.load_envs[0].compiled,
        )
        months = changed(load_env)
        if months and not self.try_load(load_env, MonthRange(min(months), max(months))):
            return None
        return filled(load_env)

    def compare(self, built: Snapshot) -> None:
        expected = self.model.tables()
        assert {name: built[name] for name in expected} == expected
        assert sorted((row[1], row[2]) for row in built.get("rejected_rows", [])) == self.model.rejected()
        for load_env in self.load_envs:
            assert filled(load_env) == built, load_env.warehouse.capabilities.name


def changed(load_env: LoadEnv) -> list[Month]:
    """Return the months that must be loaded."""
    return [item.month for item in load_env.plan().changed]


@pytest.mark.redshift
@pytest.mark.histories
@given(history=histories(steps=10))
@purity_settings(examples=4)
def test_any_history_of_logs_equals_a_build_from_scratch(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]], history: list[Step]
) -> None:
    with tempfile.TemporaryDirectory(prefix="scx-purity-") as name:
        folder = Path(name)
        load_envs = [LoadEnv(*load_urls, tolerant_star()) for load_urls in fresh_load_urls(folder)]
        driver = Driver(folder, load_envs)
        for step in history:
            driver.run_step(step)
        driver.settle(Settle())
