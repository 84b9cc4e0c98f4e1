"""What a build asks of the engine that makes a lake's tables: relations under names, a stage for objects, and files.
Which relations there are is decided in `tables`; the engines are `duckmaker` and `sparkmaker`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from scx_pipeline.loading.target import StagingTarget
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.model.source import Source
from scx_pipeline.model.column import Column
from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.warehouse.session import Relations


class LakeSession(Relations):
    """An engine that makes tables out of objects and a lake's files, and writes files; nothing of it outlives a build."""

    batch_files: int = 0  # source files read at a time; 0: as many as suits the engine

    @abstractmethod
    def stage(
        self, source: Source, table: Table, scope: LoadScope, name: str
    ) -> AbstractContextManager[StagingTarget]:
        """A staging table's slice, to be made from objects and to stand under a name of the star's schema."""

    @abstractmethod
    def keep(self, name: str, select: str) -> None:
        """Make what a SELECT gives, once, and have it stand under a name of the star's schema, in place of what is there."""

    @abstractmethod
    def define(self, name: str, select: str) -> None:
        """Have a name of the star's schema stand for a SELECT, in place of what is there."""

    @abstractmethod
    def scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        """A SELECT of these columns of a table's files in the lake."""


class LakeEngine(ABC):
    """Opens makers."""

    @abstractmethod
    def schema_of(self, star: Star) -> str:
        """The schema under which a star's tables are known to a maker."""

    @abstractmethod
    def open(self, schema: str, place: LakeStore) -> AbstractContextManager[LakeSession]:
        """A maker for a build of the lake at a place. Raises PipelineError where the engine cannot be had."""
