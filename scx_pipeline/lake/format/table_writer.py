"""Writing a table from an engine into a run's folder: count its rows, write its files, and check them.

Which tables are written is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import (
    MONTH_COLUMNS,
    PART_PREFIX,
    event_time_part,
    file_columns,
    lake_schema,
    month_of_key,
    partition_columns,
    partition_condition,
    select_for_unload,
)
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.transaction import LakeTransaction, NewFiles
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import qualified, quote

RowCounts = Mapping[Month | None, int]  # rows by month; None: the table is not partitioned by month
INTEGER_TYPES = ("smallint", "integer", "bigint")


def write_table(
    transaction: LakeTransaction,
    engine: QuerySession,
    schema: str,
    table: Table,
    name: str,
    scope: MonthRange | None,
) -> tuple[NewFiles, RowCounts]:
    """Write a table, or the scope's months of a partitioned one, below the run's folder.

    Args:
        transaction: The run that writes.
        engine: Where the table's rows are.
        schema: The table's schema there.
        table: The table, as declared.
        name: The folder of the table in the lake.
        scope: The months to write; None for all.

    Returns:
        The new files, and the row counts by month.

    Raises:
        LakeError: Fewer or more rows were written than counted, or a column `year` or `month` has other values than
            the event time.
    """
    _check_month_columns(engine, schema, table, scope)
    counts = _count_rows(engine, schema, table, scope)
    columns = file_columns(table)
    for part, folders, url in _split_by_month(engine, table, scope, counts, transaction.url_of(name)):
        select = select_for_unload(schema, table, part, folders)
        largest = max(counts.values(), default=0)
        engine.unload(
            Unload(select, columns, tuple(folders), url, largest, table.sort or _event_time_order(table))
        )
    files = list_written_files(transaction, name, columns, counts)
    return NewFiles(name, scope if table.is_partitioned else None, files, lake_schema(table)), counts


def _event_time_order(table: Table) -> tuple[str, ...]:
    return (table.event_time_column,) if table.is_partitioned else ()


def _split_by_month(
    engine: QuerySession, table: Table, scope: MonthRange | None, counts: RowCounts, url: str
) -> list[tuple[MonthRange | None, Sequence[Column], str]]:
    """Return what to write in each statement: months, the columns that name folders below, and the URL."""
    folders = partition_columns(table)
    if engine.capabilities.unloads_all_months_at_once or not table.is_partitioned:
        return [(scope, folders, url)] if any(counts.values()) else []
    months = sorted(month for month in counts if month)  # one at a time takes less memory
    return [
        (
            MonthRange(month, month),
            folders[len(MONTH_COLUMNS) :],
            f"{url}year={month.year}/month={month.month}/",
        )
        for month in months
    ]


def _check_month_columns(engine: QuerySession, schema: str, table: Table, scope: MonthRange | None) -> None:
    """Raise LakeError if a column `year` or `month` has other values than the event time."""
    for column in MONTH_COLUMNS if table.is_partitioned else ():
        if column.name not in table.column_names:
            continue
        differs = "TRUE"
        if table.column(column.name).type in INTEGER_TYPES:
            own = quote(column.name)
            differs = f"({own} IS NULL OR {own} <> {event_time_part(table, column)})"
        relation = f"{qualified(schema, table)} WHERE {partition_condition(table, scope)} AND {differs}"
        [(count,)] = engine.rows(f"SELECT COUNT(*) FROM {relation}")
        if count:
            raise LakeError(
                f"{table.name}: {column.name} is not the {column.name} of {table.event_time} in {count:,} rows, "
                "but the lake's folders are named by it: rename the column"
            )


def _count_rows(
    engine: QuerySession, schema: str, table: Table, scope: MonthRange | None
) -> dict[Month | None, int]:
    """Count a table's rows, by month if it is partitioned."""
    relation = f"{qualified(schema, table)} WHERE {partition_condition(table, scope)}"
    if not table.is_partitioned:
        [(count,)] = engine.rows(f"SELECT COUNT(*) FROM {relation}")
        return {None: int(count)}
    parts = ", ".join(event_time_part(table, column) for column in MONTH_COLUMNS)
    found = engine.rows(f"SELECT {parts}, COUNT(*) FROM {relation} GROUP BY 1, 2")
    return {Month(int(year), int(month)): int(count) for year, month, count in found}


def list_written_files(
    transaction: LakeTransaction, name: str, columns: Sequence[Column], counts: RowCounts
) -> list[DataFile]:
    """List the files that a run wrote for a table's folder, after checking their footers.

    Args:
        transaction: The run.
        name: The folder of the table.
        columns: The columns that the files must have, in order.
        counts: The rows that the files must have by month; `{None: rows}` for an unpartitioned table.

    Returns:
        The files that have rows, with keys relative to the run's folder.

    Raises:
        LakeError: A file has other columns, or a month has other rows.
    """
    store, folder = transaction.store, f"{transaction.folder}{name}/"
    sizes = {key: size for key, size in store.list(folder).items() if key.endswith(".parquet")}
    footers = store.each(store.footer, list(sizes))
    files = []
    for (key, size), footer in zip(sizes.items(), footers, strict=True):
        found = footer.schema.to_arrow_schema().names
        if found != [column.name for column in columns]:
            raise LakeError(
                f"{store.url}/{key} has the columns {', '.join(found)}, which are not those of the table; nothing was changed"
            )
        if footer.num_rows:
            month = _month(key.removeprefix(folder)) if None not in counts else None
            files.append(DataFile(key.removeprefix(transaction.folder), footer.num_rows, size, month))
    _check_rows(name, files, counts)
    return files


def _month(key: str) -> Month | None:
    return month_of_key("/".join(folder for folder in key.split("/") if not folder.startswith(PART_PREFIX)))


def _check_rows(name: str, files: Sequence[DataFile], counts: RowCounts) -> None:
    written: dict[Month | None, int] = {}
    for item in files:
        written[item.month] = written.get(item.month, 0) + item.rows
    for month in sorted({*written, *counts}, key=str):
        if written.get(month, 0) != counts.get(month, 0):
            label = f"{month} of {name}" if month else name
            raise LakeError(
                f"{label} has {counts.get(month, 0):,} rows, but {written.get(month, 0):,} were written; nothing was changed"
            )
