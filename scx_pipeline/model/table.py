"""A declared table: staging, dimension or fact.

Creating and filling tables does not belong here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scx_pipeline.model.column import Column
from scx_pipeline.model.fact import (
    Fact,
    Name,
)

MONTH_FOLDERS = ("year", "month")  # that a table kept by month has in the lake, of its event time in UTC


class Table(Fact):
    """A table of the star: a staging table read from a source, or a fact or dimension made by its SQL file.

    A table whose columns include its `event_time` is kept by month: a load replaces the slice of its months. A table
    with `sequence_by` whose columns do not is kept by key: each key's newest row over all months, by those columns of
    the SELECT, which must also give `event_time`. A table without `event_time` has no months: it is made whole, from
    tables of that kind, and keeps one row per key as well.
    """

    name: Name
    role: Literal["staging", "dimension", "fact"]
    description: str
    source: Name | None = None
    key: tuple[Name, ...] = Field((), description="unique over all months; none: rows may repeat")
    event_time: Name | None = None
    sequence_by: tuple[Name, ...] = ()
    equal_row_count: Name | None = Field(
        None, description="the table whose row count, month by month, it must have"
    )
    min_rows: int = Field(
        1,
        ge=0,
        description="a month has no fewer, if what the table is made from has any; 0: it may have none, which warns",
    )
    dist: str = Field(
        "auto",
        description="of Redshift: auto, even, all (a copy on every node), or the column by whose values rows are spread",
    )
    sort: tuple[Name, ...] = Field(
        (), description="of Redshift: the columns by which rows are sorted; none: as Redshift finds best"
    )
    partition_by: tuple[Name, ...] = Field(
        (),
        description="of the lake: the columns whose values name the folders of its files; of a table kept by month, year and month come first, and are the default",
    )
    columns: tuple[Column, ...] = Field(min_length=1)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def partitioned(self) -> bool:
        """Whether the table is kept by month (else by key, or whole)."""
        return self.event_time in self.column_names

    @property
    def unpartitioned(self) -> bool:
        """Whether the table has no months, and is made whole."""
        return self.event_time is None

    @property
    def event_time_column(self) -> str:
        """The event time of a table that has one."""
        assert self.event_time is not None, self.name
        return self.event_time

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @model_validator(mode="after")
    def _check(self) -> Table:
        names = self.column_names
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"table {self.name}: column {sorted(doubled)[0]} is declared twice")
        for name in self.key:
            if name not in names:
                raise ValueError(f"table {self.name}: key column {name} is not among its columns")
            if self.column(name).nullable:
                raise ValueError(f"table {self.name}: key column {name} must be declared nullable: false")
        for name in (*self.sort, *({self.dist} - {"auto", "even", "all"})):
            if name not in names:
                raise ValueError(
                    f"table {self.name}: it is sorted or distributed by {name}, which is none of its columns"
                )
        if (self.role == "staging") != (self.source is not None):
            raise ValueError(f"table {self.name}: a staging table names its source, and no other table does")
        if self.partitioned and self.column(self.event_time_column).type != "timestamp":
            raise ValueError(f"table {self.name}: event_time {self.event_time} must be a timestamp")
        if not self.partitioned and not self.unpartitioned and not (self.sequence_by and self.key):
            raise ValueError(
                f"table {self.name}: {self.event_time} is not among its columns, so it is kept by key and needs key and sequence_by"
            )
        if self.unpartitioned and self.role != "staging" and not (self.sequence_by and self.key):
            raise ValueError(
                f"table {self.name}: it has no event_time, so it is made whole and needs key and sequence_by"
            )
        self._check_reading()
        self._check_folders()
        return self

    def _check_folders(self) -> None:
        inner = self.partition_by
        if self.partitioned and inner:
            if inner[:2] != MONTH_FOLDERS:
                raise ValueError(
                    f"table {self.name}: it is kept by month, so partition_by begins with {', '.join(MONTH_FOLDERS)}"
                )
            inner = inner[2:]
        for name in inner:
            if name not in self.column_names or inner.count(name) > 1:
                raise ValueError(
                    f"table {self.name}: partition_by names {name}, which is none of its columns, or is named twice"
                )
            if (
                self.column(name).type not in ("smallint", "integer", "bigint", "date")
                and not self.column(name).max_bytes
            ):
                raise ValueError(
                    f"table {self.name}: partition_by names {name}, of type {self.column(name).type}, and a folder is named by a whole number, a date or a text"
                )
        if set(self.column_names) <= {*self.partition_by}:
            raise ValueError(
                f"table {self.name}: partition_by names all of its columns, and leaves none for the files"
            )

    def _check_reading(self) -> None:
        types = {column.name: column.type for column in self.columns}
        for column in self.columns:
            after = column.days_after
            if after and not {column.type, types.get(after.column)} <= {"date", "timestamp"}:
                raise ValueError(
                    f"table {self.name}: {column.name} is so many days after {after.column}, and both must be dates or timestamps of the table"
                )
            if column.unit and column.type != "timestamp":
                raise ValueError(f"table {self.name}: {column.name} has a unit, and must be a timestamp")
            if self.role != "staging" and (column.unit or column.field):
                raise ValueError(
                    f"table {self.name}: {column.name} says how it is read from a source, which only staging tables are"
                )
        if self.role == "staging":
            self._check_fields()

    def _check_fields(self) -> None:
        """Refuse fields that cannot be read side by side: names are the same here whose letters differ in case only."""
        taken: dict[str, str] = {}
        levels: dict[str, str] = {}
        for column in self.columns:
            way = ".".join(column.field_path)
            if way.lower() in taken:
                raise ValueError(
                    f"table {self.name}: {taken[way.lower()]} and {column.name} take the same field, or two that differ in case only"
                )
            taken[way.lower()] = column.name
            for depth in range(1, len(column.field_path)):
                level = ".".join(column.field_path[:depth])
                if levels.setdefault(level.lower(), level) != level:
                    raise ValueError(
                        f"table {self.name}: {column.name} looks into {level}, another column into {levels[level.lower()]}"
                    )
        for column in self.columns:
            for depth in range(1, len(column.field_path)):
                level = ".".join(column.field_path[:depth])
                if level.lower() in taken:
                    raise ValueError(
                        f"table {self.name}: {taken[level.lower()]} takes the field {level} as a value, and {column.name} looks into it"
                    )
