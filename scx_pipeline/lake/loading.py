"""A load from the lake: a warehouse's tables filled from the files that the newest manifest lists, instead of from objects.
What a load checks and remembers is in `engine`; how an engine takes files in, in `warehouse`; how they lie, in `layout`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from scx_pipeline.engine import history, publish
from scx_pipeline.engine.accounts import Ingested, ObjectCount, Rejected
from scx_pipeline.engine.checks import CheckResult, check_ingested
from scx_pipeline.engine.load import LoadReport, LoadRun, Progress, RefreshRun, Road
from scx_pipeline.engine.objects import ObjectInfo
from scx_pipeline.engine.publish import touched_name
from scx_pipeline.engine.select import MonthState, SelectedObject, Selection, select_objects
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.engine.tables import WarehouseTables
from scx_pipeline.engine.target import Target
from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.lake.datafiles import GoneError, LakeFiles, told
from scx_pipeline.lake.layout import ACCOUNTS
from scx_pipeline.lake.loadable import WHOLE, check_made, check_whole, lake_of, stands_in, state_of
from scx_pipeline.lake.manifest import Manifest
from scx_pipeline.lake.place import Place
from scx_pipeline.spec import Month, Source, Span, Table
from scx_pipeline.warehouse.base import STATE_SCHEMA, Session, Warehouse, in_span, names, qualified

if TYPE_CHECKING:
    import pyarrow as pa

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # when an object was written is in no account


class LakeLoader(Road):
    """Loads spans of one star from the lake of a URL into one warehouse, with the gates and history of any other load.

    The tables with months come out of the lake's files, those kept by key by way of their month rows. Of the tables without
    months, the staging tables do; what is made from them is made anew in the warehouse, as only rows that differ are written
    then, and `songs` has a folder for every artist.
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
        self, span: Span, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """See `Road.load`; raises PipelineError for some of the tables only, as all of a month must be of one make."""
        known = {table.name for table in self.compiled.star.monthly}
        if tables is not None and not known.issubset(tables):
            raise PipelineError(
                f"a load from the lake makes all of the tables of {self.compiled.star.name} that have months: choose all of them"
            )
        return super().load(span, tables, run_id)

    def publish(self, work: Callable[[Target], LoadReport]) -> LoadReport:
        """See `Road.publish`. Where another run has replaced files since the manifest was read, it is begun anew, once."""
        try:
            return self._publish(work)
        except GoneError as error:
            self.progress(f"{error}; beginning anew")
            return self._publish(work)

    def _publish(self, work: Callable[[Target], LoadReport]) -> LoadReport:
        star = self.compiled.star

        def attempt(session: Session) -> LoadReport:
            # Read when it is this load's turn, as a bucket is listed.
            return work(LakeFed(self.compiled, session, *lake_of(star, self.url)))

        return self.warehouse.run(star.name, attempt)

    def _load_run(self, target: Target, span: Span, names: set[str], run_id: str | None) -> LoadRun:
        return _MonthsFromLake(self, target, span, names, run_id)

    def _refresh_run(self, target: Target, names: set[str], run_id: str | None) -> RefreshRun:
        return _WholeFromLake(self, target, None, names, run_id)


class LakeFed(WarehouseTables):
    """A star's tables in a warehouse, and the lake that they are filled from."""

    def __init__(self, compiled: CompiledStar, session: Session, place: Place, manifest: Manifest) -> None:
        super().__init__(compiled, session, 0)
        self.place, self.manifest = place, manifest

    def take(self, table: Table, span: Span | None) -> None:
        """Have a table's slice stand as it is in the lake. Raises LakeError where a file is gone or damaged."""
        if table.sliced or table.whole:
            self._take(self.star.schema_name, table, table.name, span)
            return
        assert span is not None
        replace_rows = partial(self._take_month_rows, table, span)
        publish.publish_newest(self.session, self.compiled, table, span, replace_rows)

    def _take_month_rows(self, table: Table, span: Span) -> None:
        folder, kept = stands_in(self.compiled, table)
        self._take(STATE_SCHEMA, kept, folder, span)
        key, rows = names(table.key), f"{qualified(STATE_SCHEMA, kept)} WHERE {in_span(kept.moment, span)}"
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
        self.session.execute(f"INSERT INTO {touched_name(table)} SELECT DISTINCT {key} FROM {rows}")

    def _take(self, schema: str, table: Table, folder: str, span: Span | None) -> None:
        files = LakeFiles(self.place, table, self.manifest.of(folder, span))
        with told(files):
            self.session.take_files(schema, table, span, files)

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

    def record(self, report: LoadReport, ingested: Sequence[Ingested], selection: Selection | None) -> None:
        if report.span is not None and selection is not None:
            selection = self._with_disputed(report.span, selection)
        super().record(report, ingested, selection)

    def _with_disputed(self, span: Span, selection: Selection) -> Selection:
        """The selection, and the objects that stand in the warehouse for months which are not as the lake has them.

        The lake does not know of these, and so cannot tell that they are gone.
        """
        disputed = [
            month
            for month, state in self.months().items()
            if month not in span and state != state_of(self.manifest.months.get(month))
        ]
        if not disputed:
            return selection
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in selection.listed}
        present = {(item.source, item.info.key) for item in selection.objects}
        known = history.known_objects(self.session, self.star.name, sorted(selection.listed))
        for source, key, etag, size in known:
            if (source, key) not in present:
                listing[source].append(ObjectInfo(key, size, etag, _NEVER))
        others = select_objects(self.star.sources, listing).objects
        kept = [item for item in others if any(item.may_hold(month) for month in disputed)]
        return replace(selection, objects=(*selection.objects, *kept))


def _texts(values: Collection[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(sorted(values), pa.string())


class _FromLake(LoadRun):
    """A load from the lake while it runs: objects are accounted for as the lake does, staging rows are its files'."""

    target: LakeFed

    def _list(self, staging: Sequence[Table]) -> Selection:
        manifest, place = self.target.manifest, self.target.place
        self._check_made(place, manifest)
        self.report.origin = {"rows_from": place.url, "manifest": manifest.number, "lake_run": manifest.run}
        self.road.progress(f"from {place.url}, manifest {manifest.number}")
        return self._accounted([table.source or "" for table in staging], manifest)

    def _check_made(self, place: Place, manifest: Manifest) -> None:
        """Raise LakeError for what cannot be loaded."""
        raise NotImplementedError

    def _accounted(self, sources: Sequence[str], manifest: Manifest) -> LakeSelection:
        """The objects that the lake's rows are from, by the months they may hold, with what became of each one's rows."""
        counts = ("rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered")
        rows = self.target.account(history.OBJECTS, ("object_key", "etag", "size_bytes", *counts), sources)
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in sources}
        self.counts: dict[tuple[str, str], Sequence[int]] = {}
        for source, key, etag, size, *found in rows:
            listing[str(source)].append(ObjectInfo(str(key), int(str(size)), str(etag), _NEVER))
            self.counts[str(source), str(key)] = [int(str(count)) for count in found]
        chosen = select_objects(self.star.sources, listing)
        states: dict[Month | None, MonthState] = {
            month: made.state for month, made in manifest.months.items()
        }
        if manifest.whole:
            states[None] = manifest.whole.state
        return LakeSelection(chosen.objects, (), chosen.listed, chosen.whole, states)

    def _stage(self, staging: Sequence[Table], selection: Selection | None) -> None:
        assert selection is not None
        for table in staging:
            source, objects = self._objects_of(table, selection)
            ingested = self._ingested(table, source, objects)
            self._note(table, ingested, _as_was_checked(check_ingested(source, ingested)))
        self.target.begin()
        for table in staging:
            self._take(table)

    def _ingested(self, table: Table, source: Source, objects: Sequence[SelectedObject]) -> Ingested:
        """What became of the objects' rows when the lake was built."""
        counts = [ObjectCount(item, *self.counts[item.source, item.info.key]) for item in objects]
        keys = {count.object.info.key for count in counts if count.rejected}
        rejected = []
        if keys:
            columns = ("object_key", "line", "column_name", "reason", "raw")
            for _, key, line, column, reason, raw in self.target.account(
                history.REJECTED, columns, [source.name]
            ):
                if key in keys:
                    rejected.append(Rejected(key, line, column, reason, raw))  # type: ignore[arg-type]
        return Ingested(table, counts, rejected)

    def _take(self, table: Table) -> None:
        begun = time.monotonic()
        self.target.take(table, self.span)
        self._table_done(table, begun)

    def _loaded(self, table: Table) -> int | None:
        """As many as the files have: what became of an object's rows is known of the months that it was read for last."""
        return sum(self._rows_in_lake(table).values()) if table.role == "staging" else None

    def _rows_in_lake(self, table: Table) -> Mapping[Month | None, int]:
        """How many rows the lake has of the table, by month where it has months."""
        folder, _ = stands_in(self.compiled, table)
        rows: dict[Month | None, int] = dict.fromkeys(self.span or [None], 0)
        for item in self.target.manifest.of(folder, self.span):
            rows[item.month] += item.rows
        return rows

    def _check(self) -> None:
        super()._check()
        for name, made in self.report.tables.items():
            wanted = self._rows_in_lake(self.star.table(name))
            for month, count in made.rows.items():
                if count != wanted[month]:
                    what = f"{month} of {name}" if month else name
                    raise LakeError(
                        f"{self.target.place.url}: {what} has {wanted[month]:,} rows by the manifest, but {count:,} stand in the "
                        f"warehouse; nothing was changed: see `scx lake verify {self.star.name}`"
                    )


class _MonthsFromLake(_FromLake):
    """A load of months."""

    def _check_made(self, place: Place, manifest: Manifest) -> None:
        assert self.span is not None
        check_made(self.compiled, place, manifest, self.span.months)
        standing = history.read_whole(self.target.session, self.star.name) if self.star.whole else None
        if self.compiled.reading_whole() and standing != state_of(manifest.whole):
            raise LakeError(
                f"{WHOLE} of {self.star.name} do not stand as those that the lake's months were made with: "
                f"load them from the lake first, as `scx load {self.star.name} --from lake` does"
            )

    def _derive(self, table: Table) -> None:
        self._take(table)

    def _record_stale(self) -> None:
        """What is stale in the lake is so here; the others are right."""
        assert self.span is not None
        self.target.forget_stale(self.span)
        standing = self.target.manifest.stale.items()
        self.report.stale = {month: why for month, (why, _) in sorted(standing) if month in self.span}
        history.add_stale(self.target.session, self.star.name, self.report.load_id, self.report.stale)


class _WholeFromLake(_FromLake, RefreshRun):
    """A load of the tables without months; months that stand are compared with them, and mended, as by any other."""

    def _check_made(self, place: Place, manifest: Manifest) -> None:
        check_whole(self.compiled, place, manifest)


@dataclass(frozen=True)
class LakeSelection(Selection):
    """The objects that a lake was made from, and of months and the rest the fingerprints that it was made by.

    These need not be those of the objects: one that changed may have been read again for some of its months only.
    """

    states: Mapping[Month | None, MonthState] = field(default_factory=dict)

    @property
    def whole_fingerprint(self) -> str:
        return self.states[None].fingerprint

    def fingerprint(self, month: Month) -> str:
        return self.states[month].fingerprint


def _as_was_checked(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The results, but for what only who reads the objects can tell."""
    told = "not looked at: the rows are the lake's, and its build has looked"
    return [
        replace(item, passed=True, message=told) if item.name == "declared_fields" else item
        for item in results
    ]
