"""Random histories of a star of Parquet files whose rows may repeat: files are added, changed, damaged and deleted between loads.

After each load, months that it had to hold have the rows of their last good load, the others those of their files.

The histories run on several engines side by side; those of the other stars do not belong here.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, note

from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.targets import latest_row_collector
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.run_requests import split_scopes
from scx_pipeline_tests.purity.expected_dimensions import dimensions
from scx_pipeline_tests.purity.load_counts import LoadCounts
from scx_pipeline_tests.purity.purity_settings import purity_settings
from scx_pipeline_tests.purity.sensor_history import (
    MINUTES,
    MONTHS,
    Clean,
    Delete,
    Load,
    Put,
    Reading,
    Step,
    histories,
)
from scx_pipeline_tests.support.broken_statements import failing_statement
from scx_pipeline_tests.support.load_env import LIMITS, filled
from scx_pipeline_tests.support.sensor_env import PREFIX, SensorEnv, sensor_star
from scx_pipeline_tests.support.snapshots import Row, Snapshot

Policy = Literal["reject", "fail"]
REJECT_LIMITS: dict[Policy, float] = {"reject": 1.0, "fail": 0.4}  # of rejected rows


@dataclass(frozen=True)
class Published:
    """A month as it was last published: the content of its files, and its rows."""

    content: frozenset[tuple[int, bytes]] = frozenset()
    rows: tuple[Row, ...] = ()


State = dict[Month, Published]


@dataclass
class Driver:
    """Runs the steps of a history in one bucket and several warehouses, and compares the results."""

    folder: Path
    policy: Policy
    load_envs: Sequence[SensorEnv]
    files: dict[int, Put] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)  # expected, by load environment
    counts: LoadCounts = field(default_factory=LoadCounts)

    def __post_init__(self) -> None:
        self.states = [{} for _ in self.load_envs]

    def run_step(self, step: Step) -> None:
        match step:
            case Put(minute):
                self.load_envs[0].put_minute(MINUTES[minute], step.content())
                self.files[minute] = step
            case Delete(minute):
                self.delete([minute])
            case Clean():
                self.delete([minute for minute, put in list(self.files.items()) if self.is_refused(put)])
            case Load():
                for number in range(len(self.load_envs)):
                    self.load(number, step.scope, step.breaks)

    def delete(self, minutes: Iterable[int]) -> None:
        for minute in minutes:
            if self.files.pop(minute, None):
                self.load_envs[0].delete_key(f"{PREFIX}{MINUTES[minute]}:00.parquet")

    def of_month(self, month: Month) -> Published:
        puts = [put for put in self.files.values() if put.month == month]
        content = frozenset((put.minute, put.content()) for put in puts)
        return Published(content, tuple(row for put in puts for row in put.valid_rows()))

    def is_refused(self, put: Put) -> bool:
        """Return whether a file keeps its month from being published, whatever the others are."""
        return put.is_refused() or bool(put.damage and self.policy == "fail")

    def must_hold(self, month: Month) -> bool:
        """Return whether a month's files keep it from being published."""
        puts = [put for put in self.files.values() if put.month == month]
        if any(self.is_refused(put) for put in puts):
            return True
        read = sum(len(put.rows) for put in puts)
        valid = sum(len(put.valid_rows()) for put in puts)
        return read - valid > REJECT_LIMITS[self.policy] * read

    def load(self, number: int, scope: MonthRange, breaks: tuple[int, bool] | None = None) -> None:
        load_env, state = self.load_envs[number], self.states[number]
        before = load_env.snapshot()
        held = {month for month in scope if self.must_hold(month)}
        with failing_statement(breaks) as broken:
            failure = self.try_load(load_env, scope)
        after = load_env.snapshot()
        if broken and failure and after == before:
            return
        assert isinstance(failure, PipelineError) if held else failure is None, failure
        published = {month: self.of_month(month) for month in scope if month not in held}
        if held:
            report = failure.report if isinstance(failure, CheckFailedError) else None
            assert (isinstance(report, LoadReport) and report.is_published) == bool(published), failure
        if not published:
            assert after == before
        self.states[number] = state | published
        self.check_content(number, after)

    def try_load(self, load_env: SensorEnv, scope: MonthRange) -> Exception | None:
        """Load; return the error, if any."""
        try:
            report = load_env.loader().load(scope)
        except Exception as error:
            self.counts.add(load_env, getattr(error, "report", None))
            return error
        self.counts.add(load_env, report)
        return None

    def check_content(self, number: int, found: Snapshot) -> None:
        """Compare the rows of a warehouse, and which months are due, with what is expected."""
        state, load_env = self.states[number], self.load_envs[number]
        engine = load_env.warehouse.capabilities.name
        expected = Counter(row for month in state.values() for row in month.rows)
        assert Counter(found.get("data_sample", [])) == expected, engine
        for name, rows in dimensions(expected).items():
            assert Counter(found.get(name, [])) == Counter(rows), (engine, name)
        assert {row[0] for row in found.get("months", [])} == set(map(str, state)), engine
        assert load_env.changed() == [str(month) for month in self.due(number)], engine

    def due(self, number: int) -> list[Month]:
        state, nothing = self.states[number], Published()
        return [
            month for month in MONTHS if state.get(month, nothing).content != self.of_month(month).content
        ]

    def settle(self) -> None:
        """Load what is due as the sensor does, then once more without the files that keep months from being published."""
        for _ in range(2):
            for number, load_env in enumerate(self.load_envs):
                for scope in split_scopes(self.due(number), load_env.plan().held):
                    self.load(number, scope)
            assert all(
                self.must_hold(month) for number in range(len(self.load_envs)) for month in self.due(number)
            )
            self.delete([minute for minute, put in list(self.files.items()) if self.must_hold(put.month)])
        built = self.build()
        for load_env in self.load_envs:
            assert load_env.changed() == []
            assert filled(load_env) == built, load_env.warehouse.capabilities.name

    def build(self) -> Snapshot:
        """Return the tables after a load into an empty DuckDB."""
        url = f"duckdb://{self.folder}/built.duckdb"
        load_env = SensorEnv(self.load_envs[0].bucket_url, url, self.load_envs[0].compiled)
        load_env.load_changed()
        return filled(load_env)


def sensor_envs(urls: Iterable[tuple[str, str]], policy: Policy) -> list[SensorEnv]:
    """Return environments that read a file at a time."""
    star, limits = sensor_star(policy, REJECT_LIMITS[policy]), replace(LIMITS, batch_files=1)
    return [SensorEnv(*load_urls, star, limits) for load_urls in urls]


@pytest.mark.redshift
@pytest.mark.histories
@pytest.mark.parametrize("policy", ["reject", "fail"])
def test_any_history_of_readings_equals_a_build_from_scratch(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]],
    policy: Policy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latest_row_collector, "MIN_ROWS", 3)
    counts = LoadCounts()

    @given(history=histories(additions=1))
    @purity_settings(examples=2)
    def run(history: list[Step]) -> None:
        with tempfile.TemporaryDirectory(prefix="scx-purity-") as name:
            folder = Path(name)
            driver = Driver(folder, policy, sensor_envs(fresh_load_urls(folder), policy), counts=counts)
            for step in history:
                note(repr(step))
                driver.run_step(step)
            driver.settle()

    run()
    counts.check_share(least=0.15)


@pytest.mark.redshift
@pytest.mark.histories
def test_a_month_with_a_damaged_file_keeps_its_rows_and_the_other_month_is_published(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]], tmp_path: Path
) -> None:
    driver = Driver(tmp_path, "fail", sensor_envs(fresh_load_urls(tmp_path), "fail"))
    one, two, both = (Reading(1),), (Reading(2), Reading(2)), Load(0, 1)
    for step in (Put(0, one), Put(2, one), both, Put(1, two, "cut off"), Put(2, two), both):
        driver.run_step(step)
    assert [list(load_env.plan().held) for load_env in driver.load_envs] == [[MONTHS[0]]] * 3
