"""What a load does, as data: its scope, the tables that it builds, the objects that it reads, and its stages.

Carrying out a plan does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from scx_pipeline.loading.held_months import HeldMonths
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.planning.added_objects import AddedObjects
from scx_pipeline.planning.selection import SelectedObject, Selection


class Stage(Enum):
    """A stage of a load; a plan lists its stages in order."""

    PREPARE = auto()  # create missing tables, and rebuild those that differ from their declaration
    STAGE = auto()  # replace the partitions of the staging tables
    TRANSFORM = auto()  # build the derived tables
    CHECK = auto()  # check the rows of the tables that were built
    FIND_STALE = (
        auto()
    )  # after a refresh: find the months that would now differ, rebuild those that cannot wait
    CHECK_REFERENCES = auto()  # check the references of other tables to those that were built
    RECORD = auto()  # write the load history
    SWAP = auto()  # replace tables by those that were rebuilt under temporary names


LOAD = (
    Stage.PREPARE, Stage.STAGE, Stage.TRANSFORM, Stage.CHECK, Stage.CHECK_REFERENCES, Stage.RECORD, Stage.SWAP,
)  # fmt: skip
LOAD_FROM_STAGING = tuple(stage for stage in LOAD if stage is not Stage.STAGE)
REFRESH = (
    Stage.PREPARE, Stage.STAGE, Stage.TRANSFORM, Stage.CHECK, Stage.FIND_STALE, Stage.CHECK_REFERENCES, Stage.RECORD,
    Stage.SWAP,
)  # fmt: skip
REBUILD_MONTHS = (Stage.TRANSFORM, Stage.CHECK, Stage.CHECK_REFERENCES, Stage.RECORD)


@dataclass(frozen=True)
class RequestedLoad:
    """A load that was requested."""

    scope: LoadScope
    tables: frozenset[str]  # that it builds
    run_id: str | None = None  # of Dagster
    # The months that earlier attempts had to hold, which are not in the scope.
    held: HeldMonths | None = None
    # Whether all objects of the months must be read, even if only some were added.
    reads_all: bool = False


@dataclass(frozen=True)
class LoadPlan:
    """How a requested load is carried out."""

    request: RequestedLoad
    stages: Sequence[Stage]
    selection: Selection | None  # None: the tables are built from the current staging rows
    # What was added to the months, if only that is read; None: everything is read.
    additions: AddedObjects | None = None

    @property
    def scope(self) -> LoadScope:
        return self.request.scope

    @property
    def tables(self) -> frozenset[str]:
        return self.request.tables

    def objects_of(self, sources: Collection[str]) -> list[SelectedObject]:
        """Return the objects of sources that the load reads, in key order of each."""
        assert self.selection is not None
        if self.additions is not None:
            return [item for item in self.additions.added if item.source in sources]
        if self.scope is UNPARTITIONED:
            return [item for item in self.selection.unpartitioned_objects if item.source in sources]
        return [item for item in self.selection.objects_of(self.scope) if item.source in sources]
