"""Loads a warehouse from the lake: tables are filled from the files of the current manifest instead of from source objects.

How an engine loads files does not belong here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.history.history_reader import read_unpartitioned_state
from scx_pipeline.history.history_writer import add_stale_months
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount
from scx_pipeline.history.state_tables import OBJECTS, REJECTED_ROWS
from scx_pipeline.lake.format.data_files import MissingFileError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import month_folder
from scx_pipeline.lake.format.manifest import Manifest
from scx_pipeline.lake.load.lake_source import NEVER, LakeSource
from scx_pipeline.lake.load.load_plan import (
    check_months,
    check_unpartitioned,
    open_loadable_lake,
    state_of,
)
from scx_pipeline.loading.checks.ingest_checks import check_ingest_result
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.load_run import LoadRun, RefreshRun
from scx_pipeline.loading.loader import Loader
from scx_pipeline.loading.target import LoadTarget
from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.planning.selection import SelectedObject, Selection, select_objects
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.warehouse import Warehouse


class LakeLoader(Loader):
    """Loads months of one star from the lake at a URL into one warehouse, with the checks and history of any other load.

    Partitioned tables are loaded from the lake's files, SCD type 1 tables from their latest rows by month. Of the unpartitioned
    tables, the staging tables are loaded; the others are derived from them in the warehouse, because then only rows that differ
    are written, and `songs` has a folder for every artist.
    """

    def __init__(
        self,
        compiled: CompiledStar,
        url: str,
        warehouse: Warehouse,
        progress: Progress = lambda message: None,
    ) -> None:
        self.compiled, self.url, self.warehouse, self.progress = compiled, url, warehouse, progress

    def load(
        self, scope: MonthRange, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """Load as `Loader.load` does. Raises PipelineError for a subset of tables: a month must come from one build."""
        known = {table.name for table in self.compiled.star.monthly_tables}
        if tables and not known.issubset(tables):
            raise PipelineError(
                f"a load from the lake loads all partitioned tables of {self.compiled.star.name}: name all of them, or none"
            )
        return super().load(scope, tables, run_id)

    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        """Publish as `Loader.publish` does; try once more if another run replaced files after the manifest was read."""
        try:
            return self._publish(work)
        except MissingFileError as error:
            self.progress(f"{error}; retrying")
            return self._publish(work)

    def _publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        star = self.compiled.star

        def attempt(session: Session) -> LoadReport:
            # The manifest is read once this load holds the lock, as a bucket is listed then.
            return work(LakeSource(self.compiled, session, *open_loadable_lake(star, self.url)))

        return self.warehouse.run(star.name, attempt)

    def _load_run(
        self, target: LoadTarget, scope: MonthRange, names: set[str], run_id: str | None
    ) -> LoadRun:
        return _LakeMonthsRun(self, target, scope, names, run_id)

    def _refresh_run(self, target: LoadTarget, names: set[str], run_id: str | None) -> RefreshRun:
        return _LakeRefreshRun(self, target, UNPARTITIONED, names, run_id)


class _LakeLoadRun(LoadRun):
    """One load from the lake: row counts come from the lake's history, staging rows from its files."""

    target: LakeSource

    def _list_objects(self, staging: Sequence[Table]) -> Selection:
        manifest, store = self.target.manifest, self.target.store
        self._check_loadable(store, manifest)
        self.report.origin = {"rows_from": store.url, "manifest": manifest.number, "lake_run": manifest.run}
        self.loader.progress(f"from {store.url}, manifest {manifest.number}")
        return self._select_objects([table.source or "" for table in staging], manifest)

    def _check_loadable(self, store: LakeStore, manifest: Manifest) -> None:
        """Raise LakeError if the lake cannot be loaded."""
        raise NotImplementedError

    def _select_objects(self, sources: Sequence[str], manifest: Manifest) -> LakeSelection:
        """Return the objects that the lake was built from, and remember the row counts of each."""
        counts = ("rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered")
        columns = ("object_key", "etag", "size_bytes", *counts)
        rows = self.target.read_history(OBJECTS, columns, sources)
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in sources}
        self.counts: dict[tuple[str, str], Sequence[int]] = {}
        for source, key, etag, size, *found in rows:
            listing[str(source)].append(ObjectInfo(str(key), int(str(size)), str(etag), NEVER))
            self.counts[str(source), str(key)] = [int(str(count)) for count in found]
        chosen = select_objects(self.star.sources, listing)
        states: dict[Month | None, MonthState] = dict(manifest.month_states.items())
        if manifest.unpartitioned:
            states[None] = manifest.unpartitioned.state
        return LakeSelection(chosen.objects, (), chosen.listed_sources, chosen.unpartitioned_sources, states)

    def _stage(self, staging: Sequence[Table], selection: Selection | None) -> None:
        assert selection is not None
        for table in staging:
            source, objects = self._select_source_objects(table, selection)
            ingest_result = self._read_result(table, source, objects)
            checks = _without_undeclared_fields(check_ingest_result(source, ingest_result))
            self._add_ingest_result(table, ingest_result, checks)
        self.target.begin()
        for table in staging:
            self._load_table(table)

    def _read_result(self, table: Table, source: Source, objects: Sequence[SelectedObject]) -> IngestResult:
        """Return the row counts and rejected rows that the build of the lake recorded."""
        counts = [ObjectCount(item, *self.counts[item.source, item.info.key]) for item in objects]
        keys = {count.object.info.key for count in counts if count.rejected}
        rejected = []
        if keys:
            columns = ("object_key", "line", "column_name", "reason", "raw")
            for _, key, line, column, reason, raw in self.target.read_history(
                REJECTED_ROWS, columns, [source.name]
            ):
                if key in keys:
                    rejected.append(RejectedRow(key, line, column, reason, raw))  # type: ignore[arg-type]
        return IngestResult(table, counts, rejected)

    def _load_table(self, table: Table) -> None:
        started = time.monotonic()
        self.target.load_table(table, self.scope)
        self._log_table(table, started)

    def _expected_row_count(self, table: Table) -> int | None:
        """Return the rows in the files: an object's counts cover only the months for which it was last read."""
        return sum(self._rows_in_lake(table).values()) if table.role == "staging" else None

    def _rows_in_lake(self, table: Table) -> Mapping[Month | None, int]:
        """Return the table's rows in the lake, by month if it is partitioned."""
        months = None if self.scope is UNPARTITIONED else self.scope
        rows: dict[Month | None, int] = dict.fromkeys([None] if months is None else months, 0)
        for item in self.target.manifest.select_files(month_folder(table), months):
            rows[item.month] += item.rows
        return rows

    def _run_checks(self) -> None:
        super()._run_checks()
        for name, loaded in self.report.tables.items():
            expected = self._rows_in_lake(self.star.table(name))
            for month, count in loaded.rows.items():
                if count != expected[month]:
                    label = f"{month} of {name}" if month else name
                    raise LakeError(
                        f"{self.target.store.url}: {label} has {expected[month]:,} rows in the manifest, but {count:,} were loaded "
                        f"into the warehouse; nothing was changed: run `scx lake verify {self.star.name}`"
                    )


class _LakeMonthsRun(_LakeLoadRun):
    """One load of months from the lake."""

    def _check_loadable(self, store: LakeStore, manifest: Manifest) -> None:
        assert self.scope is not UNPARTITIONED
        check_months(self.compiled, store, manifest, self.scope.months)
        loaded = None
        if self.star.unpartitioned_tables:
            loaded = read_unpartitioned_state(self.target.session, self.star.name)
        if self.compiled.unpartitioned_dependents() and loaded != state_of(manifest.unpartitioned):
            raise LakeError(
                f"the unpartitioned tables of {self.star.name} in the warehouse are not the version that the lake's months "
                f"were built with: load them from the lake first, as `scx load {self.star.name} --from lake` does"
            )

    def _derive(self, table: Table) -> None:
        self._load_table(table)

    def _record_stale_months(self) -> None:
        """Mark the months as stale that are stale in the lake, and the others as current."""
        assert self.scope is not UNPARTITIONED
        self.target.clear_stale(self.scope)
        stale = sorted(self.target.manifest.stale.items())
        self.report.stale = {month: reason for month, (reason, _) in stale if month in self.scope}
        add_stale_months(self.target.session, self.star.name, self.report.load_id, self.report.stale)


class _LakeRefreshRun(_LakeLoadRun, RefreshRun):
    """One load of the unpartitioned tables from the lake; stale months are found and rebuilt as in any load."""

    def _check_loadable(self, store: LakeStore, manifest: Manifest) -> None:
        check_unpartitioned(self.compiled, store, manifest)


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
        return self.states[month].fingerprint


def _without_undeclared_fields(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the check results with `declared_fields` passed, which only reading the objects can check."""
    message = "not checked: the rows come from the lake, whose build has checked them"
    return [
        replace(item, passed=True, message=message) if item.name == "declared_fields" else item
        for item in results
    ]
