"""Looking after a star's tables: removing what a policy does not keep, then having the engine tidy up and tell what it finds.
What an engine does and tells is in `warehouse`; ADR 14 has what the pipeline promises of months whose rows were removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history import load_history
from scx_pipeline.history.load_history import STATE_TABLES
from scx_pipeline.loading.prepare import matches_declaration
from scx_pipeline.model.calendar import Month, contiguous_ranges
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.table_ownership import declared_tables, inspect
from scx_pipeline.warehouse.health import HealthReport
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified
from scx_pipeline.warehouse.warehouse import Warehouse

# Where a load is named that something still stands of; `history` says what each of them is.
_NAMED_IN = ("months", "month_rows", "objects", "rejected_rows", "unpartitioned", "stale_months")


@dataclass(frozen=True)
class RetentionPolicy:
    """How long what no published row depends on is kept; 0: for ever."""

    staging_months: int = 0
    rejected_days: int = 0
    loads_days: int = 0


@dataclass(frozen=True)
class ExpiredRows:
    """What a star has that its policy does not keep."""

    staging: Mapping[str, Sequence[Month]] = field(default_factory=dict)  # months by table
    rejected: int = 0  # rows
    loads: int = 0

    def told(self) -> list[str]:
        """A line of each kind that there is."""
        scopes = {table: contiguous_ranges(list(months)) for table, months in self.staging.items() if months}
        lines = [f"rows of {table}: {', '.join(map(str, found))}" for table, found in scopes.items()]
        lines += [f"{self.rejected:,} rejected rows"] if self.rejected else []
        return lines + ([f"{self.loads:,} loads of the history"] if self.loads else [])

    def __bool__(self) -> bool:
        return bool(any(self.staging.values()) or self.rejected or self.loads)


@dataclass(frozen=True)
class MaintenanceResult:
    """What was done for a star, or would be, and what was found: before, and after."""

    star: str
    expired: ExpiredRows
    statements: Sequence[str]
    before: HealthReport | None  # None: it was never loaded
    after: HealthReport | None = None  # None: nothing was done
    seconds: float = 0.0

    @property
    def found(self) -> HealthReport | None:
        return self.after or self.before

    def as_json(self) -> dict[str, Any]:
        """The same for a script."""
        staging = {name: [str(month) for month in months] for name, months in self.expired.staging.items()}
        return asdict(replace(self, expired=replace(self.expired, staging={}))) | {
            "surplus": {**asdict(replace(self.expired, staging={})), "staging": staging},
            "advice": self.found.all_advice if self.found else [],
        }


def preview_maintenance(
    compiled: CompiledStar, warehouse: Warehouse, policy: RetentionPolicy, now: datetime | None = None
) -> MaintenanceResult:
    """What `maintain` would do; nothing is changed."""
    with warehouse.reader() as session:
        if session is None:
            return MaintenanceResult(compiled.star.name, ExpiredRows(), [], None)
        tables = _standing(session, compiled)
        if not tables:
            return MaintenanceResult(compiled.star.name, ExpiredRows(), [], None)
        expired = find_expired(session, compiled, policy, _moment(now))
        return MaintenanceResult(
            compiled.star.name, expired, session.maintenance_statements(tables), session.condition(tables)
        )


def maintain(
    compiled: CompiledStar,
    warehouse: Warehouse,
    policy: RetentionPolicy,
    progress: Callable[[str], None] = lambda message: None,
    now: datetime | None = None,
) -> MaintenanceResult:
    """Remove what the policy does not keep, all of it in one transaction, and then tidy up. Waits for a load, as loads do."""
    begun, name = time.monotonic(), compiled.star.name
    seen = preview_maintenance(compiled, warehouse, policy, now)
    if seen.before is None:
        return seen
    expired = seen.expired
    if expired:
        progress(f"{name}: removing what is not kept")
        expired = warehouse.run(name, lambda session: _remove(session, compiled, policy, _moment(now)))
    with warehouse.alone(name) as session:
        tables = _standing(session, compiled)
        statements = session.maintenance_statements(tables)
        for statement in statements:
            progress(f"{name}: {statement}")
            session.execute(statement)
        after = session.condition(tables)
    return MaintenanceResult(name, expired, statements, seen.before, after, time.monotonic() - begun)


def _moment(now: datetime | None) -> datetime:
    return now or datetime.now(UTC).replace(tzinfo=None)


def _standing(session: Session, compiled: CompiledStar) -> list[str]:
    """The star's tables and the engine's own, qualified, as far as they stand; none where the star has none."""
    look = inspect(session, compiled)
    foreign = {(item.schema, item.table) for item in look.foreign()}
    ours = [
        qualified(schema, table)
        for schema, table, _ in declared_tables(compiled)
        if (schema, table.name) in look.found and (schema, table.name) not in foreign
    ]
    state = [
        qualified(STATE_SCHEMA, table) for table in STATE_TABLES if (STATE_SCHEMA, table.name) in look.found
    ]
    return [*ours, *state] if ours else []


# ------------------------------------------------------------------ what is not kept


def can_be_purged(compiled: CompiledStar) -> list[Table]:
    """The staging tables whose older months nothing needs: those that tables are made from, and that are only staging.

    Not one that nothing is made from, which is what the star is for; nor one that a refresh of the tables without months
    reads, which compares every month that stands with what would be made of it now, and may have to make it.
    """
    star = compiled.star
    remade = compiled.downstream({table.name for table in compiled.reading_unpartitioned()})
    read = {name: compiled.reads(star.table(name)) for name in (table.name for table in star.derived)}
    needed = {name for table, names in read.items() if table in remade for name in names}
    needed |= {column.references for table in star.tables for column in table.columns if column.references}
    made_from = set().union(*read.values())
    return [table for table in star.staging if table.partitioned and table.name in made_from - needed]


def find_expired(
    session: Session, compiled: CompiledStar, policy: RetentionPolicy, now: datetime
) -> ExpiredRows:
    """What the policy does not keep."""
    star, mark = compiled.star.name, session.capabilities.placeholder
    rejected = _counted(
        session, f"rejected_rows WHERE {_too_old(session)}", [star, star, _before(now, policy.rejected_days)]
    )
    loads = _counted(
        session, f"loads WHERE {_superseded(mark)}", _superseded_values(star, now, policy.loads_days)
    )
    return ExpiredRows(
        _purged_next(session, compiled, policy.staging_months),
        rejected if policy.rejected_days else 0,
        loads if policy.loads_days else 0,
    )


def _counted(session: Session, where: str, values: Sequence[object]) -> int:
    [(count,)] = session.rows(f"SELECT COUNT(*) FROM {STATE_SCHEMA}.{where}", values)
    return int(count)


def _purged_next(session: Session, compiled: CompiledStar, keep: int) -> dict[str, list[Month]]:
    """The months before the newest ones that stand, of the tables that still have their rows."""
    tables = can_be_purged(compiled) if keep else []
    standing = sorted(load_history.read_months(session, compiled.star.name))
    if not tables or not standing:
        return {}
    tables = [table for table in tables if matches_declaration(session, compiled, [table])]
    purged = load_history.read_purged(session, compiled.star.name, [table.name for table in tables])
    first_kept = standing[-1].shift(1 - keep)
    return {
        table: [month for month in standing if month < first_kept and month not in gone]
        for table, gone in purged.items()
    }


def _before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)


def _too_old(session: Session) -> str:
    """The condition of a rejected row: the load that rejected it has ended before a moment."""
    mark = session.capabilities.placeholder
    return f"star = {mark} AND load_id IN (SELECT load_id FROM {STATE_SCHEMA}.loads WHERE star = {mark} AND finished_at < {mark})"


def _superseded(mark: str) -> str:
    """The condition of a load that nothing stands of, and that is not the last one, whose checks are shown."""
    named = " ".join(
        f"AND load_id NOT IN (SELECT load_id FROM {STATE_SCHEMA}.{table} WHERE star = {mark})"
        for table in _NAMED_IN
    )
    last = f"SELECT MAX(finished_at) FROM {STATE_SCHEMA}.loads WHERE star = {mark}"
    return f"star = {mark} AND finished_at < {mark} {named} AND finished_at < ({last})"


def _superseded_values(star: str, now: datetime, days: int) -> list[object]:
    return [star, _before(now, days), *[star] * len(_NAMED_IN), star]


def _remove(session: Session, compiled: CompiledStar, policy: RetentionPolicy, now: datetime) -> ExpiredRows:
    """Remove it; what there is when it is this one's turn."""
    session.begin()
    expired = find_expired(session, compiled, policy, now)
    star, mark = compiled.star, session.capabilities.placeholder
    for name, months in expired.staging.items():
        for scope in contiguous_ranges(list(months)):
            session.clear_partition(star.schema_name, star.table(name), scope)
            load_history.forget_rows(session, star.name, star.table(name), scope)
    if expired.rejected:
        values = [star.name, star.name, _before(now, policy.rejected_days)]
        session.execute(f"DELETE FROM {STATE_SCHEMA}.rejected_rows WHERE {_too_old(session)}", values)
    if policy.loads_days:  # of which there may be more, now that fewer rejected rows name one
        old = f"loads WHERE {_superseded(mark)}"
        values = _superseded_values(star.name, now, policy.loads_days)
        loads = _counted(session, old, values)
        session.execute(
            f"DELETE FROM {STATE_SCHEMA}.check_results WHERE load_id IN (SELECT load_id FROM {STATE_SCHEMA}.{old})",
            values,
        )
        session.execute(f"DELETE FROM {STATE_SCHEMA}.{old}", values)
        return ExpiredRows(expired.staging, expired.rejected, loads)
    return expired
