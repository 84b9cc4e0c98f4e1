"""The load target of a load from the lake: fills a warehouse's tables from the lake's files and reads its load history.

Which steps a load takes does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.errors import LakeError
from scx_pipeline.history.history_reader import read_recorded_objects
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.lake.format.data_files import LakeFiles, translate_read_errors
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import HISTORY_FOLDER, month_rows_of
from scx_pipeline.lake.format.manifest import Manifest
from scx_pipeline.lake.load.load_plan import state_of
from scx_pipeline.loading import publish
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.warehouse_target import WarehouseTarget
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import Selection, select_objects
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, in_month_range, names, qualified

if TYPE_CHECKING:
    import pyarrow as pa

NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # the load history does not record when an object was written


class LakeSource(WarehouseTarget):
    """A star's tables in a warehouse, loaded from a lake."""

    def __init__(
        self, compiled: CompiledStar, session: Session, store: LakeStore, manifest: Manifest
    ) -> None:
        super().__init__(compiled, session, 0)
        self.store, self.manifest = store, manifest

    def load_table(self, table: Table, scope: LoadScope) -> None:
        """Replace a table's rows of the scope with those in the lake. Raises LakeError if a file is missing or damaged."""
        if table.is_partitioned or table.is_unpartitioned:
            self._load_files(self.star.schema_name, self.compiled.stored_table(table), table.name, scope)
            return
        assert scope is not UNPARTITIONED
        replace_rows = partial(self._load_month_rows, table, scope)
        publish.publish_latest(self.session, self.compiled, table, scope, replace_rows)

    def _load_month_rows(self, table: Table, scope: MonthRange) -> None:
        folder, stored = month_rows_of(self.compiled, table)
        self._load_files(STATE_SCHEMA, stored, folder, scope)
        key = names(stored.key)
        rows = f"{qualified(STATE_SCHEMA, stored)} WHERE {in_month_range(stored.event_time_column, scope)}"
        duplicates = self.session.rows(f"SELECT {key} FROM {rows} GROUP BY {key} HAVING COUNT(*) > 1 LIMIT 1")
        if duplicates:
            month, *values = duplicates[0]
            text = ", ".join(f"{name} {value}" for name, value in zip(table.key, values, strict=True))
            raise LakeError(
                f"{self.store.url}/{folder}: duplicate key {text} in {Month.of(month)}; nothing was changed: "
                f"run `scx lake build {self.star.name} --month {Month.of(month)}`"
            )
        touched = f"SELECT DISTINCT {names(table.key)} FROM {rows}"
        self.session.execute(f"INSERT INTO {touched_keys_table(table)} {touched}")

    def _load_files(self, schema: str, table: Table, folder: str, scope: LoadScope) -> None:
        months = None if scope is UNPARTITIONED else scope
        files = LakeFiles(self.store, table, self.manifest.select_files(folder, months))
        with translate_read_errors(files):
            self.session.tables.load_parquet(schema, table, scope, files)

    def read_history(
        self, table: Table, columns: Sequence[str], sources: Collection[str]
    ) -> list[tuple[object, ...]]:
        """Read columns of the load history in the lake: of the sources' objects, or of their rejected rows."""
        import pyarrow.compute as pc

        listed = self.manifest.select_files(f"{HISTORY_FOLDER}/{table.name}")
        files = LakeFiles(self.store, table, listed)
        rows: list[tuple[object, ...]] = []
        with translate_read_errors(files):
            for batch in files.batches([table.column(name) for name in ("source", *columns)]):
                found = batch.filter(pc.is_in(batch.column("source"), _text_array(sources)))
                rows += zip(*(column.to_pylist() for column in found.columns), strict=True)
        return rows

    def record(
        self, report: LoadReport, ingest_result: Sequence[IngestResult], selection: Selection | None
    ) -> None:
        if report.scope is not UNPARTITIONED and selection is not None:
            selection = self._with_unknown_objects(report.scope, selection)
        super().record(report, ingest_result, selection)

    def _with_unknown_objects(self, scope: MonthRange, selection: Selection) -> Selection:
        """Add the warehouse's objects of months that differ from the lake to the selection.

        The lake does not know these objects, so their absence from it does not mean that they were deleted.
        """
        differing = [
            month
            for month, state in self.read_months().items()
            if month not in scope and state != state_of(self.manifest.months.get(month))
        ]
        if not differing:
            return selection
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in selection.listed_sources}
        present = {(item.source, item.info.key) for item in selection.objects}
        known = read_recorded_objects(self.session, self.star.name, sorted(selection.listed_sources))
        for source, key, etag, size in known:
            if (source, key) not in present:
                listing[source].append(ObjectInfo(key, size, etag, NEVER))
        others = select_objects(self.star.sources, listing).objects
        kept = [item for item in others if any(item.may_contain(month) for month in differing)]
        return replace(selection, objects=(*selection.objects, *kept))


def _text_array(values: Collection[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(sorted(values), pa.string())
