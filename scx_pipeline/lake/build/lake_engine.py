"""The protocol between a build and the engine that builds a lake's tables: named relations, staging, and writing files.

Which relations a build needs is not decided here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.loading.targets.target import StagingTarget
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.query_session import QuerySession


class LakeSession(QuerySession):
    """A session that builds tables from objects and a lake's files, and writes files. Its tables exist during one build only."""

    batch_files: int = 0  # source files read at a time; 0: the engine decides

    @abstractmethod
    def stage(self, table: Table, scope: LoadScope, name: str) -> AbstractContextManager[StagingTarget]:
        """Return the target that stages objects as a partition of a table, under this name in the star's schema."""

    @abstractmethod
    def materialize(self, name: str, select: str) -> None:
        """Create or replace a table in the star's schema with the rows of a SELECT, which is run once."""

    @abstractmethod
    def create_view(self, name: str, select: str) -> None:
        """Create or replace a view in the star's schema."""

    @abstractmethod
    def scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        """Return a SELECT of these columns of a table's files in the lake."""


class LakeEngine(ABC):
    """An engine that can build a lake."""

    @abstractmethod
    def schema_name(self, star: Star) -> str:
        """Return the schema that holds a star's tables in a session."""

    @abstractmethod
    def open(self, schema: str, store: LakeStore) -> AbstractContextManager[LakeSession]:
        """Open a session for a build of the lake in `store`. Raises PipelineError if the engine is not available."""
