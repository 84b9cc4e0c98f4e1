"""The load target for a lake: new partitions next to other months' rows, SCD type 1 tables from each month's latest rows, and files.

Which steps a load takes, and how an engine builds tables, do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import select_by_month, touched_keys_table
from scx_pipeline.errors import LakeError
from scx_pipeline.history.check_result import Rows
from scx_pipeline.lake.build.lake_engine import LakeSession
from scx_pipeline.lake.build.row_counts import write_row_counts
from scx_pipeline.lake.format.layout import folder_tables, lake_schema, month_rows_of
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState
from scx_pipeline.lake.format.table_writer import write_table
from scx_pipeline.lake.format.transaction import LakeTransaction, NewFiles
from scx_pipeline.loading.checks.loaded_rows import MonthRows, select_loaded
from scx_pipeline.loading.targets.publish import has_same_rows
from scx_pipeline.loading.targets.target import LoadTarget, StagedPartition, StagingTarget
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.planning.selection import Selection
from scx_pipeline.warehouse.sql_text import names, quote

if TYPE_CHECKING:
    from scx_pipeline.loading.load_report import LoadReport


class LakeTarget(LoadTarget):
    """A star's tables in a lake, within one transaction: built by a session, written by `record`, and listed in `after`."""

    def __init__(self, compiled: CompiledStar, transaction: LakeTransaction, session: LakeSession) -> None:
        self.compiled, self.star = compiled, compiled.star
        self.transaction, self.session = transaction, session
        self.relations, self.batch_files = session, session.batch_files
        self.before: Manifest = transaction.before
        self.after: Manifest = transaction.before
        self.new: list[NewFiles] = []
        self.unchanged: set[str] = set()  # unpartitioned tables whose rows equal those of their files
        # By table, the scopes that were built and their names in the session.
        self.partitions: dict[str, list[tuple[LoadScope, str]]] = {}
        self.refreshing = False
        self.schema = self.star.schema_name

    def new_load_id(self) -> str:
        return self.transaction.run

    def read_months(self) -> Mapping[Month, MonthState]:
        return self.before.month_states

    # Preparing

    def prepare(self, scope: LoadScope, names: Collection[str]) -> None:
        self.refreshing = scope is UNPARTITIONED
        self._check_columns(scope, names)
        for table in self._needed_tables(scope):
            if table.name not in names:
                files = self.before.select_files(table.name)
                self.session.create_view(table.name, self._scan(table, files, table.columns))

    def _needed_tables(self, scope: LoadScope) -> Iterable[Table]:
        """Return the tables that a load may query: of months, all unpartitioned tables; else, also what rebuilt months need."""
        if scope is not UNPARTITIONED:
            return self.star.unpartitioned_tables
        # Rebuilt months are checked as well: their inputs, the tables they reference, and the tables that reference them.
        rebuilt = self.compiled.downstream({table.name for table in self.compiled.unpartitioned_dependents()})
        needed = {table.name for table in self.star.unpartitioned_tables} | rebuilt
        referencing = {
            table.name
            for table in self.star.monthly_tables
            if any(column.references in needed for column in table.columns)
        }
        for name in rebuilt:
            table = self.star.table(name)
            needed |= self.compiled.inputs_of(table) | {c.references for c in table.columns if c.references}
        return [table for table in self.star.tables if table.name in needed | referencing]

    def _check_columns(self, scope: LoadScope, names: Collection[str]) -> None:
        """Raise LakeError if files that a build reads, or leaves in place, do not match the current declaration."""
        for table in self.star.tables:
            if scope is UNPARTITIONED and not table.is_unpartitioned:
                continue  # months built from another declaration are due anyway, and nothing reads them here
            for folder, stored in folder_tables(self.compiled, table).items():
                if table.name in names and (scope is UNPARTITIONED or not stored.is_partitioned):
                    continue  # all of it is replaced
                kept = (
                    self.before.select_files(folder)
                    if scope is UNPARTITIONED
                    else self.before.files_outside(folder, scope)
                )
                if kept and self.before.schemas.get(folder) != lake_schema(stored):
                    part = kept[0].month or "it"
                    raise LakeError(
                        f"{table.name} in {self.transaction.store.url} does not match its declaration in star {self.star.name} "
                        f"(columns or folders), and {part} is outside this build: run `scx lake build {self.star.name} --all` "
                        "to rebuild it"
                    )

    def _scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        if not files:
            return f"SELECT * FROM (SELECT {', '.join(map(self._null, columns))}) AS empty WHERE 1 = 0"
        return self.session.scan(table, files, columns)

    def _qualified(self, name: str) -> str:
        return f"{quote(self.schema)}.{quote(name)}"

    # Building

    @contextmanager
    def stage(self, sources: Sequence[Source], table: Table, scope: LoadScope) -> Iterator[StagingTarget]:
        with self.session.stage(table, scope, self._partition_name(table)) as stage:
            yield stage

    def publish_staged(self, table: Table, scope: LoadScope, partition: StagedPartition) -> None:
        partition.finish()
        self._add_partition(table, scope, self._partition_name(table))

    def _partition_name(self, table: Table) -> str:
        return f"{table.name}__partition{len(self.partitions.get(table.name, []))}"

    def derive(self, table: Table, scope: LoadScope) -> int | None:
        if table.is_unpartitioned:
            return self._derive_unpartitioned(table)
        assert scope is not UNPARTITIONED
        select = self.compiled.select_sql(table, scope, self.session.capabilities)
        if table.is_partitioned:
            name = self._partition_name(table)
            self.session.materialize(name, f"SELECT {names(table.column_names)} FROM ({select}) AS q")
            self._add_partition(table, scope, name)
        else:
            self._derive_latest(table, scope, select)
        return None

    def _add_partition(self, table: Table, scope: LoadScope, name: str) -> None:
        """Define the table as a view of its new partitions, plus those columns of other months that checks may query."""
        partitions = self.partitions.setdefault(table.name, [])
        partitions.append((scope, name))
        columns = names(table.column_names)
        selects = [f"SELECT {columns} FROM {self._qualified(part)}" for _, part in partitions]
        built = [scope for scope, _ in partitions if scope is not UNPARTITIONED]
        files = self.before.select_files(table.name)
        others = [item for item in files if not any(item.month in scope for scope in built)]
        if built and others and (table.key or self.refreshing):
            selects.append(self._select_others(table, others))
        self.session.create_view(table.name, " UNION ALL ".join(selects))

    def _select_others(self, table: Table, files: Sequence[DataFile]) -> str:
        """Return a SELECT of the rows of other months; a load of months needs only their keys and event times."""
        needed = {*table.key, table.event_time}
        columns = [column for column in table.columns if self.refreshing or column.name in needed]
        listed = ", ".join(
            quote(column.name) if column in columns else self._null(column) for column in table.columns
        )
        return f"SELECT {listed} FROM ({self._scan(table, files, columns)}) AS others"

    def _null(self, column: Column) -> str:
        return f"CAST(NULL AS {self.session.engine_type(column)}) AS {quote(column.name)}"

    def _derive_latest(self, table: Table, scope: MonthRange, select: str) -> None:
        (folder, stored), session = month_rows_of(self.compiled, table), self.session
        ordering = session.ordering(table, self.compiled.output_types(table))
        by_month = select_by_month(session, stored, table, select)
        columns = names(stored.column_names)
        latest_by_month = session.select_latest(by_month, stored.key, ordering)
        session.materialize(stored.name, f"SELECT {columns} FROM ({latest_by_month}) AS q")
        new = f"SELECT {columns} FROM {self._qualified(stored.name)}"
        others = self._scan(stored, self.before.files_outside(folder, scope), stored.columns)
        keys = [stored.column(name) for name in table.key]
        before = self._scan(stored, self.before.select_files(folder, scope), keys)
        latest = session.select_latest(f"{new} UNION ALL {others}", table.key, ordering)
        session.materialize(table.name, f"SELECT {names(table.column_names)} FROM ({latest}) AS q")
        key = names(table.key)
        touched = f"SELECT {key} FROM ({new}) AS new_rows UNION SELECT {key} FROM ({before}) AS old_rows"
        session.create_temporary(touched_keys_table(table), touched)

    def _derive_unpartitioned(self, table: Table) -> int:
        select = self.compiled.select_sql(table, UNPARTITIONED, self.session.capabilities)
        ordering = self.session.ordering(table, self.compiled.output_types(table))
        latest = self.session.select_latest(select, table.key, ordering)
        listed = names(table.column_names)
        self.session.materialize(table.name, f"SELECT {listed} FROM ({latest}) AS q")
        files = self.before.select_files(table.name)
        current = self._scan(table, files, table.columns)
        new = f"SELECT {listed} FROM {self._qualified(table.name)}"
        if files and has_same_rows(self.session, table.columns, new, current):
            self.unchanged.add(table.name)
            return 0
        return 1

    def loaded_rows(self, table: Table, scope: LoadScope) -> str:
        return select_loaded(self.compiled, table, scope)

    def month_rows(self, table: Table) -> MonthRows:
        _, stored = month_rows_of(self.compiled, table)
        return MonthRows(self._qualified(stored.name), stored.event_time_column)

    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        """Return the row counts in the manifest: those of the tables that this load builds are counted by its checks."""
        return {
            month: self.before.months[month].rows.get(table.name, 0) if month in self.before.months else 0
            for month in scope
        }

    def matches_declaration(self, tables: Sequence[Table]) -> bool:
        return all(self.before.schemas.get(table.name) == lake_schema(table) for table in tables)

    # Recording

    def record(self, report: LoadReport, selection: Selection | None) -> None:
        for name in report.tables:
            self._write(self.star.table(name), report.scope)
        if selection is not None:
            self.new += write_row_counts(
                self.transaction, self.star.name, report.load_id, report.ingest_results, selection
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = {name: table.rows for name, table in report.tables.items()}
        if report.scope is UNPARTITIONED:
            assert selection is not None
            state = MonthState(selection.unpartitioned_fingerprint, self.compiled.unpartitioned_version)
            counts = {name: sum(found.values()) for name, found in rows.items()}
            self.after = replace(
                self.after, unpartitioned=PartitionState(state, self.transaction.run, now, counts)
            )
            return
        months = dict(self.after.months)
        for month in report.scope:
            counts = {name: found.get(month, 0) for name, found in rows.items()}
            if selection is not None:
                state = MonthState(selection.fingerprint(month), self.compiled.version)
                months[month] = PartitionState(state, self.transaction.run, now, counts)
            else:
                before = months[month]
                rows_now = {**before.rows, **counts}
                months[month] = replace(before, run=self.transaction.run, written_at=now, rows=rows_now)
        self.after = replace(self.after, months=months)

    def _write(self, table: Table, scope: LoadScope) -> None:
        months = None if scope is UNPARTITIONED else scope
        if table.name not in self.unchanged:
            for folder, stored in folder_tables(self.compiled, table).items():
                files, _ = write_table(self.transaction, self.session, self.schema, stored, folder, months)
                self.new.append(files)

    def record_stale_months(self, load_id: str, stale: Mapping[Month, str]) -> None:
        self.after = replace(self.after, stale={month: (reason, load_id) for month, reason in stale.items()})

    def add_stale_months(self, load_id: str, stale: Mapping[Month, str]) -> None:
        added = {month: (reason, load_id) for month, reason in stale.items()}
        self.after = replace(self.after, stale={**self.after.stale, **added})

    def clear_stale(self, scope: MonthRange) -> None:
        kept = {month: reason for month, reason in self.after.stale.items() if month not in scope}
        self.after = replace(self.after, stale=kept)
