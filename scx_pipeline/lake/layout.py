"""How a star lies in the lake: which tables, in which folders, under which names, and what a table's files hold.
Nothing is read or written here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from scx_pipeline.spec import Column, Month, Span, Star, Table
from scx_pipeline.warehouse.base import in_span, names, qualified, quote

YEAR = Column(name="year", type="integer", description="The year of the event time, UTC.")
MONTH = Column(name="month", type="integer", description="The month of the event time, UTC.")
FOLDERS = (YEAR, MONTH)
UNLOADING = "_unload"  # the folder of what is not in its place yet; readers of a table never look there
_RUN = re.compile(r"(\d{8}T\d{12}-[0-9a-f]{8})[-/]")  # in a file's name, or as a folder's
_TIME = "%Y%m%dT%H%M%S%f"
_IN_MONTH = re.compile(r"year=(\d+)/month=(\d+)/[^/]+")


def tables_of(star: Star) -> tuple[Table, ...]:
    """The tables that go into the lake: facts and dimensions, or the staging tables of a star that has nothing else."""
    return star.derived or star.staging


def folders_of(table: Table) -> tuple[Column, ...]:
    """The columns whose values name the folders of a table's files: those of a table that is kept by month."""
    return FOLDERS if table.sliced else ()


def file_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a table's files, in their order: all but those that name folders."""
    named = {column.name for column in folders_of(table)}
    return tuple(column for column in table.columns if column.name not in named)


def select_of(schema: str, table: Table, span: Span | None) -> str:
    """What is unloaded of a table, the values of its folders last."""
    listed = names([column.name for column in file_columns(table)])
    if not table.sliced:
        return f"SELECT {listed} FROM {qualified(schema, table)}"
    folders = ", ".join(f"{part_of(table, column)} AS {quote(column.name)}" for column in FOLDERS)
    return f"SELECT {listed}, {folders} FROM {qualified(schema, table)} WHERE {within(table, span)}"


def within(table: Table, span: Span | None) -> str:
    """The condition on what is unloaded of a table that is kept by month."""
    return in_span(table.moment, span) if span else "TRUE"


def part_of(table: Table, column: Column) -> str:
    """The expression of the year or month of a row's event time."""
    return f"CAST(EXTRACT({column.name.upper()} FROM {quote(table.moment)}) AS INTEGER)"


def new_run(keys: Iterable[str]) -> str:
    """The name of an unload, which comes after those of all unloads that left one of these keys, whatever the clocks say."""
    now = datetime.now(UTC).replace(tzinfo=None)
    latest = max((found[1] for found in map(_RUN.search, keys) if found), default="")
    if latest:
        now = max(now, datetime.strptime(latest.partition("-")[0], _TIME) + timedelta(microseconds=1))
    return f"{now.strftime(_TIME)}-{uuid4().hex[:8]}"


def folder_of(run: str) -> str:
    """The folder of what a run has written and not yet put in its place, with a / at its end."""
    return f"{UNLOADING}/{run}/"


def run_of(key: str) -> str:
    """The unload that a file is from; nothing of one that is from none, which is older than any."""
    found = _RUN.match(key.rpartition("/")[2])
    return found[1] if found else ""


def month_of_key(key: str) -> Month | None:
    """The month whose folder a key, relative to its table's folder, is in."""
    found = _IN_MONTH.fullmatch(key)
    return Month(int(found[1]), int(found[2])) if found and 1 <= int(found[2]) <= 12 else None


def place_of(run: str, key: str) -> str:
    """Where a file goes that an engine has written under a key."""
    folder, _, name = key.rpartition("/")
    return f"{folder}/{run}-{name}"
