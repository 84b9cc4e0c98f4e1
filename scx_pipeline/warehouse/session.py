"""What a load asks of a connection: queries, tables, partitions, staging.

What is published, and when, is decided by the load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, in_scope, latest_per_key, names, qualified, quote
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

if TYPE_CHECKING:
    import pandas as pd

    from scx_pipeline.warehouse.export import Unload
    from scx_pipeline.warehouse.health import HealthReport
    from scx_pipeline.warehouse.parquet_files import ParquetFiles


MANY_ROWS = 2000


@dataclass(frozen=True)
class Relation:
    """What a schema has under a name."""

    kind: str  # table, view, …
    owner: str  # empty where the engine has none
    columns: tuple[tuple[str, str], ...]  # name and the engine's type

    @property
    def is_table(self) -> bool:
        """Whether it is a table of the database itself, whose rows can be replaced."""
        return self.kind == "table"


class Relations(ABC):
    """Tables that can be asked: what checks and comparisons need, wherever a load's tables stand."""

    capabilities: Capabilities

    @abstractmethod
    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all its rows: for small results."""

    @abstractmethod
    def create_temporary(self, name: str, select: str) -> None:
        """Keep what a SELECT gives under a name of one part, for this connection alone."""

    @abstractmethod
    def drop_temporary(self, name: str) -> None:
        """Forget a temporary table."""

    @abstractmethod
    def unload(self, unload: Unload) -> int:
        """Write what a SELECT gives as Parquet files; how many rows. Raises LakeError where they cannot be written."""

    @abstractmethod
    def row_hash(self, columns: Sequence[Column]) -> str:
        """An expression of a row's 64-bit hash over these columns, of this engine alone: equal rows have equal ones."""

    def scratch_session(self, tables: Collection[str]) -> Relations:
        """Where the slices of these tables (qualified names) stand for queries over them alone.

        Here, unless the engine had a load's slices made elsewhere first.
        """
        return self

    def copy_rows(self, scratch: Relations, name: str, columns: Sequence[Column]) -> None:  # noqa: B027
        """Make a temporary table of a workbench stand here under the same name; nothing to do where that is here."""

    def keys_hold(self, schema: str, table: Table) -> bool:
        """Whether the engine itself has verified that the table's key is unique; False leaves it to a query."""
        return False

    def engine_type(self, column: Column) -> str:
        """The engine's type of a column."""
        if column.type == "varchar(max)":
            return self.capabilities.max_text
        return self.capabilities.types.get(column.type, column.type)

    def ordering(self, table: Table, types: Mapping[str, str]) -> list[str]:
        """The terms that order a table's rows newest first: `sequence_by`, then every other column to break ties.

        `types` are the neutral types of the columns that there are to order by.
        """
        others = [name for name in types if name not in (*table.key, *table.sequence_by)]
        return [self._term(name, types[name]) for name in (*table.sequence_by, *others)]

    def _term(self, name: str, kind: str) -> str:
        collation = self.capabilities.collation
        return (
            f"{quote(name)} COLLATE {quote(collation)}"
            if collation and kind.startswith("varchar")
            else quote(name)
        )


class Session(Relations):
    """A connection that reads, and inside `Warehouse.transaction` also writes."""

    def begin(self) -> None:
        """From here on all or nothing stands; may be called again. Before it, only what changes no published row.

        Engines whose connections are always in a transaction roll back what came before it as well.
        """

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement; how many rows it changed, where the engine says so (else -1)."""

    def create_temporary(self, name: str, select: str) -> None:
        self.execute(f"CREATE TEMPORARY TABLE {name} AS {select}")

    def drop_temporary(self, name: str) -> None:
        self.execute(f"DROP TABLE {name}")

    @abstractmethod
    def frame(self, sql: str) -> pd.DataFrame:
        """Run a query and return a pandas frame."""

    def schemas(self) -> set[str]:
        """The schemas that stand."""
        found = self.rows(
            "SELECT schema_name FROM information_schema.schemata WHERE catalog_name = current_database()"
        )
        return {name for (name,) in found}

    def create_schema(self, name: str) -> None:
        """Create a schema that does not stand. Raises WarehouseError where that is not allowed."""
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(name)}")

    @contextmanager
    def apart(self) -> Iterator[Session]:
        """A session for what the loads of all stars share, such as the state tables, so that two do not create it at once.

        It is this one, unless the engine has loads run at once: then what is done in it is committed at its end, before the load.
        """
        yield self

    @abstractmethod
    def columns_of(self, schema: str, tables: Collection[str]) -> dict[str, list[tuple[str, str]]]:
        """Of those of these tables that stand, the columns in order as (name, the engine's type).

        To ask of many at once takes no longer than of one, which is milliseconds on some engines.
        """

    @abstractmethod
    def relations_of(self, schema: str, names: Collection[str]) -> dict[str, Relation]:
        """What the schema has under these names: tables, views, and all else that a table's name would collide with."""

    def layout(self, table: Table) -> str:
        """How the engine stores the table, beyond its columns; a table whose layout changes must be rebuilt."""
        return ""

    def taken_names(self, schema: str, table: Table, scope: LoadScope) -> list[str]:
        """Names beyond the table's own that a load of the span needs, and that tables of others have."""
        return []

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Commit the statements within together, or with the load's transaction where that has started."""
        yield

    def existing_columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """The columns of a table in order as (name, the engine's type); empty where there is no such table."""
        return self.columns_of(schema, [table]).get(table, [])

    def table_exists(self, schema: str, table: str) -> bool:
        """Whether there is such a table."""
        return bool(self.existing_columns(schema, table))

    def differs(self, schema: str, table: Table, standing: Sequence[tuple[str, str]] | None = None) -> bool:
        """Whether the table stands otherwise than it is declared: with other columns, types, or in another order.

        Its columns are asked for, unless they are given.
        """
        if standing is None:
            standing = self.existing_columns(schema, table.name)
        declared = [(column.name, self.engine_type(column).lower()) for column in table.columns]
        return bool(standing) and [(name, kind.lower()) for name, kind in standing] != declared

    def has_state(self) -> bool:
        """Whether anything was ever published here."""
        return self.table_exists(STATE_SCHEMA, "months")

    @abstractmethod
    def condition(self, tables: Sequence[str]) -> HealthReport:
        """What the engine tells of these tables (qualified names), and what to do about it."""

    @abstractmethod
    def maintenance_statements(self, tables: Sequence[str]) -> list[str]:
        """The statements, each of which commits by itself, that leave these tables in good condition."""

    def clear_partition(self, schema: str, table: Table, scope: MonthRange) -> None:
        """Remove the rows of the span from a table that is kept by month."""
        self.execute(f"DELETE FROM {qualified(schema, table)} WHERE {in_scope(table, scope)}")

    @abstractmethod
    def staging_buffer(
        self, schema: str, table: Table, scope: LoadScope
    ) -> AbstractContextManager[StagingBuffer]:
        """Open a landing for a staging table's slice, or the whole of one without months; only `finish` needs `begin`."""

    def streaming_buffer(
        self, schema: str, table: Table, scope: LoadScope
    ) -> AbstractContextManager[StagingBuffer]:
        """As `landing`, for a table without a key that no other table is made from or points to.

        An engine that its rows only pass through on their way need not keep them: see `StagingBuffer.is_streaming`.
        """
        return self.staging_buffer(schema, table, scope)

    def scratch_session(self, tables: Collection[str]) -> Session:
        """Where the slices of these tables (qualified names) stand for queries over them alone.

        Here, unless the engine had a load's slices made elsewhere first. What is made there is taken over with
        `copy_partition` and `copy_rows`.
        """
        return self

    def replace_partition(self, schema: str, table: Table, scope: MonthRange, select: str) -> None:
        """Replace the table's rows of the span by what the SELECT gives."""
        self.execute(f"DELETE FROM {qualified(schema, table)} WHERE {in_scope(table, scope)}")
        self.insert(schema, table, select)

    def copy_partition(self, scratch: Session, schema: str, table: Table, scope: MonthRange) -> None:
        """Replace the table's rows of the span by those that stand on a workbench; nothing to do where that is here."""

    def load_parquet(self, schema: str, table: Table, scope: LoadScope, files: ParquetFiles) -> None:
        """Replace the table's rows of the span, or all of one without months, by those of files.

        Raises WarehouseError unless all of them arrive; it is not looked whether they are of the span.
        """
        target = qualified(schema, table)
        self.execute(f"DELETE FROM {target} WHERE {in_scope(table, scope)}")
        if files.objects:
            self._append_files(target, table.columns, files)

    @abstractmethod
    def _append_files(self, target: str, columns: Sequence[Column], files: ParquetFiles) -> None:
        """Append the rows of files to a table of these columns. Raises WarehouseError unless all of them arrive."""

    def create_table(self, schema: str, table: Table) -> None:
        """Create the table with its key, where the engine has keys, empty."""
        self.execute(self.create_table_sql(f"{quote(schema)}.{quote(table.name)}", table.columns))

    def drop_table(self, schema: str, name: str) -> None:
        """Drop a table of ours."""
        self.execute(f"DROP TABLE {quote(schema)}.{quote(name)}")

    def dependents(self, schema: str, name: str) -> list[str]:
        """What keeps a table from being dropped, such as views of others."""
        return []

    def swap_in(self, schema: str, built: Table, table: Table) -> None:
        """Put a table that was built under another name in the place of the table, at the end of the transaction."""
        if self.table_exists(schema, table.name):
            self.drop_table(schema, table.name)
        self.execute(f"ALTER TABLE {qualified(schema, built)} RENAME TO {quote(table.name)}")

    def insert(self, schema: str, table: Table, select: str) -> int:
        """Insert what the SELECT gives, columns by name."""
        columns = names(table.column_names)
        return self.execute(
            f"INSERT INTO {qualified(schema, table)} ({columns}) SELECT {columns} FROM ({select}) AS q"
        )

    def insert_rows(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows of plain values: by parameters, some hundreds a statement, or in bulk where there are many."""
        if len(rows) > MANY_ROWS:
            self._insert_many(table, columns, rows)
            return
        listed = names([column.name for column in columns])
        row = f"({', '.join([self.capabilities.placeholder] * len(columns))})"
        for start in range(0, len(rows), 200):
            chunk = rows[start : start + 200]
            values = ", ".join([row] * len(chunk))
            self.execute(
                f"INSERT INTO {table} ({listed}) VALUES {values}",
                [value for item in chunk for value in item],
            )

    @abstractmethod
    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Insert many rows of plain values in the engine's own quickest way."""

    def create_latest(
        self, target: str, select: str, keys: Sequence[str], newest_first: Sequence[str]
    ) -> None:
        """Create the temporary table `target`: of `select`, one row per key, the first by the ordering terms.

        A term orders descending, NULL last; the terms must order all rows, so that every engine takes the same one.
        """
        self.create_temporary(target, latest_per_key(select, keys, newest_first))

    def analyze(self, table: str) -> None:
        """Tell the planner what is in a temporary table, where it would guess; a wrong guess costs hours."""

    def create_table_sql(self, target: str, columns: Sequence[Column], kind: str = "") -> str:
        """The CREATE TABLE statement of a list of columns."""
        lines = [f"{quote(column.name)} {self.engine_type(column)}" for column in columns]
        return f"CREATE {kind}TABLE {target} ({', '.join(lines)})"

    def same(self, left: str, right: str, column: Column) -> str:
        """The condition that two terms have exactly the same value of a column, and none of them is NULL."""
        return f"{left} = {right}"

    def keep_latest(self, target: str, table: Table, keys: str, scope: LoadScope) -> None:
        """Of the keys in the table `keys`, leave only the newest row of the span in `target`."""
        columns = names(table.column_names)
        doubled = (
            f"{in_scope(table, scope)} AND ({names(table.key)}) IN (SELECT {names(table.key)} FROM {keys})"
        )
        self.create_latest(
            "_newest",
            f"SELECT {columns} FROM {target} WHERE {doubled}",
            table.key,
            self.ordering(table, {column.name: column.type for column in table.columns}),
        )
        self.execute(f"DELETE FROM {target} WHERE {doubled}")
        self.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM _newest")
        self.execute("DROP TABLE _newest")


def by_table(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Columns as (table, name, type), by table."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in rows:
        found.setdefault(table, []).append((name, kind))
    return found
