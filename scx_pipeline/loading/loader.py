"""A load: one span of a star's months, or its tables without months, from the bucket to where they stand, all at once.
Each step is a module of its own; Dagster, the settings and the command's output live elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.load_run import LoadRun, RefreshRun
from scx_pipeline.loading.target import LoadTarget
from scx_pipeline.loading.warehouse_target import WarehouseTables
from scx_pipeline.model.calendar import UNPARTITIONED, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.warehouse.warehouse import Warehouse


class Loader(ABC):
    """The way of one star's objects from one bucket to where its tables stand."""

    compiled: CompiledStar
    bucket: Bucket
    progress: Progress

    @abstractmethod
    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        """Do the work where the tables stand; what it did there becomes visible at its end, all of it or nothing."""

    def load(
        self, scope: MonthRange, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """Load a span of months and publish it, history included, in one transaction.

        `tables` names some of the star's tables: these and all that are made from them are made anew; without a staging
        table among them, from the staging rows that stand. Raises CheckFailedError, with the report, when a blocking check
        fails, and another PipelineError when the load cannot be done; nothing is changed then.
        """
        check_range(self.compiled.star, scope)
        names = self._tables_to_make(tables)
        return self.publish(lambda target: self._load_run(target, scope, names, run_id).execute())

    def refresh(self, run_id: str | None = None) -> LoadReport:
        """Make the star's tables without months anew and publish them, history included, in one transaction.

        Months whose rows are not what they would be now are noted as stale. Where their rows would point to what is
        gone, they are made anew at once, from the staging rows that stand. Raises as `load`.
        """
        if not self.compiled.star.unpartitioned:
            raise PipelineError(
                f"{self.compiled.star.name} has no tables without months: load months instead"
            )
        names = {table.name for table in self.compiled.star.unpartitioned}
        return self.publish(lambda target: self._refresh_run(target, names, run_id).execute())

    def _load_run(
        self, target: LoadTarget, scope: MonthRange, names: set[str], run_id: str | None
    ) -> LoadRun:
        return LoadRun(self, target, scope, names, run_id)

    def _refresh_run(self, target: LoadTarget, names: set[str], run_id: str | None) -> RefreshRun:
        return RefreshRun(self, target, UNPARTITIONED, names, run_id)

    def _tables_to_make(self, tables: Collection[str] | None) -> set[str]:
        star = self.compiled.star
        known = [table.name for table in star.monthly]
        for name in tables or ():
            if name in [table.name for table in star.unpartitioned]:
                raise PipelineError(f"{name} of {star.name} has no months: refresh it instead")
            if name not in known:
                raise PipelineError(f"{name} is no table of {star.name}, which has: {', '.join(known)}")
        return self.compiled.downstream(set(tables or known))


@dataclass(frozen=True)
class BucketLoader(Loader):
    """Loads spans of one star from one bucket into one warehouse."""

    compiled: CompiledStar
    bucket: Bucket
    warehouse: Warehouse
    progress: Progress = lambda message: None

    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        files = self.warehouse.limits.batch_files
        return self.warehouse.run(
            self.compiled.star.name, lambda session: work(WarehouseTables(self.compiled, session, files))
        )


def check_range(star: Star, scope: MonthRange) -> None:
    """Raise PipelineError for a span that reaches outside the months the star may hold."""
    months = star.months()
    for month in (scope.first, scope.last):
        if month not in months:
            raise PipelineError(
                f"{month} is no month of {star.name}, which goes from {months.first} to {months.last} (this month, UTC)"
            )
