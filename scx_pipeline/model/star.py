"""The facts of a star as frozen types: Star, Source, Table, Column, Query, and Month and MonthRange.
No I/O, no SQL and no engine lives here; of ours, it imports the names that may not be declared."""

from __future__ import annotations

from pydantic import Field, model_validator

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.fact import (
    Fact,
    MonthText,
    Name,
    SchemaName,
)
from scx_pipeline.model.query import Query
from scx_pipeline.model.reserved_names import RESERVED
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table


class Star(Fact):
    """A star schema, declared: everything the engine knows about it, its SQL files aside."""

    name: Name
    description: str
    schema_name: SchemaName = Field(alias="schema")
    first_month: MonthText
    owners: tuple[str, ...] = ()
    fresh_within_days: int | None = Field(
        None, ge=1, description="warn when the newest event is older than this"
    )
    sources: tuple[Source, ...] = Field(min_length=1)
    tables: tuple[Table, ...] = Field(min_length=1)
    queries: tuple[Query, ...] = ()

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    def source(self, name: str) -> Source:
        return next(source for source in self.sources if source.name == name)

    @property
    def staging(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.role == "staging")

    @property
    def unpartitioned(self) -> tuple[Table, ...]:
        """The tables without months."""
        return tuple(table for table in self.tables if table.unpartitioned)

    @property
    def monthly(self) -> tuple[Table, ...]:
        """The tables with months: those kept by month, and those kept by key."""
        return tuple(table for table in self.tables if not table.unpartitioned)

    @property
    def derived(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.role != "staging")

    def months(self, now: Month | None = None) -> MonthRange:
        """Every month the star may hold: the first one to the current one."""
        return MonthRange(self.first_month, max(self.first_month, now or Month.current()))

    @model_validator(mode="after")
    def _check(self) -> Star:
        tables = {table.name: table for table in self.tables}
        sources = {source.name: source for source in self.sources}
        if len(tables) < len(self.tables) or len(sources) < len(self.sources):
            raise ValueError(f"star {self.name}: two tables or two sources have the same name")
        for name in sorted(tables.keys() & sources.keys()):
            raise ValueError(
                f"star {self.name}: a source and a table are both named {name}: rename one of them"
            )
        if self.queries and "report" in (tables.keys() | sources.keys()):
            raise ValueError(
                f"star {self.name}: a table or source cannot be named report, which is its report's name"
            )
        for table in self.tables:
            reserved = sorted(RESERVED.intersection(table.column_names))
            if reserved:
                raise ValueError(
                    f"table {table.name}: a column cannot be named {reserved[0]}, which the pipeline itself uses"
                )
            if table.source is not None:
                self._check_staging(table, sources)
            for column in table.columns:
                if column.references is not None:
                    self._check_reference(table, column, tables)
            if table.equal_row_count is not None and table.equal_row_count not in tables:
                raise ValueError(
                    f"table {table.name}: equal_row_count names {table.equal_row_count}, which is no table"
                )
        return self

    @staticmethod
    def _check_staging(table: Table, sources: dict[str, Source]) -> None:
        source = sources.get(table.source or "")
        if source is None:
            raise ValueError(f"table {table.name}: source {table.source} is not declared")
        if source.event_time != table.event_time or not (table.partitioned or table.unpartitioned):
            raise ValueError(
                f"table {table.name}: event_time must be {source.event_time or 'left out'}, as in source {table.source}"
            )
        if table.partitioned and table.column(table.event_time_column).nullable:
            raise ValueError(f"table {table.name}: {table.event_time} must be declared nullable: false")
        for name in table.sequence_by:
            if name not in table.column_names:
                raise ValueError(
                    f"table {table.name}: sequence_by names {name}, which is none of its columns"
                )
        _check_format(table, source)

    @staticmethod
    def _check_reference(table: Table, column: Column, tables: dict[str, Table]) -> None:
        target = tables.get(column.references or "")
        if target is None:
            raise ValueError(
                f"table {table.name}: {column.name} references {column.references}, which is no table"
            )
        if len(target.key) != 1:
            raise ValueError(
                f"table {table.name}: {column.name} references {target.name}, whose key is not a single column"
            )
        if table.unpartitioned and not target.unpartitioned:
            raise ValueError(
                f"table {table.name}: it has no months, and {column.name} references {target.name}, which has"
            )


def _check_format(table: Table, source: Source) -> None:
    """Refuse what is declared of a source, or of its table's columns, that its format or its keys have nothing of."""
    for column in table.columns:
        if source.format == "csv" and column.field:
            raise ValueError(
                f"table {table.name}: {column.name} names a field, which a csv source has none of: its header names columns"
            )
        if source.format == "parquet" and len(column.field_path) > 1:
            raise ValueError(
                f"table {table.name}: {column.name} looks into {column.field}; of a parquet source, only whole columns are read"
            )
    if source.format != "parquet" and source.on_invalid_file != "fail":
        raise ValueError(
            f"source {source.name}: on_invalid_file is for parquet sources; others reject single records"
        )
    if source.files_per_day and not all("{day}" in item.pattern for item in source.files):
        raise ValueError(f"source {source.name}: files_per_day needs file patterns that name the {{day}}")
