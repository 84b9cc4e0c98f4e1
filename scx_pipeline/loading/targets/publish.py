"""The publishing of derived tables: facts by month, dimensions from the latest row per key, unpartitioned tables as a whole.

A table's SELECT and the decision to commit do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import latest_rows_table, select_by_month, touched_keys_table
from scx_pipeline.history.check_result import Rows
from scx_pipeline.loading.checks.loaded_rows import MonthRows
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import MONTH_COLUMN
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, in_month_range, month_of, names, qualified, quote

# Temporary tables: the loaded months' latest rows, the latest rows over all months, and the keys of unchanged rows.
PARTITION_TABLE, LATEST_TABLE, UNCHANGED_TABLE = "_partition", "_latest", "_unchanged"
ADDED_TABLE = "_added"  # the rows that are added to months


def publish_table(session: Session, compiled: CompiledStar, table: Table, scope: LoadScope) -> int | None:
    """Replace the rows of a derived table in scope by the result of its SELECT; its inputs must be loaded.

    Returns:
        How many rows of an unpartitioned table were written or deleted; None for other tables.
    """
    schema = compiled.star.schema_name
    if table.is_unpartitioned:
        return _publish_unpartitioned(session, compiled, table)
    assert scope is not UNPARTITIONED
    scratch = session.scratch_session(
        [compiled.full_name(compiled.star.table(name)) for name in compiled.inputs_of(table)]
    )
    select = compiled.select_sql(table, scope, scratch.capabilities)
    if table.is_partitioned:
        scratch.tables.replace_partition(schema, compiled.stored_table(table), scope, select)
        session.tables.copy_partition(scratch, schema, compiled.stored_table(table), scope)
    else:
        stored = latest_rows_table(compiled, table)
        by_month = select_by_month(scratch, stored, table, select)
        ordering = scratch.ordering(table, compiled.output_types(table))
        scratch.create_latest(PARTITION_TABLE, by_month, stored.key, ordering)
        session.copy_rows(scratch, PARTITION_TABLE, stored.columns)
        publish_month_rows(session, compiled, table, scope, PARTITION_TABLE)
    return None


def publish_month_rows(
    session: Session, compiled: CompiledStar, table: Table, scope: MonthRange, rows: str
) -> None:
    """Replace the latest rows of these months of an SCD type 1 table by those of a temporary table, which is dropped."""
    collect_touched_keys(session, compiled, table, scope)
    _copy_partition(session, compiled, table, scope, rows)
    publish_latest(session, compiled, table)


def _publish_unpartitioned(session: Session, compiled: CompiledStar, table: Table) -> int:
    select = compiled.select_sql(table, UNPARTITIONED, session.capabilities)
    session.create_latest(
        LATEST_TABLE, select, table.key, session.ordering(table, compiled.output_types(table))
    )
    session.analyze(LATEST_TABLE)
    changed = _replace_changed(session, compiled, table, None)
    session.execute(f"DROP TABLE {LATEST_TABLE}")
    return changed


def find_stale_months(
    session: QuerySession, compiled: CompiledStar, table: Table, scope: MonthRange
) -> list[Month]:
    """Return the months whose rows in a partitioned table differ from the current result of its SELECT."""
    select = compiled.select_sql(table, scope, session.capabilities)
    typed = session.typed_columns(table.columns)
    target = (
        f"SELECT * FROM {compiled.full_name(table)} WHERE {in_month_range(table.event_time_column, scope)}"
    )
    selected, published = (
        _hashes(session, table, relation) for relation in (f"SELECT {typed} FROM ({select}) AS q", target)
    )
    return [month for month in scope if selected.get(month) != published.get(month)]


def _hashes(session: QuerySession, table: Table, relation: str) -> dict[Month, tuple[int, int]]:
    """Return the row count and the sum of the row hashes by month, which do not depend on the order of rows."""
    month, row = month_of(table.event_time_column), session.row_hash(table.columns)
    found = session.rows(f"SELECT {month}, COUNT(*), SUM({row}) FROM ({relation}) AS r GROUP BY 1")
    return {Month.of(start): (int(count), int(total)) for start, count, total in found}


def has_same_rows(session: QuerySession, columns: Sequence[Column], one: str, other: str) -> bool:
    """Return whether two SELECTs return the same rows, in any order."""
    row = session.row_hash(columns)
    left, right = (
        session.rows(f"SELECT COUNT(*), SUM({row}) FROM ({select}) AS r") for select in (one, other)
    )
    return left == right


def find_months_with_broken_references(
    session: QuerySession, compiled: CompiledStar, table: Table, scope: MonthRange
) -> set[Month]:
    """Return the months with rows that reference a missing row of an unpartitioned table."""
    found: set[Month] = set()
    month = month_of(table.event_time_column)
    for column in table.columns:
        target = compiled.star.table(column.references) if column.references else None
        if target is not None and target.is_unpartitioned:
            key = f"SELECT {quote(target.key[0])} FROM {compiled.full_name(target)}"
            rows = session.rows(
                f"SELECT DISTINCT {month} FROM {compiled.full_name(table)}"
                f" WHERE {in_month_range(table.event_time_column, scope)} AND {quote(column.name)} NOT IN ({key})"
            )
            found |= {Month.of(start) for (start,) in rows}
    return found


def month_rows(compiled: CompiledStar, table: Table) -> MonthRows:
    """Return the relation of the rows that each month contributes to a monthly table."""
    if table.is_partitioned:
        return MonthRows(compiled.full_name(table), table.event_time_column)
    return MonthRows(qualified(STATE_SCHEMA, latest_rows_table(compiled, table)), MONTH_COLUMN)


def count_rows(session: Session, compiled: CompiledStar, table: Table, scope: MonthRange) -> Rows:
    """Return how many rows each month contributes to the table, including months without rows."""
    found = month_rows(compiled, table)
    counted = session.rows(
        f"SELECT {month_of(found.time)}, COUNT(*) FROM {found.relation} WHERE {in_month_range(found.time, scope)} GROUP BY 1"
    )
    rows = {Month.of(start): count for start, count in counted}
    return {month: rows.get(month, 0) for month in scope}


def collect_touched_keys(session: Session, compiled: CompiledStar, table: Table, scope: MonthRange) -> None:
    """Create the table `touched_keys_table` with the keys of an SCD type 1 table's stored latest rows of these months.

    These rows are about to be replaced; the keys of the new ones must be added.
    """
    latest_rows = qualified(STATE_SCHEMA, latest_rows_table(compiled, table))
    session.create_temporary(
        touched_keys_table(table),
        f"SELECT DISTINCT {names(table.key)} FROM {latest_rows} WHERE {in_month_range(MONTH_COLUMN, scope)}",
    )


def publish_latest(session: Session, compiled: CompiledStar, table: Table) -> None:
    """Publish the latest row of each touched key of an SCD type 1 table, once its stored latest rows are replaced."""
    latest_rows = qualified(STATE_SCHEMA, latest_rows_table(compiled, table))
    touched = touched_keys_table(table)
    session.analyze(touched)
    candidates = f"SELECT * FROM {latest_rows} WHERE {_has_key_in(table, touched)}"
    ordering = session.ordering(table, compiled.output_types(table))
    session.create_latest(LATEST_TABLE, candidates, table.key, ordering)
    _replace_changed(session, compiled, table, touched)
    session.execute(f"DROP TABLE {LATEST_TABLE}")


def merge_latest(session: Session, compiled: CompiledStar, table: Table, select: str) -> None:
    """Merge rows that were added to months into an SCD type 1 table.

    Args:
        select: the table's SELECT over the added rows.
    """
    latest_rows, columns = (
        latest_rows_table(compiled, table),
        names([*compiled.output_types(table), MONTH_COLUMN]),
    )
    stored, key = qualified(STATE_SCHEMA, latest_rows), names(latest_rows.key)
    session.create_temporary(ADDED_TABLE, select_by_month(session, latest_rows, table, select))
    session.analyze(ADDED_TABLE)
    same_keys = f"({key}) IN (SELECT {key} FROM {ADDED_TABLE})"
    session.create_latest(
        PARTITION_TABLE,
        f"SELECT {columns} FROM {ADDED_TABLE} UNION ALL SELECT {columns} FROM {stored} WHERE {same_keys}",
        latest_rows.key,
        session.ordering(table, compiled.output_types(table)),
    )
    session.create_temporary(
        touched_keys_table(table), f"SELECT DISTINCT {names(table.key)} FROM {ADDED_TABLE}"
    )
    session.execute(f"DELETE FROM {stored} WHERE {same_keys}")
    session.tables.insert(STATE_SCHEMA, latest_rows, f"SELECT {columns} FROM {PARTITION_TABLE}")
    for temporary in (ADDED_TABLE, PARTITION_TABLE):
        session.execute(f"DROP TABLE {temporary}")
    publish_latest(session, compiled, table)


def delete_existing(session: Session, compiled: CompiledStar, table: Table, added: str) -> None:
    """Delete those rows of a temporary table that a table with a key has already."""
    same = " AND ".join(_equal(session, column) for column in table.columns)
    key = ", ".join(f"n.{quote(name)}" for name in table.key)
    existing = f"SELECT {key} FROM {added} AS n JOIN {compiled.full_name(table)} AS t ON {same}"
    session.execute(f"DELETE FROM {added} WHERE ({names(table.key)}) IN ({existing})")


def _copy_partition(
    session: Session, compiled: CompiledStar, table: Table, scope: MonthRange, rows: str
) -> None:
    """Replace the stored latest rows of the loaded months by those of the temporary table."""
    latest_rows = latest_rows_table(compiled, table)
    session.execute(
        f"DELETE FROM {qualified(STATE_SCHEMA, latest_rows)} WHERE {in_month_range(MONTH_COLUMN, scope)}"
    )
    session.tables.insert(STATE_SCHEMA, latest_rows, f"SELECT * FROM {rows}")
    session.execute(f"INSERT INTO {touched_keys_table(table)} SELECT DISTINCT {names(table.key)} FROM {rows}")
    session.drop_temporary(rows)


def _replace_changed(session: Session, compiled: CompiledStar, table: Table, touched: str | None) -> int:
    """Write only rows that differ: a dimension changes little from load to load, and rewritten rows are bloat.

    Args:
        touched: the table with the keys that may differ; None for all keys.

    Returns:
        How many rows were written or deleted.
    """
    target = compiled.full_name(table)
    same = " AND ".join(_equal(session, column) for column in table.columns)
    unchanged = f"SELECT {', '.join(f'n.{quote(name)}' for name in table.key)} FROM {LATEST_TABLE} AS n JOIN {target} AS t ON {same}"
    session.create_temporary(UNCHANGED_TABLE, unchanged)
    may_differ = _has_key_in(table, touched) if touched else "TRUE"
    changed = session.execute(
        f"DELETE FROM {target} WHERE {may_differ} AND NOT {_has_key_in(table, UNCHANGED_TABLE)}"
    )
    missing = f"SELECT * FROM {LATEST_TABLE} WHERE NOT {_has_key_in(table, UNCHANGED_TABLE)}"
    changed += session.tables.insert(compiled.star.schema_name, compiled.stored_table(table), missing)
    session.execute(f"DROP TABLE {UNCHANGED_TABLE}")
    return changed


def _equal(session: Session, column: Column) -> str:
    new, old = (f"{side}.{quote(column.name)}" for side in "nt")
    same = session.equality(new, old, column)
    return f"({same} OR ({new} IS NULL AND {old} IS NULL))" if column.nullable else same


def _has_key_in(table: Table, other: str) -> str:
    """Return the condition that a row's key is in the table `other`."""
    return f"({names(table.key)}) IN (SELECT {names(table.key)} FROM {other})"
