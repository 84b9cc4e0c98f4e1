"""An unload: a star's tables out of the warehouse into the lake, with their history, all as one commit left them.
How an engine writes files is in `warehouse`, how they lie in `layout`, how they take the older ones' place in `commit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scx_pipeline.history import load_history
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.commit import NewFiles, LakeTransaction, begin, commit, give_up
from scx_pipeline.lake.format.layout import ACCOUNTS, all_in, months_in, shape_of
from scx_pipeline.lake.format.manifest import DataFile, PartitionState, Manifest
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.table_writer import Counts, look, write_table
from scx_pipeline.model.table import Table
from scx_pipeline.model.calendar import Month, MonthRange, contiguous_ranges
from scx_pipeline.warehouse.warehouse import Warehouse
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, names, qualified
from scx_pipeline.warehouse.export import Unload


@dataclass(frozen=True)
class UnloadedTable:
    """What was written of a table."""

    name: str
    months: tuple[Month, ...] | None  # None: it is not kept by month
    files: int
    rows: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        months = None if self.months is None else [str(month) for month in self.months]
        return {
            "table": self.name,
            "months": months,
            "files": self.files,
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
    """What an unload is of: a star in a warehouse, and months of the tables that have months, None for all."""

    compiled: CompiledStar
    warehouse: Warehouse
    scope: MonthRange | None = None
    progress: Callable[[str], None] = lambda message: None

    def run(self, url: str) -> Unloaded:
        """Write the tables into the lake at a URL, in the place of what is there of them.

        Raises PipelineError, and then the lake is as it was.
        """
        transaction = begin(self._open(url), self.compiled.star.name, self.warehouse.notify)
        try:
            with self.warehouse.reading() as session:
                session.begin()  # so that all queries see the same commit
                unload = _Unload(self, session, transaction)
                unload.write()
            self.progress("putting files in their places")
            commit(transaction, unload.new, unload.after())
        except BaseException:
            give_up(transaction, self.warehouse.notify)
            raise
        return Unloaded(transaction.place.url, transaction.run, unload.told)

    def _open(self, url: str) -> LakeStore:
        needed = self.warehouse.capabilities.writes_to
        if not url.startswith(needed):
            raise LakeError(
                f"the lake is {url}, where {self.warehouse.url} cannot write: set SCX_LAKE_URL (or --lake) to {needed}bucket/prefix"
            )
        return open_lake_store(url, self.compiled.star.name)


class _Unload:
    """An unload while it runs."""

    def __init__(self, unloader: Unloader, session: Session, transaction: LakeTransaction) -> None:
        self.compiled, self.scope, self.progress = unloader.compiled, unloader.scope, unloader.progress
        self.star = unloader.compiled.star
        self.session, self.transaction = session, transaction
        self.new: list[NewFiles] = []
        self.told: list[UnloadedTable] = []
        self.rows: dict[str, Counts] = {}

    def write(self) -> None:
        """Write all that goes into the lake into the run's own folder."""
        self.months = load_history.read_months(self.session, self.star.name)
        self.unpartitioned = load_history.read_unpartitioned(self.session, self.star.name)
        self.stale = load_history.read_stale(self.session, self.star.name)
        self._check_kept()
        for table in self.star.tables:
            self.progress(table.name)
            self._check(table)
            for folder, held in all_in(self.compiled, table).items():
                files = self._write(held, folder, self.star.schema_name if held is table else STATE_SCHEMA)
                if held is table:
                    self._tell(table, files)
        for account in (load_history.OBJECTS, load_history.REJECTED):
            self._account(account)

    def _check_kept(self) -> None:
        """Raise LakeError where months are wanted whose staging rows were removed: the lake would have half of them."""
        name = self.star.name
        tables = [table.name for table in self.star.staging if table.partitioned]
        purged = set().union(*load_history.read_purged(self.session, name, tables).values())
        gone = sorted(month for month in purged if self.scope is None or month in self.scope)
        if not gone:
            return
        kept = [scope for scope in contiguous_ranges(list(self.months)) if scope.last > gone[-1]]
        first = gone[-1].shift(1)
        others = f", or unload the others: --from {first} --to {kept[-1].last}" if kept else ""
        raise LakeError(
            f"{', '.join(map(str, contiguous_ranges(gone)))} of {name} cannot be unloaded, as their staging rows are not kept any more "
            f"(SCX_KEEP_STAGING_MONTHS): run `scx load {name} --from {gone[0]} --to {gone[-1]}`, which brings them back{others}"
        )

    def _write(self, table: Table, name: str, schema: str) -> Sequence[DataFile]:
        new, self.rows[name] = write_table(self.transaction, self.session, schema, table, name, self.scope)
        self.new.append(new)
        return new.files

    def _tell(self, table: Table, files: Sequence[DataFile]) -> None:
        counts = self.rows[table.name]
        months = tuple(sorted(month for month in counts if month)) if table.partitioned else None
        size = sum(item.bytes for item in files)
        self.told.append(UnloadedTable(table.name, months, len(files), sum(counts.values()), size))

    def _account(self, account: Table) -> None:
        """Write what the load history knows of the star's objects, or of its rejected rows."""
        select = f"SELECT {names(account.column_names)} FROM {qualified(STATE_SCHEMA, account)} WHERE star = '{self.star.name}'"
        [(count,)] = self.session.rows(f"SELECT COUNT(*) FROM ({select}) AS q")
        name = f"{ACCOUNTS}/{account.name}"
        if count:
            self.session.unload(Unload(select, account.columns, (), self.transaction.url_of(name)))
        files = look(self.transaction, name, account.columns, {None: int(count)})
        self.new.append(NewFiles(name, None, files, shape_of(account)))

    def _check(self, table: Table) -> None:
        """Raise LakeError for a table that is not as it is declared."""
        session, schema = self.session, self.star.schema_name
        if not session.existing_columns(schema, table.name) or session.differs(schema, table):
            raise LakeError(
                f"{schema}.{table.name} does not stand as it is declared: run `scx load {self.star.name}` first"
            )

    def after(self) -> Manifest:
        """What stands in the lake, its files aside."""
        before, now = self.transaction.before, datetime.now(UTC).isoformat(timespec="seconds")
        scope = self.scope
        months = {month: made for month, made in before.months.items() if scope and month not in scope}
        stale = {month: why for month, why in before.stale.items() if scope and month not in scope}
        for month, state in self.months.items():
            if scope is None or month in scope:
                months[month] = PartitionState(state, self.transaction.run, now, self._rows_of(month))
        stale |= {month: why for month, why in self.stale.items() if scope is None or month in scope}
        unpartitioned = PartitionState(self.unpartitioned, self.transaction.run, now, self._rows_of(None)) if self.unpartitioned else None
        return replace(before, months=months, unpartitioned=unpartitioned, stale=stale)

    def _rows_of(self, month: Month | None) -> dict[str, int]:
        """How many rows a month gives to each of the tables with months; None: those of the tables without."""
        if month is None:
            return {table.name: self.rows[table.name].get(None, 0) for table in self.star.unpartitioned}
        return {table.name: self.rows[months_in(table)].get(month, 0) for table in self.star.monthly}
