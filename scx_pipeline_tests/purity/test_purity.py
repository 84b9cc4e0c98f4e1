"""The promise: whatever happened before, once all changed months are loaded the warehouse equals a build from nothing.
Random histories run on DuckDB and PostgreSQL side by side; single behaviours are in the other modules."""

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
from scx_pipeline_tests.purity.histories import tried
from scx_pipeline_tests.purity.history import (
    MONTHS,
    BrokenLoad,
    Delete,
    Load,
    Model,
    PoisonedLoad,
    Put,
    Settle,
    Step,
    histories,
)
from scx_pipeline_tests.support.broken_statements import breaking
from scx_pipeline_tests.support.load_env import Snapshot, World, filled, job, scx_star


@cache
def tolerant_star() -> CompiledStar:
    """The star, with room for as many bad rows as a random file has."""
    star = scx_star().star
    sources = tuple(source.model_copy(update={"reject_limit": 0.5}) for source in star.sources)
    return replace(scx_star(), star=star.model_copy(update={"sources": sources}))


@dataclass
class Driver:
    """Takes the steps of a history in one bucket and several warehouses, and compares what comes of them."""

    folder: Path
    worlds: Sequence[World]
    model: Model = field(default_factory=Model)
    builds: int = 0

    def take(self, step: Step) -> None:
        note(repr(step))
        match step:
            case Put():
                self.put(step)
            case Delete(name):
                self.delete(name)
            case Load():
                for world in self.worlds:
                    self.try_load(world, step)
            case BrokenLoad(load):
                for world in self.worlds:
                    self.try_load(world, load, step)
            case PoisonedLoad(month):
                self.poison(MonthRange(MONTHS[month], MONTHS[month]))
            case Settle():
                self.settle(step)

    def put(self, put: Put) -> None:
        self.worlds[0].put(put.name, put.content().encode())
        self.model.files[put.name] = put

    def delete(self, name: str) -> None:
        if self.model.files.pop(name, None):
            self.worlds[0].delete(name)

    def try_load(self, world: World, load: Load | MonthRange, breaks: BrokenLoad | None = None) -> bool:
        """Load; a load that is refused, as it may be, or broken off changes nothing."""
        before = world.snapshot()
        span, tables = (load.scope, load.tables) if isinstance(load, Load) else (load, frozenset[str]())
        how = (breaks.statements, breaks.by_database) if breaks else None
        with breaking(how) as broken:
            try:
                world.loader().load(span, tables or None)
            except Exception as error:
                failure = error
            else:
                return True
        assert broken or self.may_refuse(failure), failure
        assert world.snapshot() == before
        return False

    def may_refuse(self, failure: Exception) -> bool:
        """Whether it is because of a job_id in two months, or of staging rows that were never loaded."""
        return (
            isinstance(failure, CheckFailedError) and bool(self.model.strays())
        ) or "was never loaded" in str(failure)

    def poison(self, span: MonthRange) -> None:
        name = f"{span.first.year}/{span.first.month:02d}/poison.csv"
        self.worlds[0].put(name, [job(0, "never")] * 300)
        for world in self.worlds:
            before = world.snapshot()
            with pytest.raises(CheckFailedError, match="rejected"):
                world.loader().load(span)
            assert world.snapshot() == before
        self.worlds[0].delete(name)

    def settle(self, step: Settle) -> None:
        """Load what changed, and compare; objects whose job_ids are in two months are removed if they must be."""
        loaded = [self.load_changed(world, step) for world in self.worlds]
        built = self.build()
        assert loaded == [built is not None] * len(self.worlds), "some were refused, and others were not"
        if built is None:
            assert self.model.strays()
            for name in self.model.strays():
                self.delete(name)
            self.settle(step)
        else:
            self.compare(built)

    def load_changed(self, world: World, step: Settle) -> bool:
        months = changed(world)
        spans = (
            contiguous_ranges(months)
            if step.each == "span"
            else [MonthRange(month, month) for month in months[:5]]
        )
        for span in reversed(spans) if step.each == "month backwards" else spans:
            self.try_load(world, span)
        # A job that moved from a month to another cannot be loaded month by month: the one needs the other.
        rest = changed(world)
        done = not rest or self.try_load(world, MonthRange(min(rest), max(rest)))
        assert not (done and changed(world))
        return done

    def build(self) -> Snapshot | None:
        """What stands after a load from nothing, into an empty DuckDB; None where it is refused."""
        self.builds += 1
        world = World(
            self.worlds[0].bucket_url,
            f"duckdb://{self.folder}/built{self.builds}.duckdb",
            self.worlds[0].compiled,
        )
        months = changed(world)
        if months and not self.try_load(world, MonthRange(min(months), max(months))):
            return None
        return filled(world)

    def compare(self, built: Snapshot) -> None:
        expected = self.model.tables()
        assert {name: built[name] for name in expected} == expected
        assert sorted((row[1], row[2]) for row in built.get("rejected_rows", [])) == self.model.rejected()
        for world in self.worlds:
            assert filled(world) == built, world.warehouse.capabilities.name


def changed(world: World) -> list[Month]:
    """The months that a load is due for."""
    return [item.month for item in world.plan().changed]


@pytest.mark.redshift
@pytest.mark.histories
@given(history=histories(steps=10))
@tried(examples=4)
def test_any_history_ends_as_a_build_from_nothing(
    fresh_places: Callable[[Path], list[tuple[str, str]]], history: list[Step]
) -> None:
    with tempfile.TemporaryDirectory(prefix="scx-purity-") as name:
        folder = Path(name)
        worlds = [World(*place, tolerant_star()) for place in fresh_places(folder)]
        driver = Driver(folder, worlds)
        for step in history:
            driver.take(step)
        driver.settle(Settle())
