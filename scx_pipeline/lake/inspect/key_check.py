"""Duplicate keys and orphan references in a lake: reads the key columns of all files with DuckDB, in bounded memory.

Which files can be read is not decided here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import partition_columns
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.parquet_reader import partition_values
from scx_pipeline.lake.inspect.findings import Finding, file_finding, rebuild_advice
from scx_pipeline.model.column import Column
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.duckdb.duckdb_connection import duckdb_type
from scx_pipeline.warehouse.duckdb.key_bitmap import is_key_unique
from scx_pipeline.warehouse.sql_text import names, quote, string_literal

if TYPE_CHECKING:
    import duckdb

BATCH_BYTES = 1 << 30  # of downloaded files at a time, and as many in transit; local files are not copied
BATCH_FILES = 1_000
MAX_EXAMPLES = 3  # in the text of a finding


@dataclass
class KeyCheck:
    """A check of the keys and references of a star's tables, in the files that can be read."""

    star: Star
    bucket: Bucket  # the star's folder in the lake
    files: Mapping[str, Sequence[DataFile]]  # by table
    infos: Mapping[str, ObjectInfo]  # by key
    limits: Limits
    progress: Callable[[str], None] = lambda message: None
    damaged: set[str] = field(default_factory=set)  # tables whose rows cannot all be read

    def run(self) -> list[Finding]:
        """Return the findings. Raises LakeError if memory or disk runs out, and BucketError if a file disappears."""
        with _connect(self.limits) as con:
            return [*self._read(con), *self._check(con)]

    @property
    def key_columns(self) -> dict[str, tuple[Column, ...]]:
        """The columns to read by table: its key, and those that reference another table."""
        found = {
            table.name: tuple(
                column for column in table.columns if column.name in table.key or column.references
            )
            for table in self.star.tables
        }
        return {name: columns for name, columns in found.items() if columns}

    # Reading

    def _read(self, con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
        listed: list[tuple[str, DataFile]] = []
        for name, columns in self.key_columns.items():
            declared = ", ".join(f"{quote(column.name)} {duckdb_type(column)}" for column in columns)
            con.execute(f"CREATE TABLE {quote(name)} ({declared}, _n INTEGER)")
            listed += [(name, item) for item in self.files.get(name, ())]
        con.execute("CREATE TABLE _files (_n INTEGER, file VARCHAR, month VARCHAR)")
        rows = [(number, item.key, str(item.month or "")) for number, (_, item) in enumerate(listed)]
        for start in range(0, len(rows), BATCH_FILES):
            part = rows[start : start + BATCH_FILES]
            values = ", ".join(["(?, ?, ?)"] * len(part))
            con.execute(f"INSERT INTO _files VALUES {values}", [value for row in part for value in row])
        yield from self._fetch(con, listed)

    def _fetch(
        self, con: duckdb.DuckDBPyConnection, listed: Sequence[tuple[str, DataFile]]
    ) -> Iterator[Finding]:
        chosen = [SelectedObject(name, self.infos[item.key], None) for name, item in listed]
        batches = split_batches(chosen, BATCH_BYTES, BATCH_FILES)
        done = 0
        with self.bucket.fetch_files([[item.info for item in batch] for batch in batches]) as fetched:
            for files in fetched:
                self.progress(f"keys: {done:,} of {len(listed):,} files")
                for group in self._group_files(listed, files):
                    yield from self._insert(con, group[0].table, group)
                done += len(files)

    def _group_files(
        self, listed: Sequence[tuple[str, DataFile]], files: Sequence[LocalFile]
    ) -> Collection[list[_DownloadedFile]]:
        """Group the files by table and by the values of the key columns that folder names hold."""
        numbers = {item.key: number for number, (_, item) in enumerate(listed)}
        groups: dict[tuple[str | None, ...], list[_DownloadedFile]] = defaultdict(list)
        for file in files:
            number = numbers[file.object.key]
            name, item = listed[number]
            read = {column.name for column in self.key_columns[name]}
            folders = [c.name for c in partition_columns(self.star.table(name)) if c.name in read]
            found = partition_values(item.key)
            values = {column: found.get(column) for column in folders}
            groups[(name, *values.values())].append(_DownloadedFile(file.path, number, name, item, values))
        return groups.values()

    def _insert(
        self, con: duckdb.DuckDBPyConnection, name: str, group: Sequence[_DownloadedFile]
    ) -> Iterator[Finding]:
        """Read files of a table with the same folder values; if that fails, read them one by one and report the damaged ones."""
        import duckdb

        try:
            con.execute(_insert_sql(self.star.table(name), self.key_columns[name], group))
        except (duckdb.OutOfMemoryException, duckdb.BinderException):
            raise  # not caused by a file
        except duckdb.Error as error:
            if len(group) > 1:
                for item in group:
                    yield from self._insert(con, name, [item])
                return
            self.damaged.add(name)
            yield file_finding(name, group[0].item, f"the file cannot be read: {_reason(error, group[0])}")

    # Checking

    def _check(self, con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
        for name in self.key_columns:
            table = self.star.table(name)
            if table.key:
                self.progress(f"keys of {name}")
                yield from _duplicate_keys(con, table)
            for column in table.columns:
                if column.references and column.references not in self.damaged:
                    self.progress(f"{name}: references of {column.name}")
                    yield from _orphan_references(con, table, column, self.star.table(column.references))


@dataclass(frozen=True)
class _DownloadedFile:
    """A local copy of a lake file, with its number, its table, and the column values of its folders."""

    path: Path
    number: int
    table: str
    item: DataFile
    values: Mapping[str, str | None]


@contextmanager
def _connect(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB database in a temporary file."""
    import duckdb

    with temporary_folder() as folder:
        try:
            with duckdb.connect(f"{folder}/keys.duckdb") as con:
                con.execute(f"SET memory_limit = {string_literal(limits.memory)}")
                con.execute(f"SET temp_directory = {string_literal(f'{folder}/spilled')}")
                con.execute("SET preserve_insertion_order = false")
                if limits.threads:
                    con.execute(f"SET threads = {limits.threads}")
                yield con
        except duckdb.Error as error:
            raise LakeError(
                f"cannot check the keys: {first_line(error)} (see SCX_MEMORY_LIMIT, and TMPDIR for temporary files)"
            ) from error


def _insert_sql(table: Table, columns: Sequence[Column], group: Sequence[_DownloadedFile]) -> str:
    values = group[0].values
    read = ", ".join(
        f"CAST({_value(values[column.name])} AS {duckdb_type(column)})"
        if column.name in values
        else quote(column.name)
        for column in columns
    )
    paths = ", ".join(string_literal(str(item.path)) for item in group)
    numbers = ", ".join(str(item.number) for item in group)
    return (
        f"INSERT INTO {quote(table.name)} SELECT {read}, [{numbers}][CAST(file_index AS BIGINT) + 1]"
        f" FROM read_parquet([{paths}], hive_partitioning = false)"
    )


def _value(text: str | None) -> str:
    return "NULL" if text is None else string_literal(text)


def _reason(error: duckdb.Error, file: _DownloadedFile) -> str:
    return re.sub(rf'"?{re.escape(str(file.path))}"?', "it", first_line(error))


def _duplicate_keys(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Finding]:
    """Yield a finding if a table has duplicate keys."""
    key, source = names(table.key), quote(table.name)
    if is_key_unique(con, source, [table.column(name) for name in table.key]):
        return
    con.execute(
        f"CREATE OR REPLACE TEMPORARY TABLE _duplicates AS SELECT {key} FROM {source} GROUP BY {key} HAVING count(*) > 1"
    )
    examples = _find_examples(con, source, f"SEMI JOIN _duplicates USING ({key})", table.key)
    if examples:
        [(count,)] = con.execute("SELECT count(*) FROM _duplicates").fetchall()
        yield _finding(table, f"{count:,} duplicate keys, such as {examples.text}", examples)


def _orphan_references(
    con: duckdb.DuckDBPyConnection, table: Table, column: Column, target: Table
) -> Iterator[Finding]:
    """Yield a finding if values of a column are not keys of the table that it references."""
    own, other = f"t.{quote(column.name)}", f"o.{quote(target.key[0])}"
    condition = f"ANTI JOIN {quote(target.name)} AS o ON {own} = {other} WHERE {own} IS NOT NULL"
    examples = _find_examples(con, quote(table.name), condition, [column.name])
    if examples:
        [(count,)] = con.execute(f"SELECT count(*) FROM {quote(table.name)} AS t {condition}").fetchall()
        problem = (
            f"{column.name} is missing in {target.name} in {count_of(count, 'row')}, such as {examples.text}"
        )
        yield _finding(table, problem, examples)


@dataclass(frozen=True)
class _Examples:
    """Some of the rows of a finding, with the months and the file they are in."""

    text: str
    months: Sequence[str]
    file: str  # empty if the rows are in several files


def _find_examples(
    con: duckdb.DuckDBPyConnection, source: str, condition: str, columns: Sequence[str]
) -> _Examples | None:
    """Return examples of the rows of a condition, or None if there are none."""
    listed = names(columns)
    rows = con.execute(
        f"SELECT DISTINCT {listed} FROM {source} AS t {condition} ORDER BY {listed} LIMIT {MAX_EXAMPLES}"
    ).fetchall()
    if not rows:
        return None
    text = ", ".join(" / ".join(map(str, row)) for row in rows)
    found = con.execute(
        f"SELECT DISTINCT month, file FROM _files SEMI JOIN (SELECT _n FROM {source} AS t {condition}) AS n USING (_n)"
    ).fetchall()
    files = {file for _, file in found}
    months = sorted({month for month, _ in found if month})
    return _Examples(f"{', '.join(columns)} {text}", months, files.pop() if len(files) == 1 else "")


def _finding(table: Table, problem: str, examples: _Examples) -> Finding:
    months = examples.months
    hidden = len(months) - MAX_EXAMPLES
    text = ", ".join(months[:MAX_EXAMPLES]) + (f" and {hidden} more" if hidden > 0 else "")
    advice = rebuild_advice(months[0] if len(months) == 1 else None)
    return Finding(table.name, text, examples.file, problem, advice)
