"""The report of a load: rows, seconds and check results by table.

Rendering a report belongs to the callers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import declared_at
from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount
from scx_pipeline.loading.checks.check_names import REJECTED_ROWS, unique_check_name
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month
from scx_pipeline.model.source import Source
from scx_pipeline.planning.key_patterns import month_of
from scx_pipeline.planning.selection import Selection

Progress = Callable[[str], None]

MAX_FAILED_CHECKS = 3  # that a message describes


@dataclass(frozen=True)
class ObjectTotals:
    """What was read of the objects whose keys name a month, or of those of an unpartitioned source."""

    objects: int = 0
    bytes: int = 0
    read: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0

    def add(self, count: ObjectCount) -> ObjectTotals:
        """Return the totals with those of another object."""
        return ObjectTotals(
            self.objects + 1, self.bytes + count.object.info.size, self.read + count.read,
            self.rejected + count.rejected, self.deduplicated + count.deduplicated, self.filtered + count.filtered,
        )  # fmt: skip


@dataclass(frozen=True)
class TableReport:
    """The rows of a table after a load, and the time it took."""

    name: str
    rows: Rows  # by loaded month
    seconds: float
    total_rows: int | None = None  # of the whole table; None for a partitioned one
    # Of a staging table, by loaded month; of how many objects whose key names no month, which are in none of these.
    totals_by_month: Mapping[Month | None, ObjectTotals] = field(default_factory=dict)
    objects_of_any_month: int = 0

    def with_objects(self, sources: Iterable[Source], counts: Iterable[ObjectCount]) -> TableReport:
        """Return the report with what was read of the objects of the table's sources.

        Each object counts once, under the month that its key names, although its rows may be of other months, too. If keys
        name no month, nothing is said of a month that no key names.
        """
        by_name = {source.name: source for source in sources}
        totals: dict[Month | None, ObjectTotals] = {}
        of_any_month = 0
        for count in counts:
            source = by_name[count.object.source]
            month = month_of(source, count.object.info.key) if source.event_time else None
            if month is None and source.event_time:
                of_any_month += 1
            else:
                totals[month] = totals.get(month, ObjectTotals()).add(count)
        by_month = {
            month: totals.get(month, ObjectTotals())
            for month in self.rows
            if month in totals or not of_any_month
        }
        return replace(self, totals_by_month=by_month, objects_of_any_month=of_any_month)


@dataclass
class LoadReport:
    """The numbers of a load that are shown, recorded and attached to assets."""

    star: str
    scope: LoadScope
    load_id: str
    run_id: str | None = None  # of Dagster
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))
    objects: int = 0
    bytes: int = 0
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0
    seconds: float = 0.0
    fingerprints: Mapping[Month | None, str] = field(default_factory=dict)
    # Months that this load made stale, with the reason.
    stale: Mapping[Month, str] = field(default_factory=dict)
    # Where the rows come from, if not from objects.
    origin: Mapping[str, str | int] = field(default_factory=dict)
    is_addition: bool = False  # whether only objects that were added to the months were read
    is_published: bool = False  # whether the transaction was committed
    # Months that the load could not publish and that keep their previous rows, each with the reason.
    held: Mapping[Month, str] = field(default_factory=dict)
    # The reports of months that had to be rebuilt in the same transaction.
    rebuilds: list[LoadReport] = field(default_factory=list)
    tables: dict[str, TableReport] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)
    ingest_results: list[IngestResult] = field(default_factory=list)

    @property
    def failed(self) -> list[CheckResult]:
        """The failed checks that keep the load from being published."""
        return [check for check in self.checks if check.blocking]

    @property
    def warnings(self) -> list[CheckResult]:
        return [check for check in self.checks if not check.passed and not check.blocking]

    def add_selection(self, selection: Selection) -> None:
        """Add the fingerprints of the loaded months."""
        if self.scope is UNPARTITIONED:
            self.fingerprints = {None: selection.unpartitioned_fingerprint}
        else:
            self.fingerprints = {month: selection.fingerprint(month) for month in self.scope}

    def add_checks(self, results: Iterable[CheckResult]) -> None:
        """Add the results of checks that were evaluated for all months of the load."""
        months = () if self.scope is UNPARTITIONED else tuple(self.scope)
        self.checks += [replace(item, months=months) for item in results]

    def add_ingest_result(self, ingest_result: IngestResult) -> None:
        """Add the row counts of a staging table's objects."""
        self.ingest_results.append(ingest_result)
        self.objects += len(ingest_result.counts)
        self.bytes += sum(count.object.info.size for count in ingest_result.counts)
        for name in ("read", "loaded", "rejected", "deduplicated", "filtered"):
            setattr(self, name, getattr(self, name) + ingest_result.total(name))


def advise(compiled: CompiledStar, checks: Iterable[CheckResult]) -> str:
    """Return what to do about failed checks that often are mistakes of the declaration, with its file and line; or nothing."""
    failed = {(check.table, check.name): check for check in checks if not check.passed}
    return _advise_on_keys(compiled, failed) + _advise_on_formats(compiled, failed)


def _advise_on_keys(compiled: CompiledStar, failed: Collection[tuple[str, str]]) -> str:
    """Return what to do about the first key that is not unique."""
    for number, table in enumerate(compiled.star.tables):
        if not table.key or (table.name, unique_check_name(table)) not in failed:
            continue
        place = declared_at(compiled.folder, "tables", number, "key")
        other = f"declare another key for {table.name}"
        if table.role != "staging":
            return f"; correct {compiled.tables[table.name].path}, or {other} ({place})"
        if not table.sequence_by:
            other += ", or sequence_by, by which the latest row is kept"
        return f"; if these rows are right, {other} ({place}); otherwise remove one of them from the objects"
    return ""


def _advise_on_formats(compiled: CompiledStar, failed: Mapping[tuple[str, str], CheckResult]) -> str:
    """Return what to do about the first source of which all rows were rejected."""
    for table, source in compiled.star.staged_sources:
        check = failed.get((table.name, REJECTED_ROWS))
        if check and check.numbers.get("rows_rejected") == check.numbers.get("rows_read", 0):
            place = declared_at(compiled.folder, "sources", compiled.star.sources.index(source), "format")
            return f"; no row can be read: correct `format: {source.format}` or the columns of the source {source.name} ({place})"
    return ""


def describe_failed(checks: Sequence[CheckResult]) -> str:
    """Return the messages of failed checks as one text; of many, the first."""
    messages = "; ".join(
        f"{check.name} on {check.table}: {check.message}" for check in checks[:MAX_FAILED_CHECKS]
    )
    more = f"; and {len(checks) - MAX_FAILED_CHECKS} more" if len(checks) > MAX_FAILED_CHECKS else ""
    return messages + more
