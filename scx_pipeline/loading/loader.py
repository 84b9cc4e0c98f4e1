"""Loaders: the entry points that load months or refresh the unpartitioned tables of a star in one transaction.

Dagster, settings and the output of commands do not belong here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.load_run import LoadContext, LoadRun, RefreshRun
from scx_pipeline.loading.target import LoadTarget
from scx_pipeline.loading.warehouse_target import WarehouseTarget
from scx_pipeline.model.calendar import UNPARTITIONED, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.warehouse.warehouse import Warehouse


class Loader(LoadContext, ABC):
    """Loads one star from one bucket into one target."""

    @abstractmethod
    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        """Run the work in a transaction of the target: all of its changes become visible at its end, or none."""

    def load(
        self, scope: MonthRange, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """Load months and publish them with their history in one transaction.

        Args:
            tables: build only these tables and all that depend on them. Without a staging table among them, they are
                built from the current staging rows. None: all monthly tables.
            run_id: the ID of the Dagster run, for the history.

        Raises:
            CheckFailedError: a blocking check failed; the error has the report. Nothing was changed.
            PipelineError: the load is not possible. Nothing was changed.
        """
        check_month_range(self.compiled.star, scope)
        names = self._tables_to_build(tables)
        return self.publish(lambda target: self._load_run(target, scope, names, run_id).execute())

    def refresh(self, run_id: str | None = None) -> LoadReport:
        """Rebuild the unpartitioned tables and publish them with their history in one transaction.

        Months whose rows would now be different are recorded as stale. If their rows would reference missing rows, they
        are rebuilt in the same transaction from the current staging rows. Raises the errors of `load`.
        """
        if not self.compiled.star.unpartitioned_tables:
            raise PipelineError(f"{self.compiled.star.name} has no unpartitioned tables: load months instead")
        names = {table.name for table in self.compiled.star.unpartitioned_tables}
        return self.publish(lambda target: self._refresh_run(target, names, run_id).execute())

    def _load_run(
        self, target: LoadTarget, scope: MonthRange, names: set[str], run_id: str | None
    ) -> LoadRun:
        return LoadRun(self, target, scope, names, run_id)

    def _refresh_run(self, target: LoadTarget, names: set[str], run_id: str | None) -> RefreshRun:
        return RefreshRun(self, target, UNPARTITIONED, names, run_id)

    def _tables_to_build(self, tables: Collection[str] | None) -> set[str]:
        star = self.compiled.star
        known = [table.name for table in star.monthly_tables]
        for name in tables or ():
            if name in [table.name for table in star.unpartitioned_tables]:
                raise PipelineError(f"{name} of {star.name} is unpartitioned: refresh it instead")
            if name not in known:
                raise PipelineError(f"{name} is not a table of {star.name}, which has: {', '.join(known)}")
        return self.compiled.downstream(set(tables or known))


@dataclass(frozen=True)
class BucketLoader(Loader):
    """Loads one star from the objects of one bucket into one warehouse."""

    compiled: CompiledStar
    bucket: Bucket
    warehouse: Warehouse
    progress: Progress = lambda message: None

    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        files = self.warehouse.limits.batch_files
        return self.warehouse.run(
            self.compiled.star.name, lambda session: work(WarehouseTarget(self.compiled, session, files))
        )


def check_month_range(star: Star, scope: MonthRange) -> None:
    """Check that all months belong to the star. Raises PipelineError."""
    months = star.months()
    for month in (scope.first, scope.last):
        if month not in months:
            raise PipelineError(
                f"{month} is not a month of {star.name}, which goes from {months.first} to {months.last} (the current month, UTC)"
            )
