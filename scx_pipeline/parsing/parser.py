"""What the ingestion asks of a format: files into a landing, and for the rows that stay out, where they are and why.
The formats are in modules of their own; counting rows, months and keys is the ingestion's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, ClassVar, Generic, TypeVar

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.values import literal
from scx_pipeline.storage.bucket import Document, LocalFile, ObjectInfo
from scx_pipeline.storage.compression import open_plain, unpacking
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

if TYPE_CHECKING:
    import duckdb

Brought = TypeVar("Brought", LocalFile, Document)

UNKNOWN_REASON = "a value is not of its column's type"


@dataclass(frozen=True)
class Refused:
    """A row that stays out: the line it begins on (from 1), the column that is wrong, why, and its raw text."""

    line: int | None
    column: str | None
    reason: str
    raw: str


@dataclass(frozen=True)
class Outside:
    """Rows whose event time no load of their object may take: a condition over it, and what is said of one."""

    condition: str
    tell: Callable[[datetime], str]


@dataclass(frozen=True)
class UndeclaredFields:
    """Names in a file that are not declared, and declared ones that none of its records has: told, since they are lost."""

    unknown: tuple[str, ...]
    absent: tuple[str, ...] = ()


class Parser(ABC, Generic[Brought]):
    """Reads files of one format into `landing.rows`; a file's rows are marked by its number in `_object`.

    A bad row lands marked by -1 - number, for the ingestion to count and remove.
    """

    can_stream: ClassVar[bool] = False  # whether rows may be staged where they can only be added and removed

    def __init__(
        self, source: Source, table: Table, buffer: StagingBuffer, uri: Callable[[ObjectInfo], str]
    ) -> None:
        self.source, self.table, self.staging_buffer, self.uri = source, table, buffer, uri
        self.con = buffer.con
        self.limit = source.max_stored_rejects
        self.counts: dict[int, int] = {}  # records by number, as they are counted independently of the reader
        self.others: int | None = (
            None  # the most rows that other batches of the load may have; None: not known
        )
        self.ended_early = False  # since the load cannot be published any more, whatever comes
        self.undeclared_fields: dict[int, UndeclaredFields] = {}

    @abstractmethod
    def groups(self, files: Sequence[Brought]) -> Sequence[Sequence[int]]:
        """The files' indices, grouped by what one scan can read; all of them, each once.

        Raises SourceFileError for a file that cannot be read as declared.
        """

    @abstractmethod
    def stage(self, first: int, files: Sequence[Brought]) -> Mapping[int, int]:
        """Land the files of one group, numbered from `first`; how many records of which were refused without landing.

        Raises SourceFileError for a file of which another number of records was read than was counted.
        """

    def staged(self, first: int, last: int) -> dict[int, int]:
        """How many rows landed of each file with one of these numbers, bad ones included; none of others."""
        return dict(
            self.con.execute(
                f"SELECT greatest(_object, -1 - _object), count(*) FROM {self.staging_buffer.rows}"
                f" WHERE _object BETWEEN {first} AND {last} OR _object BETWEEN {-1 - last} AND {-1 - first} GROUP BY 1"
            ).fetchall()
        )

    @abstractmethod
    def explain(self, number: int, file: Brought, records: int, outside: Outside | None) -> list[Refused]:
        """The first rows of a file that stay out, up to `limit`: bad ones, those refused, and those outside; `records` in all.

        Called after all of a batch has landed, and before anything of it is removed.
        """


@contextmanager
def decompressing(file: LocalFile, uri: str) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed. Raises SourceFileError for one that cannot be read, is damaged, or has too many."""
    if file.suffix:
        with unpacking(uri), open_plain(file.path, file.unpacked) as stream:
            yield stream
        return
    try:
        with open_plain(file.path) as stream:
            yield stream
    except OSError as error:
        raise SourceFileError(f"{uri}: the file cannot be read ({error}); upload it again") from None


def paths_of(files: Sequence[LocalFile]) -> str:
    """The files as the list that DuckDB's readers take."""
    return f"[{', '.join(literal(str(file.path)) for file in files)}]"


def compression_of(files: Sequence[LocalFile]) -> str:
    """What DuckDB's readers call the compression of the files, which is the same for all."""
    return {".gz": "gzip", ".zst": "zstd"}.get(files[0].suffix, "none")


def marked(rules: Iterable[tuple[str, str | None, str]], number: str, good: str = "") -> str:
    """The mark of a row: that of a bad one where a rule's condition holds, or else `good`, by default its file's number."""
    bad = " OR ".join(condition for condition, _, _ in rules) or "FALSE"
    return f"CASE WHEN {bad} THEN -1 - ({number}) ELSE {good or number} END"


@contextmanager
def in_any_order(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let both of two threads write as they read: for formats whose bad rows are found again by another scan."""
    con.execute("SET preserve_insertion_order = false")
    try:
        yield
    finally:
        # On another connection, as a statement that failed may have ended this one's transaction; the setting is all connections'.
        con.cursor().execute("RESET preserve_insertion_order")
