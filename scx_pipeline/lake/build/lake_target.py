"""A load's tables in a lake: slices beside what other months have, dimensions from each month's newest rows, and files.
What a load does, and in which order, is in `engine.load`; how tables are made and written, in the makers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.ingest import IngestJob
from scx_pipeline.loading.publish import same_rows
from scx_pipeline.history.check_result import Rows
from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.planning.selection import MonthState, SelectedObject, Selection
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.target import StagingTarget, LoadTarget
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.row_counts import write_accounts
from scx_pipeline.lake.format.commit import NewFiles, LakeTransaction
from scx_pipeline.lake.format.layout import all_in, shape_of, stands_in
from scx_pipeline.lake.build.lake_engine import LakeSession
from scx_pipeline.lake.format.manifest import DataFile, PartitionState, Manifest
from scx_pipeline.lake.format.table_writer import write_table
from scx_pipeline.model.table import Table
from scx_pipeline.model.source import Source
from scx_pipeline.model.column import Column
from scx_pipeline.model.calendar import LoadScope, UNPARTITIONED, Month, MonthRange
from scx_pipeline.warehouse.sql_text import in_month_range, month_of, names, latest_per_key, quote

if TYPE_CHECKING:
    from scx_pipeline.loading.load_report import LoadReport


class LakeTables(LoadTarget):
    """A star's tables in a lake, within one turn: made by a maker, written at `record`, and listed in `after`."""

    def __init__(self, compiled: CompiledStar, transaction: LakeTransaction, session: LakeSession) -> None:
        self.compiled, self.star, self.transaction, self.session = compiled, compiled.star, transaction, session
        self.relations, self.batch_files = session, session.batch_files
        self.before: Manifest = transaction.before
        self.after: Manifest = transaction.before
        self.new: list[NewFiles] = []
        self.unchanged: set[str] = set()  # tables without months that are as their files are
        self.slices: dict[
            str, list[tuple[LoadScope, str]]
        ] = {}  # by table, what was made of it, and its name here
        self.refreshing = False
        self.schema = self.star.schema_name

    def new_load_id(self) -> str:
        return self.transaction.run

    def months(self) -> Mapping[Month, MonthState]:
        return self.before.states

    # Relations

    def prepare(self, scope: LoadScope, names: Collection[str]) -> None:
        self.refreshing = scope is UNPARTITIONED
        self._check_columns(scope, names)
        for table in self._asked(scope):
            if table.name not in names:
                self.session.define(table.name, self._scan(table, self.before.of(table.name), table.columns))

    def _asked(self, scope: LoadScope) -> Iterable[Table]:
        """The tables that a load may ask, whether it makes them or not: a load of months, all of those without."""
        if scope is not UNPARTITIONED:
            return self.star.unpartitioned
        # Months that are made anew are checked as well: what they are made from, point to, and what points to them.
        remade = self.compiled.downstream({table.name for table in self.compiled.reading_unpartitioned()})
        asked = {table.name for table in self.star.unpartitioned} | remade
        pointing = {
            table.name
            for table in self.star.monthly
            if any(column.references in asked for column in table.columns)
        }
        for name in remade:
            table = self.star.table(name)
            asked |= self.compiled.reads(table) | {c.references for c in table.columns if c.references}
        return [table for table in self.star.tables if table.name in asked | pointing]

    def _check_columns(self, scope: LoadScope, names: Collection[str]) -> None:
        """Raise LakeError where files that a build reads, or leaves, have other columns than are declared now."""
        for table in self.star.tables:
            if scope is UNPARTITIONED and not table.unpartitioned:
                continue  # months of another make are due anyway, and compared with nothing
            for folder, kept in all_in(self.compiled, table).items():
                remade = table.name in names and (scope is UNPARTITIONED or not kept.partitioned)
                stays = (
                    [] if remade else self.before.outside(folder, scope) if scope else self.before.of(folder)
                )
                if stays and self.before.shapes.get(folder) != shape_of(kept):
                    part = stays[0].month or "it"
                    raise LakeError(
                        f"{table.name} stands in {self.transaction.place.url} with other columns or folders than the star {self.star.name} declares, "
                        f"and {part} is not part of this build: run `scx lake build {self.star.name} --all`, which makes it anew"
                    )

    def _scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        if not files:
            return f"SELECT * FROM (SELECT {', '.join(map(self._nothing, columns))}) AS nothing WHERE 1 = 0"
        return self.session.scan(table, files, columns)

    def _own(self, name: str) -> str:
        return f"{quote(self.schema)}.{quote(name)}"

    # Making

    @contextmanager
    def stage(self, source: Source, table: Table, scope: LoadScope) -> Iterator[StagingTarget]:
        name = self._new_partition(table)
        with self.session.stage(source, table, scope, name) as stage:
            yield _Standing(stage, lambda: self._stand(table, scope, name))

    def _new_partition(self, table: Table) -> str:
        return f"{table.name}__slice{len(self.slices.get(table.name, []))}"

    def derive(self, table: Table, scope: LoadScope) -> int | None:
        if table.unpartitioned:
            return self._derive_unpartitioned(table)
        assert scope is not UNPARTITIONED
        select = self.compiled.select(table, scope, self.session.capabilities)
        if table.partitioned:
            name = self._new_partition(table)
            self.session.keep(name, f"SELECT {names(table.column_names)} FROM ({select}) AS q")
            self._stand(table, scope, name)
        else:
            self._derive_latest(table, scope, select)
        return None

    def _stand(self, table: Table, scope: LoadScope, name: str) -> None:
        """Have a table's name stand for its new slices, and of other months' rows for what may be asked of them."""
        slices = self.slices.setdefault(table.name, [])
        slices.append((scope, name))
        selects = [f"SELECT {names(table.column_names)} FROM {self._own(made)}" for _, made in slices]
        scopes = [made for made, _ in slices if made]
        others = [
            item for item in self.before.of(table.name) if not any(item.month in made for made in scopes)
        ]
        if scopes and others and (table.key or self.refreshing):
            selects.append(self._others(table, others))
        self.session.define(table.name, " UNION ALL ".join(selects))

    def _others(self, table: Table, files: Sequence[DataFile]) -> str:
        """The rows of other months; a load of months asks for their keys and moments alone."""
        asked = {*table.key, table.event_time}
        columns = [column for column in table.columns if self.refreshing or column.name in asked]
        listed = ", ".join(
            quote(column.name) if column in columns else self._nothing(column) for column in table.columns
        )
        return f"SELECT {listed} FROM ({self._scan(table, files, columns)}) AS others"

    def _nothing(self, column: Column) -> str:
        return f"CAST(NULL AS {self.session.engine_type(column)}) AS {quote(column.name)}"

    def _derive_latest(self, table: Table, scope: MonthRange, select: str) -> None:
        (folder, kept), session = stands_in(self.compiled, table), self.session
        ordering = session.ordering(table, self.compiled.output_types(table))
        by_month = f"SELECT m.*, {month_of(table.event_time_column)} AS _month FROM ({select}) AS m"
        columns = names(kept.column_names)
        session.keep(kept.name, f"SELECT {columns} FROM ({latest_per_key(by_month, kept.key, ordering)}) AS q")
        own = f"SELECT {columns} FROM {self._own(kept.name)}"
        others = self._scan(kept, self.before.outside(folder, scope), kept.columns)
        before = self._scan(kept, self.before.of(folder, scope), [kept.column(name) for name in table.key])
        newest = latest_per_key(f"{own} UNION ALL {others}", table.key, ordering)
        session.keep(table.name, f"SELECT {names(table.column_names)} FROM ({newest}) AS q")
        key = names(table.key)
        session.create_temporary(
            touched_keys_table(table),
            f"SELECT {key} FROM ({own}) AS own UNION SELECT {key} FROM ({before}) AS others",
        )

    def _derive_unpartitioned(self, table: Table) -> int:
        select = self.compiled.select(table, UNPARTITIONED, self.session.capabilities)
        ordering = self.session.ordering(table, self.compiled.output_types(table))
        newest = latest_per_key(select, table.key, ordering)
        listed = names(table.column_names)
        self.session.keep(table.name, f"SELECT {listed} FROM ({newest}) AS q")
        files = self.before.of(table.name)
        standing = self._scan(table, files, table.columns)
        made = f"SELECT {listed} FROM {self._own(table.name)}"
        if files and same_rows(self.session, table.columns, made, standing):
            self.unchanged.add(table.name)
            return 0
        return 1

    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        _, kept = stands_in(self.compiled, table)
        if table.partitioned and table.name not in self.slices:
            rows = {month: made.rows.get(table.name, 0) for month, made in self.before.months.items()}
        else:
            month, within = month_of(kept.event_time_column), in_month_range(kept.event_time_column, scope)
            found = self.session.rows(
                f"SELECT {month}, COUNT(*) FROM {self._own(kept.name)} WHERE {within} GROUP BY 1"
            )
            rows = {Month.of(start): count for start, count in found}
        return {month: rows.get(month, 0) for month in scope}

    def matches_declaration(self, tables: Sequence[Table]) -> bool:
        return all(self.before.shapes.get(table.name) == shape_of(table) for table in tables)

    # Remembering

    def record(self, report: LoadReport, ingest_result: Sequence[IngestResult], selection: Selection | None) -> None:
        for name in report.tables:
            self._write(self.star.table(name), report.scope)
        if selection is not None:
            self.new += write_accounts(self.transaction, self.star.name, report.load_id, ingest_result, selection)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = {name: table.rows for name, table in report.tables.items()}
        if report.scope is UNPARTITIONED:
            assert selection is not None
            state = MonthState(selection.unpartitioned_fingerprint, self.compiled.unpartitioned_version)
            counts = {name: sum(found.values()) for name, found in rows.items()}
            self.after = replace(self.after, unpartitioned=PartitionState(state, self.transaction.run, now, counts))
            return
        months = dict(self.after.months)
        for month in report.scope:
            counts = {name: found.get(month, 0) for name, found in rows.items()}
            if selection is not None:
                state = MonthState(selection.fingerprint(month), self.compiled.version)
                months[month] = PartitionState(state, self.transaction.run, now, counts)
            else:
                before = months[month]
                months[month] = replace(before, run=self.transaction.run, at=now, rows={**before.rows, **counts})
        self.after = replace(self.after, months=months)

    def _write(self, table: Table, scope: LoadScope) -> None:
        if table.name not in self.unchanged:
            for folder, kept in all_in(self.compiled, table).items():
                self.new.append(write_table(self.transaction, self.session, self.schema, kept, folder, scope or None)[0])

    def record_stale(self, load_id: str, stale: Mapping[Month, str]) -> None:
        self.after = replace(self.after, stale={month: (why, load_id) for month, why in stale.items()})

    def forget_stale(self, scope: MonthRange) -> None:
        kept = {month: why for month, why in self.after.stale.items() if month not in scope}
        self.after = replace(self.after, stale=kept)


class _Standing(StagingTarget):
    """A maker's stage, whose slice then stands under its table's own name."""

    def __init__(self, stage: StagingTarget, stand: Callable[[], None]) -> None:
        self.stage, self.stand = stage, stand

    def ingest(self, job: IngestJob, objects: Sequence[SelectedObject]) -> IngestResult:
        return self.stage.ingest(job, objects)

    def finish(self) -> None:
        self.stage.finish()
        self.stand()
