"""The months that loads had to hold, in the load history, with the rows that were rejected of them.

Deciding which months are held does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from scx_pipeline.history.history_reader import select_rows
from scx_pipeline.history.history_writer import (
    delete_object_records,
    delete_state_months,
    delete_state_rows,
    insert_state_rows,
)
from scx_pipeline.history.state_tables import HELD_MONTHS, HELD_REJECTED_ROWS
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.planning.changed_months import HeldMonth, MonthState
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA

# Rows that were rejected of held months, by the source and the key of their object.
HeldRejectedRows = Mapping[tuple[str, str], Sequence[RejectedRow]]


def read_held_months(session: Session, star: str) -> dict[Month, HeldMonth]:
    """Return the held months; none if nothing was ever loaded."""
    return select_held_months(session, star) if has_history(session) else {}


def has_history(session: Session) -> bool:
    """Return whether there is a load history, other than one of another application."""
    return session.catalog.has_table(STATE_SCHEMA, HELD_MONTHS.name)


def select_held_months(session: Session, star: str) -> dict[Month, HeldMonth]:
    """Return the held months of a load history."""
    columns = "month, fingerprint, code_version, reason, conflicts"
    return {
        Month.parse(month): HeldMonth(
            MonthState(fingerprint, version), reason, tuple(map(Month.parse, conflicts.split()))
        )
        for month, fingerprint, version, reason, conflicts in select_rows(session, HELD_MONTHS, columns, star)
    }


def clear_held_months(
    session: Session, star: str, scope: MonthRange, read: Iterable[tuple[str, str]]
) -> None:
    """Record that these months are not held any more, as they are published.

    Args:
        read: the source and key of each object that was read, whose rejected rows are recorded elsewhere now.
    """
    delete_state_months(session, HELD_MONTHS, star, scope)
    recorded = select_rows(session, HELD_REJECTED_ROWS, "DISTINCT source, object_key", star)
    outdated = sorted(set(map(tuple, recorded)) & set(read))
    if outdated:
        delete_object_records(session, star, [HELD_REJECTED_ROWS], outdated)


def record_held_months(
    session: Session, star: str, load_id: str, held: Mapping[Month, HeldMonth], rejected: HeldRejectedRows
) -> None:
    """Record months as held, with the rejected rows of their objects in place of those recorded before."""
    now = datetime.now(UTC).replace(tzinfo=None)
    if held:
        delete_state_months(session, HELD_MONTHS, star, MonthRange.of(held))
    insert_state_rows(session, HELD_MONTHS, [
        (star, str(month), load_id, item.state.fingerprint, item.state.code_version, item.reason,
         " ".join(map(str, item.conflicts)), now)
        for month, item in held.items()
    ])  # fmt: skip
    if rejected:
        delete_object_records(session, star, [HELD_REJECTED_ROWS], sorted(rejected))
    insert_state_rows(session, HELD_REJECTED_ROWS, [
        (star, source, row.key, row.line, row.column, row.reason, row.raw, load_id)
        for (source, _), rows in rejected.items()
        for row in rows
    ])  # fmt: skip
    mark = session.capabilities.placeholder
    kept = f"SELECT load_id FROM {STATE_SCHEMA}.{HELD_MONTHS.name} WHERE star = {mark}"
    delete_state_rows(session, HELD_REJECTED_ROWS, star, f" AND load_id NOT IN ({kept})", [star])
