"""Loaders: the entry points that load months or refresh the unpartitioned tables of a star in one transaction.

Dagster, settings and the output of commands do not belong here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, IncompleteRebuildError, PipelineError, SourceFileError
from scx_pipeline.loading.held_months import HeldMonths, UnsolvedConflictError
from scx_pipeline.loading.load import run_load, start_load
from scx_pipeline.loading.load_plan import RequestedLoad
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.plan_load import check_month_range, plan_load, tables_to_build
from scx_pipeline.loading.sources.load_source import LoadSource
from scx_pipeline.loading.sources.object_source import ObjectSource
from scx_pipeline.loading.targets.additions_target import AdditionsTarget, FullReadRequiredError
from scx_pipeline.loading.targets.target import LoadTarget
from scx_pipeline.loading.targets.warehouse_target import WarehouseTarget, record_failed_load
from scx_pipeline.model.calendar import UNPARTITIONED, MonthRange
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.warehouse import Warehouse


class Loader(ABC):
    """Loads one star from one source into one target."""

    compiled: CompiledStar
    progress: Progress

    @abstractmethod
    def publish(self, request: RequestedLoad) -> LoadReport:
        """Carry out a request in one transaction of the target: all changes become visible at its end, or none."""

    def record_failure(self, held: HeldMonths) -> None:  # noqa: B027
        """Record the months of a load that published nothing. Raises PipelineError."""

    def load(
        self, scope: MonthRange, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """Load months and publish them with their history in one transaction.

        A month that fails a blocking check or has an unreadable file is held: the load is repeated without it, so it keeps
        its previous rows.

        Args:
            tables: build only these tables and all that depend on them. Without a staging table among them, they are
                built from the current staging rows. None: all monthly tables.
            run_id: the ID of the Dagster run, for the history.

        Raises:
            CheckFailedError: months are held; its report says which, and whether the others were published.
            PipelineError: the load is not possible. Nothing was changed.
        """
        check_month_range(self.compiled.star, scope)
        request = RequestedLoad(scope, tables_to_build(self.compiled, tables), run_id)
        held = HeldMonths(self.compiled, scope)
        while remaining := held.remaining:
            try:
                report = self.publish(replace(request, scope=remaining, held=held))
            except (CheckFailedError, SourceFileError, UnsolvedConflictError) as error:
                if isinstance(error, CheckFailedError) and _is_addition(error):
                    # The verdict on a month must be that on all of its objects.
                    self.progress("added rows fail a check: reading all objects of these months")
                    request = replace(request, reads_all=True)
                    continue
                held.add(error, remaining)
                if held.remaining:
                    months = ", ".join(map(str, sorted(held.months)))
                    self.progress(f"holding {months}; loading the other months")
            except FullReadRequiredError as error:
                self.progress(f"{error}: reading all objects of these months")
                request = replace(request, reads_all=True)
            except IncompleteRebuildError:
                if not held.errors:
                    raise
                break
            else:
                report.is_published = True
                if held.errors:
                    raise held.error_of_some(report)
                return report
        if held.recorded:
            try:
                self.record_failure(held)
            except (
                PipelineError
            ) as error:  # such as of a warehouse that is read-only or not available any more
                self.progress(f"the held months could not be recorded: {error}")
        raise held.error_of_all()

    def refresh(self, run_id: str | None = None) -> LoadReport:
        """Rebuild the unpartitioned tables and publish them with their history in one transaction.

        Months whose rows would now be different are recorded as stale. If their rows would reference missing rows, they
        are rebuilt in the same transaction from the current staging rows.

        Raises:
            CheckFailedError: a blocking check failed. Nothing was changed.
            PipelineError: the load is not possible. Nothing was changed.
        """
        tables = self.compiled.star.unpartitioned_tables
        if not tables:
            raise PipelineError(f"{self.compiled.star.name} has no unpartitioned tables: load months instead")
        names = frozenset(table.name for table in tables)
        report = self.publish(RequestedLoad(UNPARTITIONED, names, run_id))
        for part in (report, *report.rebuilds):
            part.is_published = True
        return report


def _is_addition(error: CheckFailedError) -> bool:
    """Return whether the load that failed has read only the objects that were added to its months."""
    assert isinstance(error.report, LoadReport)
    return error.report.is_addition


def load_in_transaction(
    request: RequestedLoad, source: LoadSource, target: LoadTarget, progress: Progress
) -> LoadReport:
    """Plan a requested load and run it, inside a transaction of its target."""
    plan = plan_load(request, target.compiled, source, target)
    return run_load(start_load(plan, source, target, progress))


@dataclass(frozen=True)
class BucketLoader(Loader):
    """Loads one star from the objects of one bucket into one warehouse."""

    compiled: CompiledStar
    bucket: Bucket
    warehouse: Warehouse
    progress: Progress = lambda message: None

    def publish(self, request: RequestedLoad) -> LoadReport:
        return self.warehouse.run(self.compiled.star.name, partial(self._load, request))

    def record_failure(self, held: HeldMonths) -> None:
        record_failed_load(self.warehouse, self.compiled, held)

    def _load(self, request: RequestedLoad, session: Session) -> LoadReport:
        target = WarehouseTarget(self.compiled, session, self.warehouse.limits.batch_files)
        source = ObjectSource(self.compiled.star, self.bucket, target, self.progress)
        plan = plan_load(request, self.compiled, source, target)
        if plan.additions is not None:
            target = AdditionsTarget(target, self.warehouse.limits)
            source = replace(source, target=target)
        return run_load(start_load(plan, source, target, self.progress))
