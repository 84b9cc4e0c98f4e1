"""Objects that a warehouse reads itself: the request, the result, and the interface.

Which objects are read this way is decided by the load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source


class ServerCopyError(WarehouseError):
    """The warehouse cannot read objects itself: the transaction is lost, and its retry parses all objects."""


@dataclass(frozen=True)
class CopyRequest:
    """Objects of the same format and columns for a warehouse to read.

    `columns` are those of the files in order, None for an undeclared one; of JSON, those that are read.
    """

    format: str  # as in the source's declaration
    suffix: str  # of the compression of all files
    columns: tuple[Column | None, ...]
    objects: tuple[tuple[str, int], ...]  # URL and bytes
    null_values: tuple[str, ...]


@dataclass(frozen=True)
class CopyResult:
    """What a warehouse read of a request; nothing is staged yet.

    If `client_parsing_reason` is set, the parser may read or reject some rows differently, and the other facts do not count.
    """

    rows: int
    in_scope: int  # rows in the scope of the load
    first: datetime | None  # event time
    last: datetime | None
    client_parsing_reason: str = ""
    line_breaks: int = 0  # in texts: each makes its record a line longer
    lines: Mapping[str, int] = field(default_factory=dict)  # by URL, as far as reported
    etags: Mapping[str, str] = field(default_factory=dict)
    header_lines: int = 0  # of each file


class ObjectReader(ABC):
    """A warehouse's own way to read a bucket's objects, where it is faster than a client."""

    min_bytes: int  # of a table's objects; fewer are parsed faster
    suffixes: Collection[str]  # of the compressed files that it reads

    @abstractmethod
    def can_read(self, source: Source) -> bool:
        """Return whether it reads files of this format and dialect into its table."""

    @abstractmethod
    def read(self, request: CopyRequest) -> CopyResult:
        """Read objects and examine their rows. Raises ServerCopyError if they cannot be read."""

    @abstractmethod
    def stage(self, number: int) -> None:
        """Stage the rows of the last read, all under one object number."""

    @abstractmethod
    def discard(self, number: int) -> None:
        """Remove the rows staged under an object number."""
