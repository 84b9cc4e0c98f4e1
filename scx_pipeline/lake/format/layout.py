"""Where a star's files are in the lake: folders, keys, and the columns of a table's files.

Nothing is read or written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from scx_pipeline.declarations.latest_rows import latest_rows_table
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import in_month_range, names, qualified, quote

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar

YEAR = Column(name="year", type="integer", description="The year of the event time, UTC.")
MONTH = Column(name="month", type="integer", description="The month of the event time, UTC.")
MONTH_COLUMNS = (YEAR, MONTH)
# Folders of a star whose names start with _ do not belong to any table, so that readers of a table never see them.
WRITING_FOLDER = "_writing"  # files that are not published yet
LATEST_FOLDER = "_latest"  # of a table with SCD type 1 rows, each month's latest row per key
HISTORY_FOLDER = "_history"  # row counts by object, and rejected rows
PART_PREFIX = "part-"  # of the folder of one of several parallel writers, until its files are published
LakeSchema = tuple[tuple[str, str, str], ...]  # name, neutral type, and "file" or "folder"
_RUN = re.compile(r"(\d{8}T\d{12}-[0-9a-f]{8})[-/.]")  # at the start of a file's or a folder's name
_TIME = "%Y%m%dT%H%M%S%f"
_IN_MONTH = re.compile(r"year=(\d+)/month=(\d+)/.+")


def month_folder(table: Table) -> str:
    """Return the folder with a table's rows by month, which differs for SCD type 1 tables; of unpartitioned ones, all rows."""
    return table.name if table.is_partitioned or table.is_unpartitioned else f"{LATEST_FOLDER}/{table.name}"


def month_rows_of(compiled: CompiledStar, table: Table) -> tuple[str, Table]:
    """Return the month folder of a table and the table stored there: for SCD type 1, its latest rows by month."""
    folder = month_folder(table)
    return folder, table if folder == table.name else latest_rows_table(compiled, table)


def folder_tables(compiled: CompiledStar, table: Table) -> dict[str, Table]:
    """Return every folder in which a table has files, and the table stored there."""
    return {table.name: table} | dict([month_rows_of(compiled, table)])


def partition_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns whose values name a table's folders, as declared; a table partitioned by month has at least two."""
    if not table.is_partitioned:
        return tuple(table.column(name) for name in table.partition_by)
    return (*MONTH_COLUMNS, *(table.column(name) for name in table.partition_by[len(MONTH_COLUMNS) :]))


def file_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns of a table's files, in order: all but the partition columns."""
    partitions = {column.name for column in partition_columns(table)}
    return tuple(column for column in table.columns if column.name not in partitions)


def lake_schema(table: Table) -> LakeSchema:
    """Return a table's columns: names, neutral types, and whether they are in its files or name its folders."""
    partitions = {column.name for column in partition_columns(table)}

    def location(column: Column) -> str:
        return "folder" if column.name in partitions else "file"

    return tuple((column.name, column.type, location(column)) for column in table.columns)


def select_for_unload(schema: str, table: Table, scope: MonthRange | None, folders: Sequence[Column]) -> str:
    """Return the SELECT of a table's rows to write, with the values of the columns that name folders last."""
    listed = names([column.name for column in file_columns(table)])
    values = [
        f"{event_time_part(table, column)} AS {quote(column.name)}"
        if column in MONTH_COLUMNS
        else quote(column.name)
        for column in folders
    ]
    condition = partition_condition(table, scope)
    return f"SELECT {', '.join([listed, *values])} FROM {qualified(schema, table)} WHERE {condition}"


def partition_condition(table: Table, scope: MonthRange | None) -> str:
    """Return the SQL condition on a table's rows to write: of a table partitioned by month, those of the scope."""
    return in_month_range(table.event_time_column, scope) if scope and table.is_partitioned else "TRUE"


def event_time_part(table: Table, column: Column) -> str:
    """Return the SQL expression of the year or month of a row's event time."""
    return f"CAST(EXTRACT({column.name.upper()} FROM {quote(table.event_time_column)}) AS INTEGER)"


def new_run_id(keys: Iterable[str]) -> str:
    """Return a run ID that sorts after those of all runs that wrote these keys, even if clocks disagree."""
    now = datetime.now(UTC).replace(tzinfo=None)
    latest = max((found[1] for found in map(_RUN.search, keys) if found), default="")
    if latest:
        now = max(now, run_started_at(latest) + timedelta(microseconds=1))
    return f"{now.strftime(_TIME)}-{uuid4().hex[:8]}"


def run_started_at(run: str) -> datetime:
    """Return when a run started (UTC), as its ID says."""
    return datetime.strptime(run.partition("-")[0], _TIME)


def writing_folder(run: str) -> str:
    """Return the folder of a run's unpublished files, with a trailing slash."""
    return f"{WRITING_FOLDER}/{run}/"


def run_of_key(key: str) -> str:
    """Return the run that wrote a file; empty if no run did."""
    found = _RUN.match(key.rpartition("/")[2])
    return found[1] if found else ""


def month_of_key(key: str) -> Month | None:
    """Return the month of the folder that a key, relative to its table's folder, is in."""
    found = _IN_MONTH.fullmatch(key)
    return Month(int(found[1]), int(found[2])) if found and 1 <= int(found[2]) <= 12 else None


def published_key(run: str, key: str) -> str:
    """Return the final key of a file that a run wrote; a writer's own `part-…` folder becomes part of the name."""
    *folders, name = key.split("/")
    writers = [folder.removeprefix(PART_PREFIX) for folder in folders if folder.startswith(PART_PREFIX)]
    kept = [folder for folder in folders if not folder.startswith(PART_PREFIX)]
    return "/".join([*kept, "-".join([run, *writers, name])])
