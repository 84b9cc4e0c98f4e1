"""Making the derived tables stand: facts by month, dimensions by key from the newest row of any month, or whole.
What a table's SELECT is, and whether the result may be committed, is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import latest_rows_table, touched_keys_table
from scx_pipeline.history.check_result import Rows
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import MONTH
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.session import Relations, Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, in_month_range, month_of, names, qualified, quote

SLICE = "_slice"  # the temporary table of what a span gives to a table kept by key


def publish_table(session: Session, compiled: CompiledStar, table: Table, scope: LoadScope) -> int | None:
    """Replace what the span's months give to a derived table, or the whole of one without; its inputs must stand.

    How many rows of a table without months were written or removed; None for others.
    """
    schema = compiled.star.schema_name
    if table.unpartitioned:
        return _publish_unpartitioned(session, compiled, table)
    assert scope is not UNPARTITIONED
    scratch = session.scratch_session(
        [compiled.full_name(compiled.star.table(name)) for name in compiled.reads(table)]
    )
    select = compiled.select(table, scope, scratch.capabilities)
    if table.partitioned:
        scratch.replace_partition(schema, compiled.stored(table), scope, select)
        session.copy_partition(scratch, schema, compiled.stored(table), scope)
    else:
        _create_partition(scratch, compiled, table, select)
        session.copy_rows(scratch, SLICE, latest_rows_table(compiled, table).columns)
        publish_latest(
            session, compiled, table, scope, lambda: _copy_partition(session, compiled, table, scope)
        )
    return None


def _publish_unpartitioned(session: Session, compiled: CompiledStar, table: Table) -> int:
    select = compiled.select(table, UNPARTITIONED, session.capabilities)
    session.create_latest("_now", select, table.key, session.ordering(table, compiled.output_types(table)))
    session.analyze("_now")
    changed = _replace_changed(session, compiled, table, None)
    session.execute("DROP TABLE _now")
    return changed


def stale_months(session: Relations, compiled: CompiledStar, table: Table, scope: MonthRange) -> list[Month]:
    """The months of the span whose rows in a table kept by month are not what its SELECT gives now."""
    select = compiled.select(table, scope, session.capabilities)
    typed = ", ".join(
        f"CAST({quote(column.name)} AS {session.engine_type(column)}) AS {quote(column.name)}"
        for column in table.columns
    )
    target = (
        f"SELECT * FROM {compiled.full_name(table)} WHERE {in_month_range(table.event_time_column, scope)}"
    )
    made, standing = (
        _hashes(session, table, relation) for relation in (f"SELECT {typed} FROM ({select}) AS q", target)
    )
    return [month for month in scope if made.get(month) != standing.get(month)]


def _hashes(session: Relations, table: Table, relation: str) -> dict[Month, tuple[int, int]]:
    """By month, how many rows a relation has, and the sum of their hashes: the same for the same rows in any order."""
    month, row = month_of(table.event_time_column), session.row_hash(table.columns)
    found = session.rows(f"SELECT {month}, COUNT(*), SUM({row}) FROM ({relation}) AS r GROUP BY 1")
    return {Month.of(start): (int(count), int(total)) for start, count, total in found}


def same_rows(session: Relations, columns: Sequence[Column], one: str, other: str) -> bool:
    """Whether two SELECTs give the same rows, in any order."""
    row = session.row_hash(columns)
    left, right = (
        session.rows(f"SELECT COUNT(*), SUM({row}) FROM ({select}) AS r") for select in (one, other)
    )
    return left == right


def months_with_orphans(
    session: Relations, compiled: CompiledStar, table: Table, scope: MonthRange
) -> set[Month]:
    """The months of the span with rows that point to what is not in a table without months."""
    found: set[Month] = set()
    month = month_of(table.event_time_column)
    for column in table.columns:
        target = compiled.star.table(column.references) if column.references else None
        if target is not None and target.unpartitioned:
            key = f"SELECT {quote(target.key[0])} FROM {compiled.full_name(target)}"
            rows = session.rows(
                f"SELECT DISTINCT {month} FROM {compiled.full_name(table)}"
                f" WHERE {in_month_range(table.event_time_column, scope)} AND {quote(column.name)} NOT IN ({key})"
            )
            found |= {Month.of(start) for (start,) in rows}
    return found


def count_rows(session: Session, compiled: CompiledStar, table: Table, scope: MonthRange) -> Rows:
    """How many rows each month of the span gives to the table; a month without any counts 0."""
    if table.partitioned:
        month, source = month_of(table.event_time_column), compiled.full_name(table)
        condition = in_month_range(table.event_time_column, scope)
    else:
        month, source = quote(MONTH), qualified(STATE_SCHEMA, latest_rows_table(compiled, table))
        condition = in_month_range(MONTH, scope)
    counted = session.rows(f"SELECT {month}, COUNT(*) FROM {source} WHERE {condition} GROUP BY 1")
    rows = {Month.of(start): count for start, count in counted}
    return {month: rows.get(month, 0) for month in scope}


def _create_partition(scratch: Session, compiled: CompiledStar, table: Table, select: str) -> None:
    """The temporary table of each month's newest row of every key, typed as the month rows are."""
    kept = latest_rows_table(compiled, table)
    by_month = f"SELECT m.*, {month_of(table.event_time_column)} AS {MONTH} FROM ({select}) AS m"
    scratch.create_latest(SLICE, by_month, kept.key, scratch.ordering(table, compiled.output_types(table)))


def publish_latest(
    session: Session, compiled: CompiledStar, table: Table, scope: MonthRange, replace: Callable[[], None]
) -> None:
    """Replace the span's month rows of a table kept by key, and of every key that had or has some have the newest stand.

    `replace` replaces them, and adds the keys of those that stand then to the table `touched_keys_table`.
    """
    kept, touched = latest_rows_table(compiled, table), touched_keys_table(table)
    history, key = qualified(STATE_SCHEMA, kept), names(table.key)
    session.create_temporary(
        touched, f"SELECT DISTINCT {key} FROM {history} WHERE {in_month_range(MONTH, scope)}"
    )
    replace()
    session.analyze(touched)
    candidates = f"SELECT * FROM {history} WHERE {_has_key_in(table, touched)}"
    ordering = session.ordering(table, compiled.output_types(table))
    session.create_latest("_now", candidates, table.key, ordering)
    _replace_changed(session, compiled, table, touched)
    session.execute("DROP TABLE _now")


def _copy_partition(session: Session, compiled: CompiledStar, table: Table, scope: MonthRange) -> None:
    """Put what a span gives in the place of its month rows."""
    kept = latest_rows_table(compiled, table)
    session.execute(f"DELETE FROM {qualified(STATE_SCHEMA, kept)} WHERE {in_month_range(MONTH, scope)}")
    session.insert(STATE_SCHEMA, kept, f"SELECT * FROM {SLICE}")
    session.execute(
        f"INSERT INTO {touched_keys_table(table)} SELECT DISTINCT {names(table.key)} FROM {SLICE}"
    )
    session.execute(f"DROP TABLE {SLICE}")


def _replace_changed(session: Session, compiled: CompiledStar, table: Table, touched: str | None) -> int:
    """Write only what differs: a dimension hardly changes from load to load, and rewritten rows are bloat.

    `touched` has the keys that may differ; None: all. How many rows were written or removed.
    """
    target = compiled.full_name(table)
    same = " AND ".join(_equal(session, column) for column in table.columns)
    stays = f"SELECT {', '.join(f'n.{quote(name)}' for name in table.key)} FROM _now AS n JOIN {target} AS t ON {same}"
    session.create_temporary("_stays", stays)
    may_differ = _has_key_in(table, touched) if touched else "TRUE"
    changed = session.execute(
        f"DELETE FROM {target} WHERE {may_differ} AND NOT {_has_key_in(table, '_stays')}"
    )
    missing = f"SELECT * FROM _now WHERE NOT {_has_key_in(table, '_stays')}"
    changed += session.insert(compiled.star.schema_name, compiled.stored(table), missing)
    session.execute("DROP TABLE _stays")
    return changed


def _equal(session: Session, column: Column) -> str:
    new, old = (f"{side}.{quote(column.name)}" for side in "nt")
    same = session.same(new, old, column)
    return f"({same} OR ({new} IS NULL AND {old} IS NULL))" if column.nullable else same


def _has_key_in(table: Table, other: str) -> str:
    """The condition that a row's key stands in the table `other`."""
    return f"({names(table.key)}) IN (SELECT {names(table.key)} FROM {other})"
