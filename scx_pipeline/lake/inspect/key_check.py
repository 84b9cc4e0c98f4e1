"""Keys that stand twice in a lake, and references to what is not there: the key columns, read by DuckDB in bounded memory.
Which files may be read is decided in `verify`; what else may be wrong with them is in `findings`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import folders_of
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.parquet_reader import folder_values
from scx_pipeline.lake.inspect.findings import Finding, anew, of_file
from scx_pipeline.model.column import Column
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.values import literal
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.bucket import Bucket, LocalFile, ObjectInfo
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import duckdb_type, surely_unique
from scx_pipeline.warehouse.sql_text import names, quote

if TYPE_CHECKING:
    import duckdb

BATCH_BYTES = (
    1 << 30
)  # of files that are here at a time, and as many again that come; of a folder, none is copied
BATCH_FILES = 1_000
SHOWN = 3  # examples of a finding


@dataclass
class KeyCheck:
    """The keys and references of a star's tables, in the files that may be read."""

    star: Star
    bucket: Bucket  # the star's folder in the lake
    files: Mapping[str, Sequence[DataFile]]  # by table
    infos: Mapping[str, ObjectInfo]  # by key
    limits: Limits
    progress: Callable[[str], None] = lambda message: None
    damaged: set[str] = field(default_factory=set)  # tables of which not all rows can be read

    def run(self) -> list[Finding]:
        """What is wrong. Raises LakeError where there is no room for it, and BucketError for a file that went away."""
        with _connect(self.limits) as con:
            return [*self._read(con), *self._look(con)]

    @property
    def needed(self) -> dict[str, tuple[Column, ...]]:
        """Of each table, the columns that are read: its key, and those that point to another table."""
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
        for name, columns in self.needed.items():
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
        with self.bucket.fetch([[item.info for item in batch] for batch in batches]) as fetched:
            for files in fetched:
                self.progress(f"keys: {done:,} of {len(listed):,} files")
                for group in self._groups(listed, files):
                    yield from self._insert(con, group[0].table, group)
                done += len(files)

    def _groups(
        self, listed: Sequence[tuple[str, DataFile]], files: Sequence[LocalFile]
    ) -> Collection[list[_Local]]:
        """The files by their table and the values of those of its columns that are read from folders' names."""
        numbers = {item.key: number for number, (_, item) in enumerate(listed)}
        groups: dict[tuple[str | None, ...], list[_Local]] = defaultdict(list)
        for file in files:
            number = numbers[file.object.key]
            name, item = listed[number]
            read = {column.name for column in self.needed[name]}
            folders = [column.name for column in folders_of(self.star.table(name)) if column.name in read]
            found = folder_values(item.key)
            values = {column: found.get(column) for column in folders}
            groups[(name, *values.values())].append(_Local(file.path, number, name, item, values))
        return groups.values()

    def _insert(
        self, con: duckdb.DuckDBPyConnection, name: str, group: Sequence[_Local]
    ) -> Iterator[Finding]:
        """Read a table's files, all of the same folders as far as those are read; those that cannot be are told one by one."""
        import duckdb

        try:
            con.execute(_insert_sql(self.star.table(name), self.needed[name], group))
        except (duckdb.OutOfMemoryException, duckdb.BinderException):
            raise  # not the file's fault
        except duckdb.Error as error:
            if len(group) > 1:
                for item in group:
                    yield from self._insert(con, name, [item])
                return
            self.damaged.add(name)
            yield of_file(name, group[0].item, f"the file cannot be read: {_reason(error, group[0])}")

    # Looking

    def _look(self, con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
        for name in self.needed:
            table = self.star.table(name)
            if table.key:
                self.progress(f"keys of {name}")
                yield from _duplicate_keys(con, table)
            for column in table.columns:
                if column.references and column.references not in self.damaged:
                    self.progress(f"{name}: what {column.name} points to")
                    yield from _dangling(con, table, column, self.star.table(column.references))


@dataclass(frozen=True)
class _Local:
    """A file of the lake that is here: where, its number, whose it is, and the values of the folders it is in."""

    path: Path
    number: int
    table: str
    item: DataFile
    values: Mapping[str, str | None]


@contextmanager
def _connect(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB whose tables are in a temporary file, and gone afterwards."""
    import duckdb

    with temporary_folder() as folder:
        try:
            with duckdb.connect(f"{folder}/keys.duckdb") as con:
                con.execute(f"SET memory_limit = {literal(limits.memory)}")
                con.execute(f"SET temp_directory = {literal(f'{folder}/spilled')}")
                con.execute("SET preserve_insertion_order = false")
                if limits.threads:
                    con.execute(f"SET threads = {limits.threads}")
                yield con
        except duckdb.Error as error:
            raise LakeError(
                f"the keys cannot be looked at: {first_line(error)} (SCX_MEMORY_LIMIT, and TMPDIR for what does not fit)"
            ) from error


def _insert_sql(table: Table, columns: Sequence[Column], group: Sequence[_Local]) -> str:
    values = group[0].values
    read = ", ".join(
        f"CAST({_value(values[column.name])} AS {duckdb_type(column)})"
        if column.name in values
        else quote(column.name)
        for column in columns
    )
    paths = ", ".join(literal(str(item.path)) for item in group)
    numbers = ", ".join(str(item.number) for item in group)
    return (
        f"INSERT INTO {quote(table.name)} SELECT {read}, [{numbers}][CAST(file_index AS BIGINT) + 1]"
        f" FROM read_parquet([{paths}], hive_partitioning = false)"
    )


def _value(text: str | None) -> str:
    return "NULL" if text is None else literal(text)


def _reason(error: duckdb.Error, local: _Local) -> str:
    return re.sub(rf'"?{re.escape(str(local.path))}"?', "it", first_line(error))


def _duplicate_keys(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Finding]:
    """A finding on the keys of a table that stand more than once, if there are any."""
    key, source = names(table.key), quote(table.name)
    if surely_unique(con, source, [table.column(name) for name in table.key]):
        return
    con.execute(
        f"CREATE OR REPLACE TEMPORARY TABLE _doubled AS SELECT {key} FROM {source} GROUP BY {key} HAVING count(*) > 1"
    )
    told = _told(con, source, f"SEMI JOIN _doubled USING ({key})", table.key)
    if told:
        [(count,)] = con.execute("SELECT count(*) FROM _doubled").fetchall()
        yield _finding(table, f"{count:,} keys stand more than once, such as {told[0]}", told)


def _dangling(
    con: duckdb.DuckDBPyConnection, table: Table, column: Column, target: Table
) -> Iterator[Finding]:
    """A finding on a column's values that are no key of the table it points to, if there are any."""
    own, other = f"t.{quote(column.name)}", f"o.{quote(target.key[0])}"
    condition = f"ANTI JOIN {quote(target.name)} AS o ON {own} = {other} WHERE {own} IS NOT NULL"
    told = _told(con, quote(table.name), condition, [column.name])
    if told:
        [(count,)] = con.execute(f"SELECT count(*) FROM {quote(table.name)} AS t {condition}").fetchall()
        yield _finding(table, f"{count:,} rows point to no row of {target.name}, such as {told[0]}", told)


Told = tuple[str, Collection[str], str]  # examples, months, and a file where there is one


def _told(con: duckdb.DuckDBPyConnection, source: str, condition: str, columns: Sequence[str]) -> Told | None:
    """Examples of the rows of a condition, and the months and files they are in; nothing where there are none."""
    listed = names(columns)
    rows = con.execute(
        f"SELECT DISTINCT {listed} FROM {source} AS t {condition} ORDER BY {listed} LIMIT {SHOWN}"
    ).fetchall()
    if not rows:
        return None
    examples = ", ".join(" / ".join(map(str, row)) for row in rows)
    found = con.execute(
        f"SELECT DISTINCT month, file FROM _files SEMI JOIN (SELECT _n FROM {source} AS t {condition}) AS n USING (_n)"
    ).fetchall()
    files = {file for _, file in found}
    months = sorted({month for month, _ in found if month})
    return f"{', '.join(columns)} {examples}", months, files.pop() if len(files) == 1 else ""


def _finding(table: Table, what: str, told: Told) -> Finding:
    _, months, file = told
    shown = [*months][:SHOWN]
    text = ", ".join(shown) + (f" and {len(months) - SHOWN} more" if len(months) > SHOWN else "")
    return Finding(table.name, text, file, what, anew(shown[0] if len(months) == 1 else None))
