"""Runs a history of logs in one bucket and several warehouses, and compares each with its expected content after every load.

Histories do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.history.held_records import read_held_months
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.run_requests import split_scopes
from scx_pipeline_tests.purity.expected_loads import REJECT_LIMIT, Outcome, State, expect_load
from scx_pipeline_tests.purity.expected_tables import BucketModel
from scx_pipeline_tests.purity.load_counts import LoadCounts
from scx_pipeline_tests.purity.log_history import BrokenLoad, Clean, Delete, Load, Put, Settle, Step
from scx_pipeline_tests.support.broken_statements import failing_statement
from scx_pipeline_tests.support.load_env import PREFIX, STAGING, LoadEnv, filled, scx_star
from scx_pipeline_tests.support.snapshots import Snapshot, take_snapshot

MAX_LOADS = 3  # of a step that settles: an object that may contain any month makes all months due
BY_MONTH = (STAGING, "auto_classification_logs", "time")


@cache
def tolerant_star() -> CompiledStar:
    """Return the star with a reject limit that only some of the random files exceed."""
    star = scx_star().star
    sources = tuple(source.model_copy(update={"reject_limit": REJECT_LIMIT}) for source in star.sources)
    return replace(scx_star(), star=star.model_copy(update={"sources": sources}))


@dataclass(frozen=True)
class Content:
    """What a warehouse has: a snapshot, and the held months, each with the months that it shares keys with."""

    snapshot: Snapshot
    held: dict[Month, frozenset[Month]]

    @staticmethod
    def of(load_env: LoadEnv) -> Content:
        with load_env.warehouse.open_read_only() as session:
            if session is None:
                return Content({}, {})
            held = read_held_months(session, load_env.compiled.star.name)
            conflicts = {month: frozenset(found.conflicts) for month, found in held.items()}
            return Content(take_snapshot(session, load_env.compiled), conflicts)

    def records(self, months: Collection[Month]) -> list[object]:
        """Return the records of months and of their row counts, except of these months."""
        names = {str(month) for month in months}
        rows = [*self.snapshot.get("months", []), *self.snapshot.get("month_rows", [])]
        return [row for row in rows if names.isdisjoint(row)]


@dataclass
class Driver:
    """Runs the steps of a history in one bucket and several warehouses, and compares the results."""

    folder: Path
    load_envs: list[LoadEnv]
    bucket: BucketModel = field(default_factory=BucketModel)
    # By load environment: the expected state, and the content after the last load.
    states: list[State] = field(default_factory=list)
    contents: list[Content] = field(default_factory=list)
    builds: int = 0
    counts: LoadCounts = field(default_factory=LoadCounts)

    def __post_init__(self) -> None:
        self.states = [State() for _ in self.load_envs]
        self.contents = [Content.of(load_env) for load_env in self.load_envs]

    def run(self, *steps: Step) -> None:
        for step in steps:
            self.run_step(step)

    def run_step(self, step: Step) -> None:
        match step:
            case Put():
                self.put(step)
            case Delete(name):
                self.delete(name)
            case Load():
                for number in range(len(self.load_envs)):
                    self.load(number, step.scope, step.tables)
            case BrokenLoad(load):
                for number in range(len(self.load_envs)):
                    self.load(number, load.scope, load.tables, step)
            case Settle():
                self.settle(step)
            case Clean():
                self.clean()

    def put(self, put: Put) -> None:
        self.load_envs[0].put_raw(put.name, put.content)
        self.bucket = self.bucket.with_file(put)

    def delete(self, *names: str) -> None:
        for name in names:
            if name in self.bucket.files:
                self.load_envs[0].delete(name)
        self.bucket = self.bucket.without(*names)

    def load(
        self,
        number: int,
        scope: MonthRange,
        tables: Collection[str] = (),
        breaks: BrokenLoad | None = None,
    ) -> None:
        """Load, and compare with what is expected; a load that is interrupted may also have changed nothing."""
        load_env, before = self.load_envs[number], self.contents[number]
        expected = expect_load(self.states[number], self.bucket, scope, tables)
        with failing_statement((breaks.statements, breaks.by_database) if breaks else None) as broken:
            failure = self.try_load(load_env, scope, tables)
        after = Content.of(load_env)
        if broken and failure is not None and after == before:
            return
        self.states[number], self.contents[number] = expected.state, after
        check_failure(failure, expected)
        assert after.records(expected.published) == before.records(expected.published)
        if not expected.published:
            assert after.snapshot == before.snapshot
        self.check_content(number)

    def try_load(self, load_env: LoadEnv, scope: MonthRange, tables: Collection[str]) -> Exception | None:
        """Load; return the error, if any."""
        try:
            report = load_env.loader().load(scope, tables or None)
        except Exception as error:
            self.counts.add(load_env, getattr(error, "report", None))
            return error
        self.counts.add(load_env, report)
        return None

    def check_content(self, number: int) -> None:
        """Compare the content of a warehouse with the expected one, and which months are due with those that should be."""
        state, load_env, content = self.states[number], self.load_envs[number], self.contents[number]
        found = content.snapshot
        engine = load_env.warehouse.capabilities.name
        tables = {
            table.name: found[table.name] for table in load_env.compiled.star.tables if table.name in found
        }
        assert tables == state.tables(), engine
        assert {row[0] for row in found.get("months", [])} == {str(month) for month in state.published}, (
            engine
        )
        counts = sorted(row[:3] for row in found.get("month_rows", []) if row[2])
        assert counts == state.month_rows(), engine
        objects = sorted((row[1], row[4], row[5]) for row in found.get("objects", []))
        puts = state.recorded.values()
        assert objects == sorted((PREFIX + put.name, len(put.rows()), len(put.bad_lines)) for put in puts), (
            engine
        )
        rejected = sorted((row[1], row[2]) for row in found.get("rejected_rows", []))
        assert rejected == sorted(line for put in puts for line in put.bad_lines), engine
        assert content.held == {month: held.conflicts for month, held in state.held.items()}, engine
        due = {item.month: bool(item.held) for item in load_env.plan().changed}
        assert due == self.due(number), engine

    def due(self, number: int) -> dict[Month, bool]:
        """Return the due months of a load environment, each with whether it is held."""
        return self.states[number].due(self.bucket, self.load_envs[number].compiled.star.months())

    def held(self) -> list[str]:
        """Return the months that are due and were held in all warehouses when they were last loaded."""
        [found] = {tuple(map(str, load_env.plan().held)) for load_env in self.load_envs}
        return list(found)

    def settle(self, step: Settle) -> None:
        """Load what is due, first by scope or month, then all at once, and compare with a build from scratch."""
        for number in range(len(self.load_envs)):
            for scope in scopes_of(self.due(number), step):
                self.load(number, scope)
            self.load_rest(number)
        self.compare_with_build()

    def load_rest(self, number: int) -> None:
        """Load all due months at once: two jobs that swapped their months can only be loaded with both months."""
        rest = self.due(number)
        if rest:
            self.load(number, MonthRange(min(rest), max(rest)))

    def clean(self) -> None:
        """Delete every object that may keep a month from being published."""
        self.delete(*[put.name for put in self.bucket.files.values() if may_be_held(put)])

    def repair(self) -> None:
        """Delete every object that may keep a month from being published, and load until nothing is due."""
        self.clean()
        for number in range(len(self.load_envs)):
            self.load_rest(number)
            assert not self.due(number)
        self.compare_with_build()

    def compare_with_build(self) -> None:
        """Compare with a build from scratch: all if nothing is held, else the months that are up to date in both."""
        built = self.build()
        whole = filled(built.load_envs[0])
        for number, load_env in enumerate(self.load_envs):
            engine, due = load_env.warehouse.capabilities.name, {*built.due(0), *self.due(number)}
            if due:
                assert self.up_to_date(number, due) == built.up_to_date(0, due), engine
            else:
                assert filled(load_env) == whole, engine

    def build(self) -> Driver:
        """Load everything into an empty DuckDB."""
        self.builds += 1
        url = f"duckdb://{self.folder}/built{self.builds}.duckdb"
        load_env = LoadEnv(self.load_envs[0].bucket_url, url, self.load_envs[0].compiled)
        driver = Driver(self.folder, [load_env], self.bucket)
        driver.load_rest(0)
        return driver

    def up_to_date(self, number: int, due: Collection[Month]) -> Snapshot:
        """Return the rows of all months but these."""
        found = {}
        for name in BY_MONTH:
            time = self.load_envs[number].compiled.star.table(name).column_names.index("created_at")
            rows = self.contents[number].snapshot.get(name, [])
            found[name] = [row for row in rows if Month.of(row[time]) not in due]
        return found


def may_be_held(put: Put) -> bool:
    """Return whether rows of an object may keep a month from being published: many may be rejected, or one is refused."""
    return put.is_unreadable or bool(put.bad_rows) or any(entry.stray or entry.flaw for entry in put.entries)


def scopes_of(due: Mapping[Month, bool], step: Settle) -> Sequence[MonthRange]:
    """Return the first scopes to load: as the sensor requests them, or single months."""
    if step.each == "scope":
        return split_scopes(due, {month: str(month) for month in due if due[month]})[:MAX_LOADS]
    single = [MonthRange(month, month) for month in list(due)[:MAX_LOADS]]
    return single[::-1] if step.each == "month backwards" else single


def check_failure(failure: Exception | None, expected: Outcome) -> None:
    """Check that a load failed if it held months or was not possible, and that its error says which were held."""
    if expected.published and not expected.held:
        assert failure is None, failure
        return
    assert isinstance(failure, PipelineError), failure
    if not expected.held:
        assert "was never loaded" in str(failure)
    report = failure.report if isinstance(failure, CheckFailedError) else None
    held = report.held if isinstance(report, LoadReport) and report.is_published else None
    assert (None if held is None else set(held)) == (expected.held if expected.published else None), failure
