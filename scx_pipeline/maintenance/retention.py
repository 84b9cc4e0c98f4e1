"""Retention: which rows of a star have expired under a policy, and their deletion.

Scheduling and reporting do not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history import history_reader, history_writer
from scx_pipeline.loading.schema_drift import matches_declaration
from scx_pipeline.model.calendar import Month, contiguous_ranges
from scx_pipeline.model.table import Table
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA

# State tables whose current rows name the load that wrote them.
_REFERENCING_TABLES = ("months", "month_rows", "objects", "rejected_rows", "unpartitioned", "stale_months")


@dataclass(frozen=True)
class RetentionPolicy:
    """How long rows that no published row depends on are kept; 0: forever."""

    staging_months: int = 0
    rejected_days: int = 0
    loads_days: int = 0


def retention_policy(settings: Settings) -> RetentionPolicy:
    """Return the policy that is configured."""
    return RetentionPolicy(
        settings.keep_staging_months, settings.keep_rejected_days, settings.keep_loads_days
    )


@dataclass(frozen=True)
class ExpiredRows:
    """The rows of a star that have expired under a policy."""

    staging: Mapping[str, Sequence[Month]] = field(default_factory=dict)  # months by table
    rejected: int = 0  # rows
    loads: int = 0

    def describe(self) -> list[str]:
        """Return a line for each kind of expired rows."""
        ranges = {table: contiguous_ranges(list(months)) for table, months in self.staging.items() if months}
        lines = [f"rows of {table}: {', '.join(map(str, found))}" for table, found in ranges.items()]
        lines += [f"{self.rejected:,} rejected rows"] if self.rejected else []
        return lines + ([f"{self.loads:,} loads of the history"] if self.loads else [])

    def __bool__(self) -> bool:
        return bool(any(self.staging.values()) or self.rejected or self.loads)


def purgeable_tables(compiled: CompiledStar) -> list[Table]:
    """Return the staging tables whose older months nothing depends on.

    A staging table that no fact reads is kept, because it is what the star is for. So is one that a refresh of
    the unpartitioned tables reads: it compares and may rebuild every loaded month.
    """
    star = compiled.star
    rebuilt = compiled.downstream({table.name for table in compiled.unpartitioned_dependents()})
    inputs = {table.name: compiled.inputs_of(table) for table in star.derived_tables}
    needed = {name for table, names in inputs.items() if table in rebuilt for name in names}
    needed |= {column.references for table in star.tables for column in table.columns if column.references}
    read = set().union(*(inputs[table.name] for table in star.derived_tables if table.role == "fact"))
    return [table for table in star.staging_tables if table.is_partitioned and table.name in read - needed]


def find_expired(
    session: Session, compiled: CompiledStar, policy: RetentionPolicy, now: datetime
) -> ExpiredRows:
    """Return what has expired under the policy."""
    star, mark = compiled.star.name, session.capabilities.placeholder
    rejected = _count(
        session, f"rejected_rows WHERE {_too_old(session)}", [star, star, _before(now, policy.rejected_days)]
    )
    loads = _count(
        session, f"loads WHERE {_superseded(mark)}", _superseded_values(star, now, policy.loads_days)
    )
    return ExpiredRows(
        _find_expired_staging(session, compiled, policy.staging_months),
        rejected if policy.rejected_days else 0,
        loads if policy.loads_days else 0,
    )


def delete_expired(
    session: Session, compiled: CompiledStar, policy: RetentionPolicy, now: datetime
) -> ExpiredRows:
    """Delete what has expired under the policy when the transaction begins; returns what was deleted."""
    session.begin()
    expired = find_expired(session, compiled, policy, now)
    star, mark = compiled.star, session.capabilities.placeholder
    for name, months in expired.staging.items():
        for scope in contiguous_ranges(list(months)):
            session.tables.clear_partition(star.schema_name, star.table(name), scope)
            history_writer.delete_row_counts(session, star.name, name, str(scope.first), str(scope.last))
    if expired.rejected:
        values = [star.name, star.name, _before(now, policy.rejected_days)]
        session.execute(f"DELETE FROM {STATE_SCHEMA}.rejected_rows WHERE {_too_old(session)}", values)
    if not policy.loads_days:
        return expired
    # Counted again: more loads may have expired now that fewer rejected rows reference them.
    old = f"loads WHERE {_superseded(mark)}"
    values = _superseded_values(star.name, now, policy.loads_days)
    loads = _count(session, old, values)
    session.execute(
        f"DELETE FROM {STATE_SCHEMA}.check_results WHERE load_id IN (SELECT load_id FROM {STATE_SCHEMA}.{old})",
        values,
    )
    session.execute(f"DELETE FROM {STATE_SCHEMA}.{old}", values)
    return ExpiredRows(expired.staging, expired.rejected, loads)


def _count(session: Session, where: str, values: Sequence[object]) -> int:
    [(count,)] = session.rows(f"SELECT COUNT(*) FROM {STATE_SCHEMA}.{where}", values)
    return int(count)


def _find_expired_staging(session: Session, compiled: CompiledStar, keep: int) -> dict[str, list[Month]]:
    """Return the months older than the newest `keep` months, of the tables that still have their rows."""
    tables = purgeable_tables(compiled) if keep else []
    loaded = sorted(history_reader.read_month_states(session, compiled.star.name))
    if not tables or not loaded:
        return {}
    names = [table.name for table in tables if matches_declaration(session, compiled, [table])]
    purged = history_reader.read_purged_months(session, compiled.star.name, names)
    first_kept = loaded[-1].shift(1 - keep)
    return {
        table: [month for month in loaded if month < first_kept and month not in months]
        for table, months in purged.items()
    }


def _before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)


def _too_old(session: Session) -> str:
    """Return the condition of a rejected row whose load finished before a given time."""
    mark = session.capabilities.placeholder
    return f"star = {mark} AND load_id IN (SELECT load_id FROM {STATE_SCHEMA}.loads WHERE star = {mark} AND finished_at < {mark})"


def _superseded(mark: str) -> str:
    """Return the condition of an old load that no current row references; the latest load stays, for its checks."""
    unreferenced = " ".join(
        f"AND load_id NOT IN (SELECT load_id FROM {STATE_SCHEMA}.{table} WHERE star = {mark})"
        for table in _REFERENCING_TABLES
    )
    last = f"SELECT MAX(finished_at) FROM {STATE_SCHEMA}.loads WHERE star = {mark}"
    return f"star = {mark} AND finished_at < {mark} {unreferenced} AND finished_at < ({last})"


def _superseded_values(star: str, now: datetime, days: int) -> list[object]:
    return [star, _before(now, days), *[star] * len(_REFERENCING_TABLES), star]
