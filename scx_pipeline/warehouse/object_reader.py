"""Objects that a warehouse reads itself: the request, the result, and the interface.

Which objects are read this way is decided by the load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.column import Column

if TYPE_CHECKING:
    pass


class ServerCopyError(WarehouseError):
    """Objects that the warehouse could not read itself. The transaction is lost; when it is begun anew, none is read so."""


@dataclass(frozen=True)
class CopyRequest:
    """Objects of one make, which a warehouse is to read itself.

    `columns` are those of the files in their order, None for one that is not declared; of JSON, those that are taken.
    """

    format: str  # as a source says it
    suffix: str  # how all of them are compressed
    columns: tuple[Column | None, ...]
    objects: tuple[tuple[str, int], ...]  # URL and bytes
    null_values: tuple[str, ...]  # which stand for no value


@dataclass(frozen=True)
class CopyResult:
    """What a warehouse read of a group: nothing of it has landed yet.

    Doubtful are rows that the parser may read otherwise, or refuse; where there is one, the other facts count for nothing.
    """

    rows: int
    in_scope: int  # rows of the landing's span
    first: datetime | None  # event time
    last: datetime | None
    doubt: str = ""  # what was refused or doubtful; empty where nothing was
    broken: int = 0  # line breaks in texts: each makes its record a line longer
    lines: Mapping[str, int] = field(default_factory=dict)  # by URL, as far as they are told
    etags: Mapping[str, str] = field(default_factory=dict)
    header: int = 0  # lines of each file that are no records


class ObjectReader(ABC):
    """How a warehouse reads a bucket's objects itself, into a landing, where it would take a client longer."""

    least_bytes: int  # of a table's objects, below which they are quicker parsed

    @abstractmethod
    def reads(self, kind: str) -> bool:
        """Whether it reads files of this format (as a source says it) into its table."""

    @abstractmethod
    def read(self, group: CopyRequest) -> CopyResult:
        """Read a group, and look at what came. Raises ServerCopyError where it cannot be read."""

    @abstractmethod
    def keep(self, number: int) -> None:
        """Land the group that was read last, all its rows under one number."""

    @abstractmethod
    def discard(self, number: int) -> None:
        """Remove what landed under a number."""
