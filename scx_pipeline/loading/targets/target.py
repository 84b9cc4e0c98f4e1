"""The interface of a load's target: staging and deriving its tables, querying them, and recording the load.

Implementations do not belong here, nor does the order of the steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history.check_result import Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.checks.loaded_rows import MonthRows
from scx_pipeline.loading.checks.row_scan import RowScan
from scx_pipeline.loading.held_months import HeldMonths
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.added_objects import RecordedObject
from scx_pipeline.planning.changed_months import HeldMonth, MonthState
from scx_pipeline.planning.selection import Selection
from scx_pipeline.warehouse.query_session import QuerySession


class StagedPartition(ABC):
    """Rows that are ready to replace partitions of a staging table."""

    # The scan of the rows, if they were checked while they passed through and cannot be scanned later.
    row_scan: RowScan | None = None

    @abstractmethod
    def finish(self) -> None:
        """Replace the table's partitions by the staged rows, once all rows of the load are read."""


class StagingTarget(StagedPartition):
    """The partitions of a staging table while objects are read into them."""

    @abstractmethod
    def ingest(self, jobs: Sequence[IngestJob]) -> IngestResult:
        """Read the objects of the table's sources and return their row counts. Raises the errors of `ingest_objects`."""


class LoadTarget(ABC):
    """The tables of a load within one transaction: all changes become visible at its end, or none."""

    compiled: CompiledStar  # with the current names of the tables
    relations: QuerySession
    # Whether there is a load history; as far as `read_held` has found.
    has_history: bool = False
    batch_files: int = 0  # source files read at a time; 0: the staging buffer decides

    @abstractmethod
    def new_load_id(self) -> str:
        """Return a unique ID for a load."""

    @abstractmethod
    def read_months(self) -> Mapping[Month, MonthState]:
        """Return the loaded months and what they were built from."""

    def read_stale(self) -> Collection[Month]:
        """Return the loaded months that a change of another table made stale."""
        return ()

    def read_objects(self) -> Mapping[tuple[str, str], RecordedObject]:
        """Return the recorded objects by source and key, if the target can add rows to a month."""
        return {}

    def read_purged_months(self, tables: Collection[str]) -> Collection[Month]:
        """Return the loaded months of which the rows of one of these staging tables were purged."""
        return ()

    @abstractmethod
    def prepare(self, scope: LoadScope, names: Collection[str]) -> None:
        """Prepare a load that builds these tables. Raises PipelineError if rows would be lost."""

    @abstractmethod
    def stage(
        self, sources: Sequence[Source], table: Table, scope: LoadScope
    ) -> AbstractContextManager[StagingTarget]:
        """Open the partitions of a staging table for loading objects."""

    def read_objects_with_rejects(self, source: Source) -> Collection[tuple[str, str]]:
        """Return the keys and ETags of the objects of which rows are known to have been rejected last time."""
        return ()

    def begin(self) -> None:  # noqa: B027
        """Begin the transaction of the load; changes made before it are invisible to readers."""

    def publish_staged(self, table: Table, scope: LoadScope, partition: StagedPartition) -> None:
        """Replace the partitions of a staging table in scope by staged rows."""
        partition.finish()

    @abstractmethod
    def derive(self, table: Table, scope: LoadScope) -> int | None:
        """Replace the rows of a derived table in scope by the result of its SELECT; its inputs must be loaded.

        Returns:
            How many rows of an unpartitioned table were written or deleted; None for other tables.
        """

    @abstractmethod
    def loaded_rows(self, table: Table, scope: LoadScope) -> str:
        """Return a relation of the rows of a table that the load may have changed."""

    def rows_before(self, table: Table) -> Rows:
        """Return the rows that each month had already, if `loaded_rows` has only those that were added to them."""
        return {}

    @abstractmethod
    def month_rows(self, table: Table) -> MonthRows:
        """Return the relation of the rows that each month contributes to a monthly table that the load has built."""

    @abstractmethod
    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        """Return how many rows each month contributes to the table, including months without rows."""

    @abstractmethod
    def matches_declaration(self, tables: Sequence[Table]) -> bool:
        """Return whether all of the tables exist as declared."""

    def swap_rebuilt(self) -> None:  # noqa: B027
        """Replace tables by those that were rebuilt under temporary names, as the last step."""

    @abstractmethod
    def record(self, report: LoadReport, selection: Selection | None) -> None:
        """Record a load whose checks have passed; `selection` is None if it was built from existing staging rows."""

    def read_held(self) -> Mapping[Month, HeldMonth]:
        """Return the months that were held when they were last loaded."""
        return {}

    def record_held(self, report: LoadReport, scope: MonthRange, held: HeldMonths | None) -> None:  # noqa: B027
        """Record which months are held, and that those of the scope are not; `read_held` was called before."""

    @abstractmethod
    def record_stale_months(self, load_id: str, stale: Mapping[Month, str]) -> None:
        """Replace the recorded stale months by these, each with its reason."""

    @abstractmethod
    def add_stale_months(self, load_id: str, stale: Mapping[Month, str]) -> None:
        """Record that these months, of which none is recorded as stale, are stale; each with its reason."""

    @abstractmethod
    def clear_stale(self, scope: MonthRange) -> None:
        """Record that these months are no longer stale."""
