"""An unload: a star's tables out of the warehouse into the lake, all as one commit left them.
How an engine writes files is in `warehouse`, how they lie in `layout`, how they take the older ones' place in `publish`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.layout import (
    FOLDERS,
    file_columns,
    folder_of,
    folders_of,
    month_of_key,
    new_run,
    part_of,
    select_of,
    tables_of,
    within,
)
from scx_pipeline.lake.place import Place, open_place
from scx_pipeline.lake.publish import Journal, begin, give_up, publish, tidy
from scx_pipeline.spec import Month, Span, Star, Table
from scx_pipeline.warehouse.base import Session, Warehouse, names, qualified, quote
from scx_pipeline.warehouse.unloading import Unload

WHOLE_NUMBERS = ("smallint", "integer", "bigint")


@dataclass(frozen=True)
class UnloadedTable:
    """What was written of a table."""

    name: str
    months: tuple[Month, ...] | None  # None: it is not kept by month
    files: tuple[str, ...]  # keys relative to the run's own folder
    rows: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        months = None if self.months is None else [str(month) for month in self.months]
        return {
            "table": self.name,
            "months": months,
            "files": len(self.files),
            "rows": self.rows,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Unloaded:
    """What an unload wrote."""

    url: str
    run: str
    tables: Sequence[UnloadedTable]

    def as_json(self) -> dict[str, Any]:
        return {"url": self.url, "run": self.run, "tables": [table.as_json() for table in self.tables]}


@dataclass(frozen=True)
class Unloader:
    """What an unload is of: a star in a warehouse, and months of the tables that are kept by month, None for all."""

    star: Star
    warehouse: Warehouse
    span: Span | None = None
    progress: Callable[[str], None] = lambda message: None

    def run(self, url: str) -> Unloaded:
        """Write the tables into the lake at a URL, in the place of what is there of them.

        Raises PipelineError, and then the lake is as it was, or the next unload makes it whole.
        """
        place = self._open(url)
        tidy(place, self.warehouse.notify)
        run = new_run(list(place.list()))
        begin(place, run)
        try:
            with self.warehouse.reading() as session:
                session.begin()  # so that all queries see the same commit
                tables = [self._write(session, place, run, table) for table in tables_of(self.star)]
            self.progress("putting files in their places")
            publish(place, self._journal(run, tables))
        except BaseException:
            give_up(place, run, self.warehouse.notify)
            raise
        return Unloaded(place.url, run, tables)

    def _open(self, url: str) -> Place:
        needed = self.warehouse.capabilities.writes_to
        if not url.startswith(needed):
            raise LakeError(
                f"the lake is {url}, where {self.warehouse.url} cannot write: set SCX_LAKE_URL (or --lake) to {needed}bucket/prefix"
            )
        return open_place(url, self.star.name)

    def _write(self, session: Session, place: Place, run: str, table: Table) -> UnloadedTable:
        """Write a table's files into the run's own folder."""
        self.progress(table.name)
        self._check(session, table)
        select = select_of(self.star.schema_name, table, self.span)
        counts = self._counts(session, table, select)
        rows, folder = sum(counts.values()), f"{folder_of(run)}{table.name}/"
        if rows:
            unload = Unload(select, file_columns(table), folders_of(table), f"{place.url}/{folder}")
            written = session.unload(unload)
            if written != rows:
                raise LakeError(
                    f"{table.name}: it has {rows:,} rows, but {written:,} were written; nothing was changed"
                )
        files = place.list(folder) if rows else {}
        keys = tuple(sorted(key.removeprefix(folder_of(run)) for key in files))
        self._check_months(table, counts, keys)
        months = tuple(sorted(month for month in counts if month)) if table.sliced else None
        return UnloadedTable(table.name, months, keys, rows, sum(files.values()))

    def _check(self, session: Session, table: Table) -> None:
        """Raise LakeError for a table that is not as it is declared, or has a year or month that is another's."""
        schema, name = self.star.schema_name, f"{self.star.schema_name}.{table.name}"
        if not session.existing_columns(schema, table.name) or session.differs(schema, table):
            raise LakeError(f"{name} does not stand as it is declared: run `scx load {self.star.name}` first")
        for column in FOLDERS if table.sliced else ():
            if column.name not in table.column_names:
                continue
            other = "TRUE"
            if table.column(column.name).type in WHOLE_NUMBERS:
                own = quote(column.name)
                other = f"({own} IS NULL OR {own} <> {part_of(table, column)})"
            relation = f"{qualified(schema, table)} WHERE {within(table, self.span)} AND {other}"
            [(count,)] = session.rows(f"SELECT COUNT(*) FROM {relation}")
            if count:
                raise LakeError(
                    f"{name}: {column.name} is not the {column.name} of {table.event_time} in {count:,} rows, and the lake's "
                    f"folders are named by that: give the column another name"
                )

    @staticmethod
    def _counts(session: Session, table: Table, select: str) -> dict[Month | None, int]:
        """How many rows there are, by month where they are kept so."""
        if not table.sliced:
            [(count,)] = session.rows(f"SELECT COUNT(*) FROM ({select}) AS q")
            return {None: int(count)}
        by = names([column.name for column in FOLDERS])
        found = session.rows(f"SELECT {by}, COUNT(*) FROM ({select}) AS q GROUP BY {by}")
        return {Month(int(year), int(month)): int(count) for year, month, count in found}

    @staticmethod
    def _check_months(table: Table, counts: dict[Month | None, int], keys: Sequence[str]) -> None:
        """Raise LakeError unless there are files of exactly the months that rows are of."""
        found = {month_of_key(key.removeprefix(f"{table.name}/")) for key in keys}
        wanted = {month for month, count in counts.items() if count}
        if found != wanted:
            odd = sorted(str(month) for month in found ^ wanted)
            raise LakeError(
                f"{table.name}: files and rows are of other months: {', '.join(odd)}; nothing was changed"
            )

    def _journal(self, run: str, tables: Sequence[UnloadedTable]) -> Journal:
        span = self.span
        months = {
            table.name: (span.first, span.last) if span and table.months is not None else None
            for table in tables
        }
        return Journal(run, tuple(key for table in tables for key in table.files), months)
