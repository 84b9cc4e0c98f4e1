"""The maintenance of a star's tables: deleting expired rows, running the engine's statements, and reporting health.

The statements of an engine do not belong here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history.state_tables import STATE_TABLES
from scx_pipeline.maintenance.retention import ExpiredRows, RetentionPolicy, delete_expired, find_expired
from scx_pipeline.ownership.inspection import inspect
from scx_pipeline.ownership.table_records import declared_tables
from scx_pipeline.warehouse.maintenance import HealthReport
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class MaintenanceResult:
    """The result of a star's maintenance or of its dry run."""

    star: str
    expired: ExpiredRows
    statements: Sequence[str]
    before: HealthReport | None  # None: the star was never loaded.
    after: HealthReport | None = None  # None: nothing was changed.
    seconds: float = 0.0

    @property
    def found(self) -> HealthReport | None:
        """The latest health report."""
        return self.after or self.before

    def as_json(self) -> dict[str, Any]:
        staging = {name: [str(month) for month in months] for name, months in self.expired.staging.items()}
        result = asdict(replace(self, expired=replace(self.expired, staging={})))
        result["expired"]["staging"] = staging
        return result | {"advice": self.found.all_advice if self.found else []}


def preview_maintenance(
    compiled: CompiledStar, warehouse: Warehouse, policy: RetentionPolicy, now: datetime | None = None
) -> MaintenanceResult:
    """Return what `maintain` would do, without changing anything."""
    with warehouse.open_if_loaded() as session:
        tables = _existing_tables(session, compiled) if session else []
        if session is None or not tables:
            return MaintenanceResult(compiled.star.name, ExpiredRows(), [], None)
        expired = find_expired(session, compiled, policy, now or _utc_now())
        return MaintenanceResult(
            compiled.star.name,
            expired,
            session.maintenance.list_statements(tables),
            session.maintenance.report_health(tables),
        )


def maintain(
    compiled: CompiledStar,
    warehouse: Warehouse,
    policy: RetentionPolicy,
    progress: Callable[[str], None] = lambda message: None,
    now: datetime | None = None,
) -> MaintenanceResult:
    """Delete expired rows in one transaction, then run the engine's maintenance statements.

    Waits for a running load of the star, as another load would.

    Args:
        now: the time in UTC that ages are measured from; by default the current time.
    """
    started, name = time.monotonic(), compiled.star.name
    preview = preview_maintenance(compiled, warehouse, policy, now)
    if preview.before is None:
        return preview
    expired = preview.expired
    if expired:
        progress(f"{name}: deleting expired rows")
        expired = warehouse.run(
            name, lambda session: delete_expired(session, compiled, policy, now or _utc_now())
        )
    with warehouse.open_autocommit(name) as session:
        tables = _existing_tables(session, compiled)
        statements = session.maintenance.list_statements(tables)
        for statement in statements:
            progress(f"{name}: {statement}")
            session.execute(statement)
        after = session.maintenance.report_health(tables)
    return MaintenanceResult(name, expired, statements, preview.before, after, time.monotonic() - started)


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _existing_tables(session: Session, compiled: CompiledStar) -> list[str]:
    """Return the qualified names of the star's tables and the state tables that exist; empty if the star has none."""
    inspection = inspect(session, compiled)
    foreign = {(item.schema, item.table) for item in inspection.foreign()}
    own = [
        qualified(schema, table)
        for schema, table, _ in declared_tables(compiled)
        if (schema, table.name) in inspection.found and (schema, table.name) not in foreign
    ]
    state = [
        qualified(STATE_SCHEMA, table)
        for table in STATE_TABLES
        if (STATE_SCHEMA, table.name) in inspection.found
    ]
    return [*own, *state] if own else []
