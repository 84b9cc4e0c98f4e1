"""The load target of additions: rows of new objects are added to months that are loaded already.

Deciding whether a month differs from its last load by additions only does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from scx_pipeline.declarations.added_rows import AddedRows
from scx_pipeline.declarations.latest_rows import shorten
from scx_pipeline.errors import PipelineError
from scx_pipeline.history.check_result import Rows
from scx_pipeline.history.history_reader import read_month_rows
from scx_pipeline.loading.checks.loaded_rows import MonthRows
from scx_pipeline.loading.targets import publish
from scx_pipeline.loading.targets.target import StagedPartition, StagingTarget
from scx_pipeline.loading.targets.warehouse_target import BufferStagingTarget, WarehouseTarget
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.scratch_database import ScratchDatabase, open_scratch_database
from scx_pipeline.warehouse.sql_text import names


class FullReadRequiredError(PipelineError):
    """The rows of new objects cannot just be added to the others of their months."""


class AdditionsTarget(WarehouseTarget):
    """A star's tables in a warehouse, to which rows are added within one transaction.

    The new rows are parsed in a scratch database and copied to a temporary table. From there, they are added to the staging
    table and, by its SELECT, to each derived table; a table whose SELECT does not work row by row is built again for the
    months of the load. The checks look at the added rows.

    Raises:
        FullReadRequiredError: by any method, if a key of the new rows exists already, or a table must be rebuilt.
    """

    def __init__(self, target: WarehouseTarget, limits: Limits) -> None:
        super().__init__(target.declared, target.session, target.batch_files)
        self.limits, self.has_held_months = limits, target.has_held_months
        self.scratch: dict[str, ScratchDatabase] = {}  # by staging table
        self.added: dict[str, str] = {}  # the temporary tables of the added rows, by table
        self.before: dict[str, Rows] = {}  # by table with added rows
        self.rebuilt: set[str] = set()  # derived tables that were built again: keys may be gone

    def prepare(self, scope: LoadScope, names: Collection[str]) -> None:
        if not self.matches_declaration(self.star.tables):
            raise FullReadRequiredError("tables must be created or rebuilt")
        super().prepare(scope, names)
        assert scope is not UNPARTITIONED
        for table in self.star.tables:
            if table.is_partitioned and table.name in names:
                self.before[table.name] = read_month_rows(self.session, self.star.name, table.name, scope)
        for table in self.star.staging_tables:
            if table.name in self.before and not all(self.before[table.name].get(month) for month in scope):
                raise FullReadRequiredError(f"a month has no rows in {table.name}")

    @contextmanager
    def stage(self, sources: Sequence[Source], table: Table, scope: LoadScope) -> Iterator[StagingTarget]:
        schema = self.star.schema_name
        with open_scratch_database(self.limits) as scratch:
            scratch.create_table(schema, table)
            with scratch.tables.open_staging_buffer(schema, table, scope) as buffer:
                self.scratch[table.name] = scratch
                yield BufferStagingTarget(buffer, table, scope)

    def publish_staged(self, table: Table, scope: LoadScope, partition: StagedPartition) -> None:
        partition.finish()
        scratch, added = self.scratch[table.name], _added_table(table)
        scratch.create_temporary(
            added, f"SELECT {names(table.column_names)} FROM {self.compiled.full_name(table)}"
        )
        self.session.copy_rows(scratch, added, table.columns)
        self._add(table)

    def derive(self, table: Table, scope: LoadScope) -> int | None:
        assert scope is not UNPARTITIONED
        monthly = [
            name for name in self.compiled.inputs_of(table) if not self.star.table(name).is_unpartitioned
        ]
        kind = self.compiled.added_rows(table)
        # A month without rows may lack its partition.
        is_empty = table.is_partitioned and not all(self.before[table.name].get(month) for month in scope)
        if kind is AddedRows.REBUILD or is_empty or not self.added.keys() >= set(monthly):
            self.rebuilt.add(table.name)
            return super().derive(table, scope)
        select = self.compiled.select_added_sql(table, scope, self.session.capabilities, self.added)
        if kind is AddedRows.LATEST:
            publish.merge_latest(self.session, self.compiled, table, select)
            return None
        added, typed = _added_table(table), self.session.typed_columns(table.columns)
        self.session.create_temporary(added, f"SELECT {typed} FROM ({select}) AS q")
        if kind is AddedRows.MERGE:
            self.session.analyze(added)
            publish.delete_existing(self.session, self.compiled, table, added)
        self._add(table)
        return None

    def _add(self, table: Table) -> None:
        """Add the rows of a table's temporary table, unless one of their keys exists already."""
        added, stored = _added_table(table), self.compiled.stored_table(table)
        self.session.analyze(added)
        if table.key:
            key, target = names(table.key), self.compiled.full_name(table)
            condition = f"({key}) IN (SELECT {key} FROM {added})"
            if self.session.rows(f"SELECT 1 FROM {target} WHERE {condition} LIMIT 1"):
                raise FullReadRequiredError(f"a new row of {table.name} has a key that exists already")
        self.session.tables.insert(self.star.schema_name, stored, f"SELECT * FROM {added}")
        self.added[table.name] = added

    def rows_before(self, table: Table) -> Rows:
        return self.before[table.name] if table.name in self.added else {}

    def loaded_rows(self, table: Table, scope: LoadScope) -> str:
        if table.name in self.added and self.rebuilt.isdisjoint(
            column.references for column in table.columns
        ):
            return self.added[table.name]
        return super().loaded_rows(table, scope)

    def month_rows(self, table: Table) -> MonthRows:
        if table.name in self.added:
            return MonthRows(self.added[table.name], table.event_time_column)
        return super().month_rows(table)


def _added_table(table: Table) -> str:
    return shorten(f"_added_{table.name}")
