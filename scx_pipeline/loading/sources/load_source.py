"""The interface of a load's source: where the rows of its tables come from.

Implementations do not belong here, nor does the order of the stages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType

from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.load_plan import LoadPlan
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.targets.target import StagedPartition
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import Selection


@dataclass(frozen=True)
class StagedTable:
    """The rows of a staging table that are ready to replace its partitions."""

    result: IngestResult
    partition: StagedPartition
    rows: int  # that the partitions must have


class LoadSource(ABC):
    """The rows of a load, from objects or from a lake."""

    # Where the rows come from, if not from objects.
    origin: Mapping[str, str | int] = MappingProxyType({})
    # Checks that only reading the objects can make, if the source does not read them: name and message.
    unchecked: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def select(self, scope: LoadScope, tables: Sequence[Table]) -> Selection:
        """Return the objects that the rows of staging tables come from. Raises PipelineError."""

    @abstractmethod
    def stage(self, plan: LoadPlan, table: Table) -> AbstractContextManager[StagedTable]:
        """Read the rows of a staging table. Raises the errors of `ingest_objects`, or LakeError."""

    def fills(self, table: Table, scope: LoadScope) -> bool:
        """Return whether `fill` provides the rows of a derived table, which are built by its SELECT otherwise."""
        return False

    def fill(self, table: Table, scope: LoadScope) -> None:
        """Replace the rows of a derived table in scope."""
        raise NotImplementedError

    def check_counts(self, report: LoadReport) -> None:  # noqa: B027
        """Compare the rows of the loaded tables with the source's own counts. Raises PipelineError if they differ."""

    def recorded_selection(self, plan: LoadPlan) -> Selection | None:
        """Return the objects that the load history must keep or replace."""
        return plan.selection

    def stale_months(self, scope: MonthRange) -> Mapping[Month, str]:
        """Return the months whose rows in the source are stale, each with the reason."""
        return {}
