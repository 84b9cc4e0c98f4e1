"""The load source of a lake: the files of its manifest fill a warehouse's tables, and its load history has the row counts.

Which stages a load has does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.errors import LakeError
from scx_pipeline.history.history_reader import read_recorded_objects, read_unpartitioned_state
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount
from scx_pipeline.history.state_tables import OBJECTS, REJECTED_ROWS
from scx_pipeline.lake.format.data_files import LakeFiles, translate_read_errors
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import HISTORY_FOLDER, month_folder, month_rows_of
from scx_pipeline.lake.format.manifest import Manifest
from scx_pipeline.lake.load.lake_load_plan import check_months, check_unpartitioned, state_of
from scx_pipeline.loading.load_plan import LoadPlan
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.sources.load_source import LoadSource, StagedTable
from scx_pipeline.loading.targets import publish
from scx_pipeline.loading.targets.target import StagedPartition
from scx_pipeline.loading.targets.warehouse_target import WarehouseTarget
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.table import Table
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.planning.selection import Selection, select_objects
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, in_month_range, names, qualified

if TYPE_CHECKING:
    import pyarrow as pa

NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # the load history does not record when an object was written


@dataclass(frozen=True)
class LakeSelection(Selection):
    """The objects that a lake was built from, with the fingerprints recorded by its build.

    These may differ from the fingerprints of the objects: a changed object may have been read again for some of its months only.
    """

    states: Mapping[Month | None, MonthState] = field(default_factory=dict)

    @property
    def unpartitioned_fingerprint(self) -> str:
        return self.states[None].fingerprint

    def fingerprint(self, month: Month) -> str:
        return self.states[month].fingerprint if month in self.states else ""


class LakeSource(LoadSource):
    """The current files of a lake.

    Partitioned tables are filled from the lake's files, SCD type 1 tables from their latest rows by month. Of the unpartitioned
    tables, the staging tables are filled; the others are derived from them in the warehouse, because then only rows that differ
    are written, and `songs` has a folder for every artist.
    """

    unchecked = MappingProxyType({
        "declared_fields": "not checked: the rows come from the lake, whose build has checked them"
    })  # fmt: skip

    def __init__(self, target: WarehouseTarget, store: LakeStore, manifest: Manifest) -> None:
        self.target, self.star, self.store, self.manifest = target, target.star, store, manifest
        self.origin = {"rows_from": store.url, "manifest": manifest.number, "lake_run": manifest.run}
        # The row counts of the objects, by source and key.
        self.counts: dict[tuple[str, str], Sequence[int]] = {}

    def select(self, scope: LoadScope, tables: Sequence[Table]) -> Selection:
        if scope is UNPARTITIONED:
            check_unpartitioned(self.target.declared, self.store, self.manifest)
        else:
            self._check_loadable(scope)
        sources = [name for table in tables for name in table.source_names]
        counts = ("rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered")
        rows = self._read_history(OBJECTS, ("object_key", "etag", "size_bytes", *counts), sources)
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in sources}
        for source, key, etag, size, *found in rows:
            listing[str(source)].append(ObjectInfo(str(key), int(str(size)), str(etag), NEVER))
            self.counts[str(source), str(key)] = [int(str(count)) for count in found]
        chosen = select_objects(self.star.sources, listing)
        states: dict[Month | None, MonthState] = dict(self.manifest.month_states.items())
        if self.manifest.unpartitioned:
            states[None] = self.manifest.unpartitioned.state
        return LakeSelection(chosen.objects, (), chosen.listed_sources, chosen.unpartitioned_sources, states)

    def _check_loadable(self, scope: MonthRange) -> None:
        """Raise LakeError unless the lake can provide the tables of these months."""
        compiled = self.target.declared
        check_months(compiled, self.store, self.manifest, scope.months)
        loaded = None
        if self.star.unpartitioned_tables:
            loaded = read_unpartitioned_state(self.target.session, self.star.name)
        if compiled.unpartitioned_dependents() and loaded != state_of(self.manifest.unpartitioned):
            raise LakeError(
                f"the unpartitioned tables of {self.star.name} in the warehouse are not the version that the lake's months "
                f"were built with: load them from the lake first, as `scx load {self.star.name} --from lake` does"
            )

    @contextmanager
    def stage(self, plan: LoadPlan, table: Table) -> Iterator[StagedTable]:
        """Return the row counts and rejected rows that the build of the lake recorded, and the files to load."""
        objects = plan.objects_of(table.source_names)
        counts = [ObjectCount(item, *self.counts[item.source, item.info.key]) for item in objects]
        keys = {(count.object.source, count.object.info.key) for count in counts if count.rejected}
        rejected = self._read_rejected_rows(keys) if keys else []
        # An object's counts cover only the months for which it was last read, so the files' rows are expected.
        rows = sum(self._rows_in_lake(table, plan.scope).values())
        yield StagedTable(
            IngestResult(table, counts, rejected), _LakePartition(self, table, plan.scope), rows
        )

    def _read_rejected_rows(self, keys: Collection[tuple[str, str]]) -> list[RejectedRow]:
        """Return the rejected rows of objects, given by source and key."""
        columns = ("object_key", "line", "column_name", "reason", "raw")
        found = self._read_history(REJECTED_ROWS, columns, {source for source, _ in keys})
        return [
            RejectedRow(key, line, column, reason, raw, source)  # type: ignore[arg-type]
            for source, key, line, column, reason, raw in found
            if (source, key) in keys
        ]

    def fills(self, table: Table, scope: LoadScope) -> bool:
        return scope is not UNPARTITIONED

    def fill(self, table: Table, scope: LoadScope) -> None:
        """Replace a table's rows of the scope with those in the lake. Raises LakeError if a file is missing or damaged."""
        compiled, session = self.target.compiled, self.target.session
        if table.is_partitioned or table.is_unpartitioned:
            self._load_files(self.star.schema_name, compiled.stored_table(table), table.name, scope)
            return
        assert scope is not UNPARTITIONED
        publish.collect_touched_keys(session, compiled, table, scope)
        self._load_month_rows(table, scope)
        publish.publish_latest(session, compiled, table)

    def _load_month_rows(self, table: Table, scope: MonthRange) -> None:
        (folder, stored), session = month_rows_of(self.target.compiled, table), self.target.session
        self._load_files(STATE_SCHEMA, stored, folder, scope)
        key = names(stored.key)
        rows = f"{qualified(STATE_SCHEMA, stored)} WHERE {in_month_range(stored.event_time_column, scope)}"
        duplicates = session.rows(f"SELECT {key} FROM {rows} GROUP BY {key} HAVING COUNT(*) > 1 LIMIT 1")
        if duplicates:
            month, *values = duplicates[0]
            text = ", ".join(f"{name} {value}" for name, value in zip(table.key, values, strict=True))
            raise LakeError(
                f"{self.store.url}/{folder}: duplicate key {text} in {Month.of(month)}; nothing was changed: "
                f"run `scx lake build {self.star.name} --month {Month.of(month)}`"
            )
        touched = f"SELECT DISTINCT {names(table.key)} FROM {rows}"
        session.execute(f"INSERT INTO {touched_keys_table(table)} {touched}")

    def _load_files(self, schema: str, table: Table, folder: str, scope: LoadScope) -> None:
        months = None if scope is UNPARTITIONED else scope
        files = LakeFiles(self.store, table, self.manifest.select_files(folder, months))
        with translate_read_errors(files):
            self.target.session.tables.load_parquet(schema, table, scope, files)

    def _read_history(
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

    def _rows_in_lake(self, table: Table, scope: LoadScope) -> Mapping[Month | None, int]:
        """Return the table's rows in the lake, by month if it is partitioned."""
        months = None if scope is UNPARTITIONED else scope
        rows: dict[Month | None, int] = dict.fromkeys([None] if months is None else months, 0)
        for item in self.manifest.select_files(month_folder(table), months):
            rows[item.month] += item.rows
        return rows

    def check_counts(self, report: LoadReport) -> None:
        for name, loaded in report.tables.items():
            expected = self._rows_in_lake(self.star.table(name), report.scope)
            for month, count in loaded.rows.items():
                if count != expected[month]:
                    label = f"{month} of {name}" if month else name
                    raise LakeError(
                        f"{self.store.url}: {label} has {expected[month]:,} rows in the manifest, but {count:,} were loaded "
                        f"into the warehouse; nothing was changed: run `scx lake verify {self.star.name}`"
                    )

    def recorded_selection(self, plan: LoadPlan) -> Selection | None:
        """Return the lake's objects, and the warehouse's objects of months that differ from the lake.

        The lake does not know the latter, so their absence from it does not mean that they were deleted.
        """
        selection, scope = plan.selection, plan.scope
        if selection is None or scope is UNPARTITIONED:
            return selection
        differing = [
            month
            for month, state in self.target.read_months().items()
            if month not in scope and state != state_of(self.manifest.months.get(month))
        ]
        if not differing:
            return selection
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in selection.listed_sources}
        present = {(item.source, item.info.key) for item in selection.objects}
        known = read_recorded_objects(self.target.session, self.star.name, sorted(selection.listed_sources))
        for source, key, etag, size in known:
            if (source, key) not in present:
                listing[source].append(ObjectInfo(key, size, etag, NEVER))
        others = select_objects(self.star.sources, listing).objects
        kept = [item for item in others if any(item.may_contain(month) for month in differing)]
        return replace(selection, objects=(*selection.objects, *kept))

    def stale_months(self, scope: MonthRange) -> Mapping[Month, str]:
        stale = sorted(self.manifest.stale.items())
        return {month: reason for month, (reason, _) in stale if month in scope}


@dataclass(frozen=True)
class _LakePartition(StagedPartition):
    """The files with a staging table's rows of a scope."""

    source: LakeSource
    table: Table
    scope: LoadScope

    def finish(self) -> None:
        self.source.fill(self.table, self.scope)


def _text_array(values: Collection[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(sorted(values), pa.string())
