"""What every format's parser provides: it stages files, and finds the rows that it rejects.

Counting rows per object, month or key belongs to the ingestion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.rejection_reasons import describe_violation
from scx_pipeline.parsing.row_markers import OBJECT_NUMBER, Rule, belongs_to
from scx_pipeline.parsing.timestamp_text import IN_CALENDAR
from scx_pipeline.parsing.value_rules import select_first_violations
from scx_pipeline.storage.local_file import Document, LocalFile
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.sql_text import quote, string_literal
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Fetched = TypeVar("Fetched", LocalFile, Document)
Inspected = TypeVar("Inspected")

UNKNOWN_REASON = "a value is not of its column's type"


@dataclass(frozen=True)
class RowsOutOfRange:
    """Rows of an object whose event time is outside the months that the object may contain.

    `condition` is SQL over the event time; `describe` returns the reason for one of these rows.
    """

    condition: str
    describe: Callable[[datetime], str]


@dataclass(frozen=True, slots=True)
class Violation:
    """The first rule that a row breaks: the row's place, the rule's index, the column at fault and the reason."""

    place: int
    rule: int
    column: str | None
    reason: str


@dataclass(frozen=True)
class UndeclaredFields:
    """Names in a file that are not declared, and declared names that none of its records has.

    Their values are lost, so the load reports them.
    """

    unknown: tuple[str, ...]
    absent: tuple[str, ...] = ()


class Parser(ABC, Generic[Fetched]):
    """Stages files of one format in `buffer.rows`; the column `_object` marks a row with its file's number.

    Rejected rows are staged as well, with a marker of their own: the ingestion counts and removes them.

    A file that cannot be read as declared either fails the load or counts as one rejected row, as the source's
    `on_invalid_file` says.
    """

    can_stream: ClassVar[bool] = (
        False  # whether the staging buffer may be one that only adds and removes rows
    )

    def __init__(
        self, source: Source, table: Table, buffer: StagingBuffer, uri: Callable[[ObjectInfo], str]
    ) -> None:
        self.source, self.table, self.staging_buffer, self.uri = source, table, buffer, uri
        self.con = buffer.con
        self.max_rejects = source.max_stored_rejects
        # By file number, counted independently of the reader.
        self.record_counts: dict[int, int] = {}
        # The most rows that the load's other batches may have; None if unknown.
        self.max_other_records: int | None = None
        # Set when so many rows were rejected that the load cannot be published.
        self.ended_early = False
        self.undeclared_fields: dict[int, UndeclaredFields] = {}
        # The reasons of files of the current batch that are rejected as a whole.
        self.rejected_files: dict[Fetched, str] = {}

    def group_files(self, files: Sequence[Fetched]) -> Sequence[Sequence[int]]:
        """Group the files' indices by what one scan can read; every file is in one group, invalid ones in one of their own.

        Raises SourceFileError for a file that cannot be read as declared, unless the source rejects such files.
        """
        self.rejected_files.clear()
        groups: Sequence[Sequence[int]] = self._group_valid(files)
        invalid = [index for index, file in enumerate(files) if file in self.rejected_files]
        return [group for group in [*groups, invalid] if group]

    @abstractmethod
    def _group_valid(self, files: Sequence[Fetched]) -> Sequence[Sequence[int]]:
        """Reject the files that cannot be read as declared, and group the indices of the others."""

    def stage(self, first: int, files: Sequence[Fetched]) -> Mapping[int, int]:
        """Stage the files of one group; of a file that turns out to be invalid, nothing stays staged.

        Args:
            first: The number of the first file; the others follow.
            files: The files of the group.

        Returns:
            How many records were rejected without being staged, by file number.

        Raises:
            SourceFileError: A file cannot be read as declared, or gave another number of records than were counted in
                its bytes, unless the source rejects such files.
        """
        valid = {number: file for number, file in enumerate(files, first) if file not in self.rejected_files}
        unstaged = dict(self._stage_valid(first, files)) if valid else {}
        for number, file in valid.items():
            if file in self.rejected_files:
                self.staging_buffer.remove(belongs_to(number, number))
                self.record_counts.pop(number, None)
                self.undeclared_fields.pop(number, None)
        return unstaged | {
            number: 1 for number, file in enumerate(files, first) if file in self.rejected_files
        }

    @abstractmethod
    def _stage_valid(self, first: int, files: Sequence[Fetched]) -> Mapping[int, int]:
        """Stage the files of a group without invalid ones, as `stage` does, and reject those that turn out to be invalid."""

    def reject_file(self, file: Fetched, error: SourceFileError, reason: str = "") -> None:
        """Reject a file as a whole, with this reason or the error's. Raises the error if the source does not reject files."""
        error.key = file.object.key
        if self.source.on_invalid_file == "fail":
            raise error
        self.rejected_files[file] = reason or str(error).removeprefix(self.uri(file.object)).lstrip(" ,:")

    @contextmanager
    def rejecting(self, file: Fetched) -> Iterator[None]:
        """Reject the file if the block finds that it cannot be read as declared."""
        try:
            yield
        except SourceFileError as error:
            self.reject_file(file, error)

    def inspect_files(
        self, files: Sequence[Fetched], inspect: Callable[[Fetched], Inspected], threads: int
    ) -> dict[Fetched, Inspected]:
        """Return what the inspection finds for each valid file, and reject the others."""
        found = {}

        def inspect_file(file: Fetched) -> None:
            with self.rejecting(file):
                found[file] = inspect(file)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(inspect_file, files))
        return found

    def count_staged(self, first: int, last: int) -> dict[int, int]:
        """Return how many rows, rejected ones included, were staged of each file numbered from `first` to `last`."""
        return dict(
            self.con.execute(
                f"SELECT {OBJECT_NUMBER}, count(*) FROM {self.staging_buffer.rows}"
                f" WHERE {belongs_to(first, last)} GROUP BY 1"
            ).fetchall()
        )

    def find_rejected(
        self, number: int, file: Fetched, records: int, out_of_range: RowsOutOfRange | None
    ) -> list[RejectedRow]:
        """Return the first `max_rejects` rejected rows of a file, in the order of the file.

        It is called when a whole batch is staged, before any of its rows is removed.

        Args:
            number: The file's number.
            file: The file.
            records: How many records the file has.
            out_of_range: The rows that are rejected for their event time, if there are any.
        """
        if file in self.rejected_files:
            return [RejectedRow(file.object.key, None, None, self.rejected_files[file], "")]
        try:
            return self._find_rejected_rows(number, file, records, out_of_range)
        except SourceFileError as error:  # the file was valid before, so it has changed
            error.key = file.object.key
            raise

    @abstractmethod
    def _find_rejected_rows(
        self, number: int, file: Fetched, records: int, out_of_range: RowsOutOfRange | None
    ) -> list[RejectedRow]:
        """Return the rejected rows of a valid file."""

    def _find_violations(
        self,
        rows: str,
        rules: Sequence[Rule],
        place: str,
        out_of_range: RowsOutOfRange | None,
        written: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Violation]:
        """Return which rows break a rule or are out of range, in the order of their places.

        Args:
            rows: A SELECT of typed rows.
            rules: The rules, in the order in which reasons are reported.
            place: The column of the rows that locates a record in its file.
            out_of_range: The rows that are rejected for their event time.
            written: Texts of columns, as for `select_first_violations`.
        """
        checked, time = [*rules], "NULL"
        if out_of_range:
            # Python has no other years, and a rejected row may have any.
            event_time = quote(self.table.event_time_column)
            time = f"CASE WHEN {event_time} {IN_CALENDAR} THEN {event_time} END"
            checked.append((f"COALESCE({out_of_range.condition}, FALSE)", self.table.event_time_column, ""))
        select = select_first_violations(rows, self.table.columns, checked, f"{place}, {time}", written)
        found = []
        for number, event, index, value in self.con.execute(
            f"{select} ORDER BY 1 LIMIT {self.max_rejects}"
        ).fetchall():
            _, column, reason = checked[index]
            if out_of_range and index == len(rules):
                reason = out_of_range.describe(event)
            else:
                reason = describe_violation(reason, value)
            found.append(Violation(number, index, column, reason))
        return found


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[str]:
    """Register an Arrow table as a relation, and yield its quoted name."""
    con.register(name.strip('"'), table)
    try:
        yield name
    finally:
        con.unregister(name.strip('"'))


def path_list(files: Sequence[LocalFile]) -> str:
    """Return the files' paths as the list that DuckDB's readers take."""
    return f"[{', '.join(string_literal(str(file.path)) for file in files)}]"


def compression_name(files: Sequence[LocalFile]) -> str:
    """Return the files' compression, which is the same for all, as DuckDB's readers call it."""
    return {".gz": "gzip", ".zst": "zstd"}.get(files[0].suffix, "none")


@contextmanager
def unordered_inserts(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let all threads write as they read, for formats that find their rejected rows by another scan."""
    con.execute("SET preserve_insertion_order = false")
    try:
        yield
    finally:
        # The setting belongs to all connections, and a failed statement may have ended this one's transaction.
        con.cursor().execute("RESET preserve_insertion_order")
