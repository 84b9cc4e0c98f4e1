"""The tables of a load in a warehouse: staging buffers, derived tables and the load history, through one session.

The order of a load's steps does not belong here, nor does what differs between engines.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history import held_records, history_reader, history_writer
from scx_pipeline.history.check_result import Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.history.state_tables import STATE_TABLES
from scx_pipeline.loading import schema_drift
from scx_pipeline.loading.checks.loaded_rows import MonthRows, select_loaded
from scx_pipeline.loading.checks.row_scan import RowScan
from scx_pipeline.loading.held_months import HeldMonths
from scx_pipeline.loading.ingest.batch_reader import can_stream
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.ingest.ingest_objects import ingest_objects
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.targets import prepare, publish
from scx_pipeline.loading.targets.latest_row_collector import LatestRowCollector
from scx_pipeline.loading.targets.target import LoadTarget, StagingTarget
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.table_records import create_shared_objects
from scx_pipeline.planning.added_objects import RecordedObject
from scx_pipeline.planning.changed_months import HeldMonth, MonthState
from scx_pipeline.planning.selection import Selection
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, scope_condition
from scx_pipeline.warehouse.staging_buffer import StagingBuffer
from scx_pipeline.warehouse.warehouse import Warehouse


class WarehouseTarget(LoadTarget):
    """A star's tables in a warehouse, within one transaction."""

    def __init__(self, compiled: CompiledStar, session: Session, batch_files: int) -> None:
        self.declared, self.compiled, self.star, self.session = compiled, compiled, compiled.star, session
        self.relations, self.batch_files = session, batch_files
        self.has_held_months = False  # as far as `read_held` has found
        # By SCD type 1 table, the temporary table of its latest rows that were collected while their input was staged.
        self.collected: dict[str, str] = {}

    def new_load_id(self) -> str:
        return uuid.uuid4().hex

    def read_months(self) -> Mapping[Month, MonthState]:
        return history_reader.read_month_states(self.session, self.star.name)

    def read_stale(self) -> Collection[Month]:
        return history_reader.read_stale_months(self.session, self.star.name)

    def read_objects(self) -> Mapping[tuple[str, str], RecordedObject]:
        return history_reader.read_loaded_objects(self.session, self.star.name)

    def read_purged_months(self, tables: Collection[str]) -> Collection[Month]:
        return set().union(*history_reader.read_purged_months(self.session, self.star.name, tables).values())

    def prepare(self, scope: LoadScope, names: Collection[str]) -> None:
        self.compiled = prepare.prepare_tables(self.session, self.declared, scope, names)

    def swap_rebuilt(self) -> None:
        prepare.swap_rebuilt(self.session, self.declared, self.compiled)

    @contextmanager
    def stage(self, sources: Sequence[Source], table: Table, scope: LoadScope) -> Iterator[StagingTarget]:
        open_buffer = (
            self.session.tables.open_streaming_buffer
            if can_stream(sources) and self.compiled.can_derive_from_batches(table)
            else self.session.tables.open_staging_buffer
        )
        with open_buffer(self.star.schema_name, self.compiled.stored_table(table), scope) as buffer:
            collectors = self._open_collectors(buffer, table, scope)
            yield BufferStagingTarget(buffer, table, scope, [*collectors.values()])
            self.collected |= {
                name: collector.copy_to(self.session) for name, collector in collectors.items()
            }

    def _open_collectors(
        self, buffer: StagingBuffer, table: Table, scope: LoadScope
    ) -> Mapping[str, LatestRowCollector]:
        """Return the collectors of what is derived from a table whose rows the buffer does not keep."""
        if not buffer.is_streaming or scope is UNPARTITIONED:
            return {}
        derived = self.compiled.derived_from(table)
        return {item.name: LatestRowCollector(self.compiled, item, scope, buffer) for item in derived}

    def read_objects_with_rejects(self, source: Source) -> Collection[tuple[str, str]]:
        return history_reader.read_objects_with_rejects(self.session, self.star.name, source.name)

    def begin(self) -> None:
        self.session.begin()

    def derive(self, table: Table, scope: LoadScope) -> int | None:
        if table.name not in self.collected:
            return publish.publish_table(self.session, self.compiled, table, scope)
        assert scope is not UNPARTITIONED
        rows = self.collected[table.name]
        publish.publish_month_rows(self.session, self.compiled, table, scope, rows)
        return None

    def loaded_rows(self, table: Table, scope: LoadScope) -> str:
        return select_loaded(self.compiled, table, scope)

    def month_rows(self, table: Table) -> MonthRows:
        return publish.month_rows(self.compiled, table)

    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        return publish.count_rows(self.session, self.compiled, table, scope)

    def matches_declaration(self, tables: Sequence[Table]) -> bool:
        return schema_drift.matches_declaration(self.session, self.declared, tables)

    def record(self, report: LoadReport, selection: Selection | None) -> None:
        session, name, load_id = self.session, self.star.name, report.load_id
        if selection is not None:
            counts = [count for item in report.ingest_results for count in item.counts]
            record = history_writer.LoadRecord(
                load_id, report.scope, report.run_id, report.started_at, counts
            )
            history_writer.record_load(session, self.compiled, record, selection)
            history_writer.record_rejected(session, name, load_id, report.ingest_results)
        rows = {table: item.rows for table, item in report.tables.items()}
        history_writer.record_rows(session, name, load_id, rows)
        history_writer.record_checks(session, name, load_id, report.checks)

    def read_held(self) -> Mapping[Month, HeldMonth]:
        self.has_history = held_records.has_history(self.session)
        found = held_records.select_held_months(self.session, self.star.name) if self.has_history else {}
        self.has_held_months = bool(found)
        return found

    def record_held(self, report: LoadReport, scope: MonthRange, held: HeldMonths | None) -> None:
        if self.has_held_months:
            counts = [count for item in report.ingest_results for count in item.counts]
            read = [(count.object.source, count.object.info.key) for count in counts]
            held_records.clear_held_months(self.session, self.star.name, scope, read)
        elif not held or not held.months:
            return
        months, rejected = (held.recorded, held.rejected) if held else ({}, {})
        held_records.record_held_months(self.session, self.star.name, report.load_id, months, rejected)

    def record_stale_months(self, load_id: str, stale: Mapping[Month, str]) -> None:
        history_writer.record_stale_months(self.session, self.star.name, load_id, stale)

    def add_stale_months(self, load_id: str, stale: Mapping[Month, str]) -> None:
        history_writer.add_stale_months(self.session, self.star.name, load_id, stale)

    def clear_stale(self, scope: MonthRange) -> None:
        history_writer.clear_stale(self.session, self.star.name, scope)


def record_failed_load(warehouse: Warehouse, compiled: CompiledStar, held: HeldMonths) -> None:
    """Record the months of a load that published nothing, with the rows that were rejected, in a transaction of its own."""

    def record(session: Session) -> None:
        found = session.catalog.list_columns(STATE_SCHEMA, [table.name for table in STATE_TABLES])
        create_shared_objects(session, compiled.star.schema_name, [(STATE_SCHEMA, name) for name in found])
        session.begin()
        held_records.record_held_months(
            session, compiled.star.name, uuid.uuid4().hex, held.recorded, held.rejected
        )

    warehouse.run(compiled.star.name, record)


class BufferStagingTarget(StagingTarget):
    """The partitions of a staging table that are loaded through a staging buffer."""

    def __init__(
        self,
        buffer: StagingBuffer,
        table: Table,
        scope: LoadScope,
        collectors: Sequence[LatestRowCollector] = (),
    ) -> None:
        self.staging_buffer, self.table, self.scope = buffer, table, scope
        self.collectors = collectors
        self.duplicate_keys_table: str | None = None
        self.row_scan = RowScan(table, scope) if buffer.is_streaming else None

    def ingest(self, jobs: Sequence[IngestJob]) -> IngestResult:
        history_writer.check_key_lengths([item for job in jobs for item in job.objects])
        ingest_result = ingest_objects(jobs, self.staging_buffer, self._inspect)
        self.duplicate_keys_table = ingest_result.duplicate_keys_table
        return ingest_result

    def _inspect(self, buffer: StagingBuffer) -> None:
        """Scan the rows of a batch before its flush, if the buffer does not keep them, and collect what is derived from them."""
        if self.row_scan is not None:
            part = f"(SELECT * FROM {buffer.rows} WHERE {scope_condition(self.table, self.scope)})"
            sql = self.row_scan.sql(part, buffer.columns_without_nulls())
            self.row_scan.add(buffer.con.execute(sql).fetchall())
        for collector in self.collectors:
            collector.add_batch()

    def finish(self) -> None:
        self.staging_buffer.finish(self.duplicate_keys_table)
