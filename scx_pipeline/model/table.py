"""A declared table: staging, dimension or fact, and the rules that its declaration must satisfy.

Creating and filling tables does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field, model_validator

from scx_pipeline.model.column import Column
from scx_pipeline.model.declaration import Declaration, Name

# The outermost folders of a table that is partitioned by month in the lake: year and month of its event time in UTC.
MONTH_FOLDERS = ("year", "month")
_DIST_STYLES = {"auto", "even", "all"}
_FOLDER_TYPES = ("smallint", "integer", "bigint", "date")


class Table(Declaration):
    """A table of the star: a staging table loaded from a source, or a fact or dimension built by its SQL file.

    A table whose columns include its `event_time` is partitioned by month: a load replaces the rows of its months. A
    table with `sequence_by` whose columns do not is keyed (SCD type 1): it holds the latest row of each key over all
    months, ordered by those columns of the SELECT, which must also return `event_time`. A table without `event_time` is
    unpartitioned: it is rebuilt completely, only from other unpartitioned tables, and holds one row per key as well.
    """

    name: Name = Field(description="its name in the schema, and that of its SQL file, if it has one")
    role: Literal["staging", "dimension", "fact"] = Field(
        description="staging: read from a source; dimension or fact: built by `sql/<table>.sql`"
    )
    description: str = Field(description="what a row of it is, as shown in Dagster")
    source: Name | None = Field(None, description="staging tables: the source that it is read from")
    sources: tuple[Name, ...] = Field((), description="in place of `source`, if several feed the table")
    key: tuple[Name, ...] = Field((), description="unique over all months; default: rows may repeat")
    event_time: Name | None = Field(
        None, description="the timestamp that decides a row's month; default: the table is unpartitioned"
    )
    sequence_by: tuple[Name, ...] = Field(
        (), description="the columns that order the rows of a key, of which the latest is kept"
    )
    equal_row_count: Name | None = Field(
        None, description="the table that must have the same number of rows in every month"
    )
    min_rows: int = Field(
        1,
        ge=0,
        description="the minimum number of rows of a month whose input tables have rows; 0: an empty month only warns",
    )
    dist: str = Field(
        "auto",
        description="Redshift: auto, even, all (a copy on every node), or the column by whose values rows are distributed",
    )
    sort: tuple[Name, ...] = Field((), description="Redshift: the sort key; default: chosen by Redshift")
    partition_by: tuple[Name, ...] = Field(
        (),
        description="lake: the columns whose values name the folders of its files; for a table that is partitioned by month, year and month come first and are the default",
    )
    columns: tuple[Column, ...] = Field(min_length=1, description="its columns, in their order")

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources of a staging table; other tables have none."""
        return self.sources if self.source is None else (self.source,)

    @property
    def is_partitioned(self) -> bool:
        """Whether the table stores its event time, so it is replaced month by month."""
        return self.event_time in self.column_names

    @property
    def is_unpartitioned(self) -> bool:
        """Whether the table belongs to no month, so it is rebuilt completely."""
        return self.event_time is None

    @property
    def event_time_column(self) -> str:
        """The event time of a table that is known to have one."""
        assert self.event_time is not None, self.name
        return self.event_time

    def column(self, name: str) -> Column:
        return {column.name: column for column in self.columns}[name]

    @model_validator(mode="after")
    def _check(self) -> Table:
        for rule in TABLE_RULES:
            for violation in rule(self):
                raise ValueError(f"table {self.name}: {violation}")
        return self


def check_column_names(table: Table) -> Iterator[str]:
    """Column names are unique."""
    names = table.column_names
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"column {name} is declared twice"


def check_key(table: Table) -> Iterator[str]:
    """The key consists of columns that are not nullable."""
    for name in table.key:
        if name not in table.column_names:
            yield f"key column {name} is not among its columns"
        elif table.column(name).nullable:
            yield f"key column {name} must be declared nullable: false"


def check_physical_layout(table: Table) -> Iterator[str]:
    """The sort key and the distribution key are columns."""
    for name in (*table.sort, *({table.dist} - _DIST_STYLES)):
        if name not in table.column_names:
            yield f"dist or sort names {name}, which is not one of its columns"


def check_role(table: Table) -> Iterator[str]:
    """Staging tables have a source or several different ones, and no other table has one."""
    if (table.role == "staging") != bool(table.source_names):
        yield "a staging table must name its source or sources, and no other table may"
    if table.source is not None and table.sources:
        yield "it has both source and sources: list all of them under sources"
    if len(set(table.sources)) < len(table.sources):
        yield "sources names a source twice"


def check_event_time(table: Table) -> Iterator[str]:
    """The event time is a timestamp."""
    if table.is_partitioned and table.column(table.event_time_column).type != "timestamp":
        yield f"event_time {table.event_time} must be a timestamp"


def check_sequence(table: Table) -> Iterator[str]:
    """Tables with one row per key declare the key and the order of its rows."""
    if table.is_partitioned or (table.is_unpartitioned and table.role == "staging"):
        return
    if not (table.sequence_by and table.key):
        reason = (
            "it has no event_time, so it is unpartitioned"
            if table.is_unpartitioned
            else f"event_time {table.event_time} is not among its columns, so it holds one row per key"
        )
        yield f"{reason} and needs key and sequence_by"


def check_days_after(table: Table) -> Iterator[str]:
    """`days_after` relates two dates or timestamps of the table."""
    types = {column.name: column.type for column in table.columns}
    for column in table.columns:
        after = column.days_after
        if after and not {column.type, types.get(after.column)} <= {"date", "timestamp"}:
            yield f"days_after relates {column.name} to {after.column}: both must be dates or timestamps of the table"


def check_source_options(table: Table) -> Iterator[str]:
    """Only columns of staging tables say how they are read, and only as their types allow."""
    for column in table.columns:
        if column.unit and column.type != "timestamp":
            yield f"{column.name} has a unit, so it must be a timestamp"
        for kind, form in (("date", column.date_format), ("timestamp", column.timestamp_format)):
            if form and (column.type != kind or column.unit):
                yield f"{column.name} has a {kind}_format, so it must be a {kind} without a unit"
        if table.role != "staging" and (
            column.unit or column.field or column.date_format or column.timestamp_format
        ):
            yield f"{column.name} says how it is read from a source, which only columns of staging tables can do"


def check_folders(table: Table) -> Iterator[str]:
    """`partition_by` starts with the month of a partitioned table, and its values can name folders."""
    columns = table.partition_by
    if table.is_partitioned and columns:
        if columns[:2] != MONTH_FOLDERS:
            yield f"it is partitioned by month, so partition_by must start with {', '.join(MONTH_FOLDERS)}"
        columns = columns[2:]
    for name in columns:
        if name not in table.column_names or columns.count(name) > 1:
            yield f"partition_by names {name}, which is not one of its columns or is named twice"
        column = table.column(name)
        if column.type not in _FOLDER_TYPES and not column.max_bytes:
            yield f"partition_by names {name} of type {column.type}: use a whole number, a date or a text"
    if set(table.column_names) <= {*table.partition_by}:
        yield "partition_by names all of its columns and leaves none for the files"


# Each rule yields its violations; the first one is reported.
TABLE_RULES: tuple[Callable[[Table], Iterator[str]], ...] = (
    check_column_names,
    check_key,
    check_physical_layout,
    check_role,
    check_event_time,
    check_sequence,
    check_days_after,
    check_source_options,
    check_folders,
)
