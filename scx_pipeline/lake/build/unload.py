"""An unload: writes a star's tables and load history from the warehouse to the lake, as of one warehouse commit.

How an engine writes files does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError
from scx_pipeline.history.history_reader import (
    read_month_states,
    read_purged_months,
    read_stale_months,
    read_unpartitioned_state,
)
from scx_pipeline.history.state_tables import OBJECTS, REJECTED_ROWS
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.layout import HISTORY_FOLDER, folder_tables, lake_schema, month_folder
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState
from scx_pipeline.lake.format.table_writer import RowCounts, list_written_files, write_table
from scx_pipeline.lake.format.transaction import LakeTransaction, NewFiles, abort, begin_transaction, commit
from scx_pipeline.model.calendar import Month, MonthRange, contiguous_ranges
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, names, qualified
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class UnloadedTable:
    """The months, files, rows and bytes that were written of a table."""

    name: str
    months: tuple[Month, ...] | None  # None: the table is not partitioned by month
    files: int
    rows: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        months = None if self.months is None else [str(month) for month in self.months]
        sizes = {"files": self.files, "rows": self.rows, "bytes": self.bytes}
        return {"table": self.name, "months": months, **sizes}


@dataclass(frozen=True)
class UnloadReport:
    """The tables that an unload wrote, and where."""

    url: str
    run: str
    tables: Sequence[UnloadedTable]

    def as_json(self) -> dict[str, Any]:
        return {"url": self.url, "run": self.run, "tables": [table.as_json() for table in self.tables]}


@dataclass(frozen=True)
class Unloader:
    """Unloads a star from a warehouse: the scope's months of its partitioned tables (None for all), and all other tables."""

    compiled: CompiledStar
    warehouse: Warehouse
    scope: MonthRange | None = None
    progress: Callable[[str], None] = lambda message: None

    def run(self, url: str) -> UnloadReport:
        """Write the tables to the lake at a URL, replacing their files there.

        Raises PipelineError; the lake is unchanged then.
        """
        transaction = begin_transaction(self._open(url), self.compiled.star.name, self.warehouse.notify)
        try:
            with self.warehouse.open_loaded() as session:
                session.begin()  # so that all queries see the same commit
                unload = _UnloadRun(self, session, transaction)
                unload.write()
            self.progress("publishing files")
            commit(transaction, unload.new, unload.build_manifest())
        except BaseException:
            abort(transaction, self.warehouse.notify)
            raise
        return UnloadReport(transaction.store.url, transaction.run, unload.tables)

    def _open(self, url: str) -> LakeStore:
        scheme = self.warehouse.capabilities.lake_url_prefix
        if not url.startswith(scheme):
            raise LakeError(
                f"{self.warehouse.url} cannot write to the lake {url}: set SCX_LAKE_URL (or --lake) to {scheme}bucket/prefix"
            )
        return open_lake_store(url, self.compiled.star.name)


class _UnloadRun:
    """One unload, within a transaction of the warehouse and one of the lake."""

    def __init__(self, unloader: Unloader, session: Session, transaction: LakeTransaction) -> None:
        self.compiled, self.scope, self.progress = unloader.compiled, unloader.scope, unloader.progress
        self.star = unloader.compiled.star
        self.session, self.transaction = session, transaction
        self.new: list[NewFiles] = []
        self.tables: list[UnloadedTable] = []
        self.rows: dict[str, RowCounts] = {}

    def write(self) -> None:
        """Write all tables and their history into the run's folder."""
        self.months = read_month_states(self.session, self.star.name)
        self.unpartitioned = read_unpartitioned_state(self.session, self.star.name)
        self.stale = read_stale_months(self.session, self.star.name)
        self._check_staging_rows()
        for table in self.star.tables:
            self.progress(table.name)
            self._check(table)
            for folder, stored in folder_tables(self.compiled, table).items():
                schema = self.star.schema_name if stored is table else STATE_SCHEMA
                files = self._write(stored, folder, schema)
                if stored is table:
                    self._report_table(table, files)
        for history_table in (OBJECTS, REJECTED_ROWS):
            self._write_history(history_table)

    def _check_staging_rows(self) -> None:
        """Raise LakeError for months whose staging rows were purged: the lake would be incomplete."""
        name = self.star.name
        tables = [table.name for table in self.star.staging_tables if table.is_partitioned]
        purged = set().union(*read_purged_months(self.session, name, tables).values())
        missing = sorted(month for month in purged if self.scope is None or month in self.scope)
        if not missing:
            return
        kept = [scope for scope in contiguous_ranges(list(self.months)) if scope.last > missing[-1]]
        first = missing[-1].shift(1)
        others = f", or unload the other months: --from {first} --to {kept[-1].last}" if kept else ""
        raise LakeError(
            f"{', '.join(map(str, contiguous_ranges(missing)))} of {name} cannot be unloaded because their staging rows were purged "
            f"(SCX_KEEP_STAGING_MONTHS): run `scx load {name} --from {missing[0]} --to {missing[-1]}` to load them again{others}"
        )

    def _write(self, table: Table, name: str, schema: str) -> Sequence[DataFile]:
        new, self.rows[name] = write_table(self.transaction, self.session, schema, table, name, self.scope)
        self.new.append(new)
        return new.files

    def _report_table(self, table: Table, files: Sequence[DataFile]) -> None:
        counts = self.rows[table.name]
        months = tuple(sorted(month for month in counts if month)) if table.is_partitioned else None
        size = sum(item.bytes for item in files)
        self.tables.append(UnloadedTable(table.name, months, len(files), sum(counts.values()), size))

    def _write_history(self, table: Table) -> None:
        """Write a table of the load history: the star's objects, or its rejected rows."""
        select = f"SELECT {names(table.column_names)} FROM {qualified(STATE_SCHEMA, table)} WHERE star = '{self.star.name}'"
        [(count,)] = self.session.rows(f"SELECT COUNT(*) FROM ({select}) AS q")
        name = f"{HISTORY_FOLDER}/{table.name}"
        if count:
            self.session.unload(Unload(select, table.columns, (), self.transaction.url_of(name)))
        files = list_written_files(self.transaction, name, table.columns, {None: int(count)})
        self.new.append(NewFiles(name, None, files, lake_schema(table)))

    def _check(self, table: Table) -> None:
        """Raise LakeError if a table does not match its declaration."""
        session, schema = self.session, self.star.schema_name
        if not session.catalog.table_columns(schema, table.name) or session.catalog.differs(schema, table):
            raise LakeError(
                f"{schema}.{table.name} does not match its declaration: run `scx load {self.star.name}` first"
            )

    def build_manifest(self) -> Manifest:
        """Return the manifest to publish, without the new files."""
        before, now = self.transaction.before, datetime.now(UTC).isoformat(timespec="seconds")
        scope = self.scope
        months = {month: state for month, state in before.months.items() if scope and month not in scope}
        stale = {month: reason for month, reason in before.stale.items() if scope and month not in scope}
        for month, state in self.months.items():
            if scope is None or month in scope:
                months[month] = PartitionState(state, self.transaction.run, now, self._rows_of(month))
        stale |= {month: reason for month, reason in self.stale.items() if scope is None or month in scope}
        unpartitioned = None
        if self.unpartitioned:
            rows = self._rows_of(None)
            unpartitioned = PartitionState(self.unpartitioned, self.transaction.run, now, rows)
        return replace(before, months=months, unpartitioned=unpartitioned, stale=stale)

    def _rows_of(self, month: Month | None) -> dict[str, int]:
        """Return the rows of a month by partitioned table; for None, the rows of the unpartitioned tables."""
        if month is None:
            return {
                table.name: self.rows[table.name].get(None, 0) for table in self.star.unpartitioned_tables
            }
        return {
            table.name: self.rows[month_folder(table)].get(month, 0) for table in self.star.monthly_tables
        }
