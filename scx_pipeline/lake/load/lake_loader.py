"""Loads a warehouse from the lake: tables are filled from the files of the current manifest instead of from source objects.

How an engine loads files does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.lake.format.data_files import MissingFileError
from scx_pipeline.lake.load.lake_load_plan import open_loadable_lake
from scx_pipeline.lake.load.lake_source import LakeSource
from scx_pipeline.loading.held_months import HeldMonths
from scx_pipeline.loading.load_plan import RequestedLoad
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.loader import Loader, load_in_transaction
from scx_pipeline.loading.targets.warehouse_target import WarehouseTarget, record_failed_load
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class LakeLoader(Loader):
    """Loads months of one star from the lake at a URL into one warehouse, with the checks and history of any other load."""

    compiled: CompiledStar
    url: str
    warehouse: Warehouse
    progress: Progress = lambda message: None

    def publish(self, request: RequestedLoad) -> LoadReport:
        """Publish as `Loader.publish` does; try once more if another run replaced files after the manifest was read.

        Raises:
            PipelineError: only some tables of months are requested, although a month must come from one build.
        """
        self._check_tables(request)
        try:
            return self.warehouse.run(self.compiled.star.name, partial(self._load, request))
        except MissingFileError as error:
            self.progress(f"{error}; retrying")
            return self.warehouse.run(self.compiled.star.name, partial(self._load, request))

    def _check_tables(self, request: RequestedLoad) -> None:
        star = self.compiled.star
        names = {table.name for table in star.monthly_tables}
        if request.scope is not UNPARTITIONED and request.tables < names:
            raise PipelineError(
                f"a load from the lake loads all partitioned tables of {star.name}: name all of them, or none"
            )

    def record_failure(self, held: HeldMonths) -> None:
        record_failed_load(self.warehouse, self.compiled, held)

    def _load(self, request: RequestedLoad, session: Session) -> LoadReport:
        target = WarehouseTarget(self.compiled, session, 0)
        # The manifest is read once this load holds the lock, as a bucket is listed then.
        store, manifest = open_loadable_lake(self.compiled.star, self.url)
        self.progress(f"from {store.url}, manifest {manifest.number}")
        # Additions are for objects: the files of a lake are replaced month by month.
        all_rows = replace(request, reads_all=True)
        return load_in_transaction(all_rows, LakeSource(target, store, manifest), target, self.progress)
