"""How a star lies in the lake: which tables, in which folders, under which names, and what a table's files hold.
Nothing is read or written here."""

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
FOLDERS = (YEAR, MONTH)
# Folders of a star whose names begin with _ are none of its tables'; readers of a table never look there.
WRITING = "_writing"  # what is not in its place yet
NEWEST = "_newest"  # of a table kept by key, each month's newest row of every key
PART = "part-"  # a folder of one of several writers of a table, while it is written
ACCOUNTS = "_accounts"  # what became of each object, the rows that were rejected, and what each run did
Shape = tuple[tuple[str, str, str], ...]
_RUN = re.compile(r"(\d{8}T\d{12}-[0-9a-f]{8})[-/.]")  # in a file's name, or as a folder's
_TIME = "%Y%m%dT%H%M%S%f"
_IN_MONTH = re.compile(r"year=(\d+)/month=(\d+)/.+")


def months_in(table: Table) -> str:
    """The folder in which a table has its files by month, or all of them: of one kept by key, that of its newest rows."""
    return table.name if table.partitioned or table.unpartitioned else f"{NEWEST}/{table.name}"


def stands_in(compiled: CompiledStar, table: Table) -> tuple[str, Table]:
    """That folder, and what is in it: of a table kept by key, its month rows."""
    folder = months_in(table)
    return folder, table if folder == table.name else latest_rows_table(compiled, table)


def all_in(compiled: CompiledStar, table: Table) -> dict[str, Table]:
    """Every folder in which a table has files, and what is in it."""
    return {table.name: table} | dict([stands_in(compiled, table)])


def folders_of(table: Table) -> tuple[Column, ...]:
    """The columns whose values name the folders of a table's files, as declared; of a table kept by month, at least two."""
    if not table.partitioned:
        return tuple(table.column(name) for name in table.partition_by)
    return (*FOLDERS, *(table.column(name) for name in table.partition_by[len(FOLDERS) :]))


def file_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a table's files, in their order: all but those that name folders."""
    named = {column.name for column in folders_of(table)}
    return tuple(column for column in table.columns if column.name not in named)


def shape_of(table: Table) -> Shape:
    """A table's columns: their names, neutral types, and whether they stand in its files or name its folders."""
    named = [column.name for column in folders_of(table)]
    return tuple(
        (column.name, column.type, "folder" if column.name in named else "file") for column in table.columns
    )


def select_of(schema: str, table: Table, scope: MonthRange | None, folders: Sequence[Column]) -> str:
    """What is written of a table, the values of the columns that name folders last."""
    listed = names([column.name for column in file_columns(table)])
    named = [
        f"{part_of(table, column)} AS {quote(column.name)}" if column in FOLDERS else quote(column.name)
        for column in folders
    ]
    return (
        f"SELECT {', '.join([listed, *named])} FROM {qualified(schema, table)} WHERE {within(table, scope)}"
    )


def within(table: Table, scope: MonthRange | None) -> str:
    """The condition on what is written of a table: of one that is kept by month, the span's rows."""
    return in_month_range(table.event_time_column, scope) if scope and table.partitioned else "TRUE"


def part_of(table: Table, column: Column) -> str:
    """The expression of the year or month of a row's event time."""
    return f"CAST(EXTRACT({column.name.upper()} FROM {quote(table.event_time_column)}) AS INTEGER)"


def new_run(keys: Iterable[str]) -> str:
    """The name of a run, which comes after those of all that left one of these keys, whatever the clocks say."""
    now = datetime.now(UTC).replace(tzinfo=None)
    latest = max((found[1] for found in map(_RUN.search, keys) if found), default="")
    if latest:
        now = max(now, datetime.strptime(latest.partition("-")[0], _TIME) + timedelta(microseconds=1))
    return f"{now.strftime(_TIME)}-{uuid4().hex[:8]}"


def folder_of(run: str) -> str:
    """The folder of what a run has written and not yet put in its place, with a / at its end."""
    return f"{WRITING}/{run}/"


def run_of(key: str) -> str:
    """The run that a file is from; nothing of one that is from none."""
    found = _RUN.match(key.rpartition("/")[2])
    return found[1] if found else ""


def month_of_key(key: str) -> Month | None:
    """The month whose folder a key, relative to its table's folder, is in."""
    found = _IN_MONTH.fullmatch(key)
    return Month(int(found[1]), int(found[2])) if found and 1 <= int(found[2]) <= 12 else None


def place_of(run: str, key: str) -> str:
    """Where a file goes that was written under a key; a writer's own folder, `part-…`, becomes part of its name."""
    *folders, name = key.split("/")
    parts = [folder.removeprefix(PART) for folder in folders if folder.startswith(PART)]
    kept = [folder for folder in folders if not folder.startswith(PART)]
    return "/".join([*kept, "-".join([run, *parts, name])])
