"""A warehouse's tables as a load from the lake fills them: slices out of files, month rows and the newest, and what is known of objects.
What a load does, and in which order, is in `loading`; how an engine takes files in, in `warehouse`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.errors import LakeError
from scx_pipeline.history import load_history
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.lake.format.data_files import LakeFiles, told
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import ACCOUNTS, stands_in
from scx_pipeline.lake.format.manifest import Manifest
from scx_pipeline.lake.load.load_plan import state_of
from scx_pipeline.loading import publish
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.warehouse_target import WarehouseTables
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import Selection, select_objects
from scx_pipeline.storage.bucket import ObjectInfo
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, in_month_range, names, qualified

if TYPE_CHECKING:
    import pyarrow as pa

NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # when an object was written is in no account


class LakeSource(WarehouseTables):
    """A star's tables in a warehouse, and the lake that they are filled from."""

    def __init__(
        self, compiled: CompiledStar, session: Session, place: LakeStore, manifest: Manifest
    ) -> None:
        super().__init__(compiled, session, 0)
        self.place, self.manifest = place, manifest

    def take(self, table: Table, scope: LoadScope) -> None:
        """Have a table's slice stand as it is in the lake. Raises LakeError where a file is gone or damaged."""
        if table.partitioned or table.unpartitioned:
            self._take(self.star.schema_name, self.compiled.stored(table), table.name, scope)
            return
        assert scope is not UNPARTITIONED
        replace_rows = partial(self._take_month_rows, table, scope)
        publish.publish_latest(self.session, self.compiled, table, scope, replace_rows)

    def _take_month_rows(self, table: Table, scope: MonthRange) -> None:
        folder, kept = stands_in(self.compiled, table)
        self._take(STATE_SCHEMA, kept, folder, scope)
        key, rows = (
            names(table.key),
            f"{qualified(STATE_SCHEMA, kept)} WHERE {in_month_range(kept.event_time_column, scope)}",
        )
        doubled = self.session.rows(
            f"SELECT {names(kept.key)} FROM {rows} GROUP BY {names(kept.key)} HAVING COUNT(*) > 1 LIMIT 1"
        )
        if doubled:
            month, *values = doubled[0]
            which = ", ".join(f"{name} {value}" for name, value in zip(table.key, values, strict=True))
            raise LakeError(
                f"{self.place.url}/{folder}: {which} stands twice in {Month.of(month)}; nothing was changed: "
                f"run `scx lake build {self.star.name} --month {Month.of(month)}`"
            )
        self.session.execute(f"INSERT INTO {touched_keys_table(table)} SELECT DISTINCT {key} FROM {rows}")

    def _take(self, schema: str, table: Table, folder: str, scope: LoadScope) -> None:
        files = LakeFiles(self.place, table, self.manifest.of(folder, scope or None))
        with told(files):
            self.session.load_parquet(schema, table, scope, files)

    def account(
        self, table: Table, columns: Sequence[str], sources: Collection[str]
    ) -> list[tuple[object, ...]]:
        """These columns of what the lake knows of the sources' objects, or of their rejected rows."""
        import pyarrow.compute as pc

        listed = self.manifest.of(f"{ACCOUNTS}/{table.name}")
        files = LakeFiles(self.place, table, listed)
        rows: list[tuple[object, ...]] = []
        with told(files):
            for batch in files.batches([table.column(name) for name in ("source", *columns)]):
                found = batch.filter(pc.is_in(batch.column("source"), _texts(sources)))
                rows += zip(*(column.to_pylist() for column in found.columns), strict=True)
        return rows

    def record(
        self, report: LoadReport, ingest_result: Sequence[IngestResult], selection: Selection | None
    ) -> None:
        if report.scope is not UNPARTITIONED and selection is not None:
            selection = self._with_disputed(report.scope, selection)
        super().record(report, ingest_result, selection)

    def _with_disputed(self, scope: MonthRange, selection: Selection) -> Selection:
        """The selection, and the objects that stand in the warehouse for months which are not as the lake has them.

        The lake does not know of these, and so cannot tell that they are gone.
        """
        disputed = [
            month
            for month, state in self.months().items()
            if month not in scope and state != state_of(self.manifest.months.get(month))
        ]
        if not disputed:
            return selection
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in selection.listed}
        present = {(item.source, item.info.key) for item in selection.objects}
        known = load_history.known_objects(self.session, self.star.name, sorted(selection.listed))
        for source, key, etag, size in known:
            if (source, key) not in present:
                listing[source].append(ObjectInfo(key, size, etag, NEVER))
        others = select_objects(self.star.sources, listing).objects
        kept = [item for item in others if any(item.may_hold(month) for month in disputed)]
        return replace(selection, objects=(*selection.objects, *kept))


def _texts(values: Collection[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(sorted(values), pa.string())
