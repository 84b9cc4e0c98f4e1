"""A load's tables in a warehouse: landings, derived tables and the load history, through one session.
What a load does, and in which order, is in `load`; how an engine does it, in `warehouse`."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history import load_history
from scx_pipeline.history.check_result import Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading import prepare, publish
from scx_pipeline.loading.checks import RowScan
from scx_pipeline.loading.ingest import IngestJob, may_pass
from scx_pipeline.loading.target import LoadTarget, StagingTarget
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import MonthState, SelectedObject, Selection
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import in_scope
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

if TYPE_CHECKING:
    from scx_pipeline.loading.load_report import LoadReport


class WarehouseTables(LoadTarget):
    """A star's tables in a warehouse, within one transaction."""

    def __init__(self, compiled: CompiledStar, session: Session, batch_files: int) -> None:
        self.declared, self.compiled, self.star, self.session = compiled, compiled, compiled.star, session
        self.relations, self.batch_files = session, batch_files

    def new_load_id(self) -> str:
        return uuid.uuid4().hex

    def months(self) -> Mapping[Month, MonthState]:
        return load_history.read_months(self.session, self.star.name)

    def purged(self, tables: Collection[str]) -> Collection[Month]:
        return set().union(*load_history.read_purged(self.session, self.star.name, tables).values())

    def prepare(self, scope: LoadScope, names: Collection[str]) -> None:
        self.compiled = prepare.prepare_tables(self.session, self.declared, scope, names)

    def swap(self) -> None:
        prepare.swap_rebuilt(self.session, self.declared, self.compiled)

    @contextmanager
    def stage(self, source: Source, table: Table, scope: LoadScope) -> Iterator[StagingTarget]:
        passes = may_pass(source) and self.compiled.stands_alone(table)
        opened = self.session.streaming_buffer if passes else self.session.staging_buffer
        with opened(self.star.schema_name, self.compiled.stored(table), scope) as buffer:
            yield BufferStaging(buffer, table, scope)

    def rejecting(self, source: Source) -> Collection[tuple[str, str]]:
        return load_history.rejecting_objects(self.session, self.star.name, source.name)

    def begin(self) -> None:
        self.session.begin()

    def derive(self, table: Table, scope: LoadScope) -> int | None:
        return publish.publish_table(self.session, self.compiled, table, scope)

    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        return publish.count_rows(self.session, self.compiled, table, scope)

    def matches_declaration(self, tables: Sequence[Table]) -> bool:
        return prepare.matches_declaration(self.session, self.declared, tables)

    def record(
        self, report: LoadReport, ingest_result: Sequence[IngestResult], selection: Selection | None
    ) -> None:
        session, name, load_id = self.session, self.star.name, report.load_id
        if selection is not None:
            counts = [count for item in ingest_result for count in item.counts]
            record = load_history.LoadRecord(load_id, report.scope, report.run_id, report.started_at, counts)
            load_history.record_load(session, self.compiled, record, selection)
            load_history.record_rejected(session, name, load_id, ingest_result)
        rows = {table: made.rows for table, made in report.tables.items()}
        load_history.record_rows(session, name, load_id, rows)
        load_history.record_checks(session, name, load_id, report.checks)

    def record_stale(self, load_id: str, stale: Mapping[Month, str]) -> None:
        load_history.record_stale(self.session, self.star.name, load_id, stale)

    def forget_stale(self, scope: MonthRange) -> None:
        load_history.forget_stale(self.session, self.star.name, scope)


class BufferStaging(StagingTarget):
    """A staging table's slice that lands in a warehouse."""

    def __init__(self, buffer: StagingBuffer, table: Table, scope: LoadScope) -> None:
        self.staging_buffer, self.table, self.scope = buffer, table, scope
        self.superseded: str | None = None
        self.scanned = RowScan(table, scope) if buffer.is_streaming else None

    def ingest(self, job: IngestJob, objects: Sequence[SelectedObject]) -> IngestResult:
        load_history.check_keys(objects)
        ingest_result = replace(job, inspect=self._inspect).run(objects, self.staging_buffer)
        self.superseded = ingest_result.superseded
        return ingest_result

    def _inspect(self, buffer: StagingBuffer) -> None:
        """Check a batch's rows now, before its flush, where they leave then."""
        if self.scanned is not None:
            part = f"(SELECT * FROM {buffer.rows} WHERE {in_scope(self.table, self.scope)})"
            sql = self.scanned.sql(part, buffer.full_columns())
            self.scanned.add(buffer.con.execute(sql).fetchall())

    def finish(self) -> None:
        self.staging_buffer.finish(self.superseded)
