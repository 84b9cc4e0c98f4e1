"""What a load asks of where its tables stand: to stage and derive them, to be asked about them, and to remember.
The road itself is in `load`; a warehouse's way is in `tables`, a lake's in the lake package."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history.check_result import Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.checks import RowScan
from scx_pipeline.loading.ingest import IngestJob
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import MonthState, SelectedObject, Selection
from scx_pipeline.warehouse.session import Relations

if TYPE_CHECKING:
    from scx_pipeline.loading.load_report import LoadReport


class StagingTarget(ABC):
    """A staging table's slice while it is made."""

    scanned: RowScan | None = (
        None  # where its rows were checked as they came, since they do not stay to be looked at
    )

    @abstractmethod
    def ingest(self, job: IngestJob, objects: Sequence[SelectedObject]) -> IngestResult:
        """Read the objects; what became of every row. Raises as `IngestJob.run`."""

    @abstractmethod
    def finish(self) -> None:
        """Make the slice stand, once all of a load's objects are read."""


class LoadTarget(ABC):
    """Where a load's tables stand, for as long as it lasts: all of what it does here becomes visible at once, or nothing."""

    compiled: CompiledStar  # as its tables are named here for now
    relations: Relations
    batch_files: int = 0  # source files read at a time; 0: as many as suits the stage

    @abstractmethod
    def new_load_id(self) -> str:
        """A name for a load, which no other one has."""

    @abstractmethod
    def months(self) -> Mapping[Month, MonthState]:
        """The months that stand, and what they were made from."""

    def purged(self, tables: Collection[str]) -> Collection[Month]:
        """Months that stand, but of which one of these staging tables keeps no rows any more."""
        return ()

    @abstractmethod
    def prepare(self, scope: LoadScope, names: Collection[str]) -> None:
        """Be ready for a load that makes these tables. Raises PipelineError where rows would be lost."""

    @abstractmethod
    def stage(self, source: Source, table: Table, scope: LoadScope) -> AbstractContextManager[StagingTarget]:
        """A staging table's slice of the span, to be made from objects."""

    def rejecting(self, source: Source) -> Collection[tuple[str, str]]:
        """The keys and ETags of a source's objects of which rows were rejected when they were read last, where known."""
        return ()

    def begin(self) -> None:  # noqa: B027
        """From here on what is done is part of the load; before, only what nobody sees."""

    @abstractmethod
    def derive(self, table: Table, scope: LoadScope) -> int | None:
        """Make what the span's months give to a derived table, or the whole of one without; its inputs stand.

        How many rows of a table without months were written or removed; None for others.
        """

    @abstractmethod
    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        """How many rows each month of the span gives to the table; a month without any counts 0."""

    @abstractmethod
    def matches_declaration(self, tables: Sequence[Table]) -> bool:
        """Whether none of the tables stands otherwise than the star declares."""

    def swap(self) -> None:  # noqa: B027
        """Put tables that were rebuilt aside in their place, after all else."""

    @abstractmethod
    def record(
        self, report: LoadReport, ingest_result: Sequence[IngestResult], selection: Selection | None
    ) -> None:
        """Remember a load whose checks have passed; without a selection, that it was made from standing staging rows."""

    @abstractmethod
    def record_stale(self, load_id: str, stale: Mapping[Month, str]) -> None:
        """Note which months are stale, and why; no others are."""

    @abstractmethod
    def forget_stale(self, scope: MonthRange) -> None:
        """Note that the span's months are right again."""
