"""A table out of an engine into the run's own folder: counted, written, and looked at before it may stand.
Which tables are written is decided in `unload` and `tables`; how an engine writes files, in `warehouse` and the makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.commit import LakeTransaction, NewFiles
from scx_pipeline.lake.format.layout import (
    FOLDERS,
    PART,
    file_columns,
    folders_of,
    month_of_key,
    part_of,
    select_of,
    shape_of,
    within,
)
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.export import Unload
from scx_pipeline.warehouse.session import Relations
from scx_pipeline.warehouse.sql_text import qualified, quote

Counts = Mapping[Month | None, int]  # rows by month; None: of a table that is not kept by month
WHOLE_NUMBERS = ("smallint", "integer", "bigint")


def write_table(
    transaction: LakeTransaction,
    engine: Relations,
    schema: str,
    table: Table,
    name: str,
    scope: MonthRange | None,
) -> tuple[NewFiles, Counts]:
    """Write a table, or of one kept by month the span's rows, for the folder `name` of the star; and its rows by month.

    Raises LakeError where not all of it arrives, or a column is named as a folder and says something else.
    """
    _check_folders(engine, schema, table, scope)
    counts = _count(engine, schema, table, scope)
    columns = file_columns(table)
    for part, folders, url in _parts(engine, table, scope, counts, transaction.url_of(name)):
        select = select_of(schema, table, part, folders)
        largest = max(counts.values(), default=0)
        engine.unload(Unload(select, columns, tuple(folders), url, largest, table.sort or _moment(table)))
    files = look(transaction, name, columns, counts)
    return NewFiles(name, scope if table.partitioned else None, files, shape_of(table)), counts


def _moment(table: Table) -> tuple[str, ...]:
    return (table.event_time_column,) if table.partitioned else ()


def _parts(
    engine: Relations, table: Table, scope: MonthRange | None, counts: Counts, url: str
) -> list[tuple[MonthRange | None, Sequence[Column], str]]:
    """What is written at a time: the months, the columns that name folders below, and where to."""
    folders = folders_of(table)
    if engine.capabilities.folders_at_once or not table.partitioned:
        return [(scope, folders, url)] if any(counts.values()) else []
    months = sorted(month for month in counts if month)  # one by one takes less memory
    return [
        (MonthRange(month, month), folders[len(FOLDERS) :], f"{url}year={month.year}/month={month.month}/")
        for month in months
    ]


def _check_folders(engine: Relations, schema: str, table: Table, scope: MonthRange | None) -> None:
    """Raise LakeError for a table that has a year or month which is another's."""
    for column in FOLDERS if table.partitioned else ():
        if column.name not in table.column_names:
            continue
        other = "TRUE"
        if table.column(column.name).type in WHOLE_NUMBERS:
            own = quote(column.name)
            other = f"({own} IS NULL OR {own} <> {part_of(table, column)})"
        relation = f"{qualified(schema, table)} WHERE {within(table, scope)} AND {other}"
        [(count,)] = engine.rows(f"SELECT COUNT(*) FROM {relation}")
        if count:
            raise LakeError(
                f"{table.name}: {column.name} is not the {column.name} of {table.event_time} in {count:,} rows, and the lake's "
                f"folders are named by that: give the column another name"
            )


def _count(engine: Relations, schema: str, table: Table, scope: MonthRange | None) -> dict[Month | None, int]:
    """How many rows there are, by month where they are kept so."""
    relation = f"{qualified(schema, table)} WHERE {within(table, scope)}"
    if not table.partitioned:
        [(count,)] = engine.rows(f"SELECT COUNT(*) FROM {relation}")
        return {None: int(count)}
    parts = ", ".join(part_of(table, column) for column in FOLDERS)
    found = engine.rows(f"SELECT {parts}, COUNT(*) FROM {relation} GROUP BY 1, 2")
    return {Month(int(year), int(month)): int(count) for year, month, count in found}


def look(
    transaction: LakeTransaction, name: str, columns: Sequence[Column], counts: Counts
) -> list[DataFile]:
    """The files that a run has written for a folder of the star, keys within the run's own.

    Raises LakeError unless they have these columns, and exactly these rows, month by month.
    """
    place, folder = transaction.place, f"{transaction.folder}{name}/"
    sizes = {key: size for key, size in place.list(folder).items() if key.endswith(".parquet")}
    footers = place.each(place.footer, list(sizes))
    files = []
    for (key, size), footer in zip(sizes.items(), footers, strict=True):
        found = footer.schema.to_arrow_schema().names
        if found != [column.name for column in columns]:
            raise LakeError(f"{place.url}/{key} has the columns {', '.join(found)}; nothing was changed")
        if footer.num_rows:
            month = _month(key.removeprefix(folder)) if None not in counts else None
            files.append(DataFile(key.removeprefix(transaction.folder), footer.num_rows, size, month))
    _check_rows(name, files, counts)
    return files


def _month(key: str) -> Month | None:
    return month_of_key("/".join(folder for folder in key.split("/") if not folder.startswith(PART)))


def _check_rows(name: str, files: Sequence[DataFile], counts: Counts) -> None:
    written: dict[Month | None, int] = {}
    for item in files:
        written[item.month] = written.get(item.month, 0) + item.rows
    for month in sorted({*written, *counts}, key=str):
        if written.get(month, 0) != counts.get(month, 0):
            what = f"{month} of {name}" if month else name
            raise LakeError(
                f"{what} has {counts.get(month, 0):,} rows, but {written.get(month, 0):,} were written; nothing was changed"
            )
