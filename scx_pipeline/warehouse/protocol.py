"""What the engine asks of a warehouse: capabilities as data, a transaction, and a landing for parsed rows.
No driver is imported here, and nothing here decides what a star's rows are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.star import UNPARTITIONED, Column, LoadScope, MonthRange, Table

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from scx_pipeline.warehouse.export import Unload
    from scx_pipeline.warehouse.health import HealthReport
    from scx_pipeline.warehouse.parquet_files import ParquetFiles
    from scx_pipeline.warehouse.roles import Roles

STATE_SCHEMA = (
    "scx_pipeline"  # the engine's own schema: load history, objects, rejected rows, months' newest rows
)
_ENGINES = {"duckdb": "duckdb", "postgresql": "postgres", "postgres": "postgres", "redshift": "redshift"}

MANY_ROWS = 2000

Result = TypeVar("Result")

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Capabilities:
    """How an engine differs from the others, as data."""

    name: str
    dialect: str  # the name sqlglot knows it by
    types: Mapping[
        str, str
    ]  # neutral type → the engine's; varchar(n) and decimal(p,s) fall back to themselves
    placeholder: str  # of a parameter in a statement
    collation: (
        str  # by which texts are compared by their bytes, as the other engines do; none where they are anyway
    )
    max_text: str  # the type of varchar(max)
    sunday: int = 0  # the number that EXTRACT(DOW …) gives it; Redshift says 0
    folders_at_once: bool = (
        False  # whether it writes all folders of a table to a lake at once; others, month by month
    )
    readers_wait: bool = False  # whether readers of a dropped table wait for the commit, so that one that is rebuilt is replaced last
    writes_to: str = ""  # what a lake's URL must begin with; anything: a folder's and a bucket's


@dataclass(frozen=True)
class Limits:
    """What a run may take: memory, threads and files at a time for parsing, and seconds to wait for another run's lock."""

    memory: str = "400MB"
    threads: int = 0
    batch_files: int = 0  # 0: as many as suits the landing
    lock_timeout: float = 300
    statement_timeout: float = 0  # seconds that a server may take for one statement; 0: as long as it takes


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


OBJECT = Column(name="_object", type="integer", description="the number of the source object")


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


class StagingBuffer(ABC):
    """Where parsed rows arrive: a DuckDB table `rows` on `con`, from which they go to the warehouse's own table.

    `rows` has the table's columns plus `_object` (the number of the source object). The reader fills it batch by batch
    and removes what must not go on; after each batch comes `flush`, and the rows stay until `finish` makes the slice
    stand. Where they do not (`is_streaming`), they can only be looked at before the flush, and only `add` and `remove` change
    them.
    """

    con: duckdb.DuckDBPyConnection
    rows: str
    is_streaming: bool = False  # whether the rows have left with the flush
    batch_bytes: int | None  # of source objects between two flushes; None: as many as there are
    batch_files: int = 2_000  # at most: one scan of many more takes more memory, and no less time
    reader: ObjectReader | None = None  # where the warehouse can read objects itself

    @property
    def in_transaction(self) -> bool:
        """Whether a statement that fails ends a transaction, with all that landed before."""
        return False

    def add(self, select: str) -> int:
        """Land what the SELECT gives, the table's columns in order and the object's number; how many rows.

        Raises duckdb.Error, and then nothing of it has landed.
        """
        landed = self.con.execute(f"INSERT INTO {self.rows} {select}").fetchone()
        assert landed is not None
        return int(landed[0])

    def remove(self, condition: str) -> None:
        """Take rows away again."""
        self.con.execute(f"DELETE FROM {self.rows} WHERE {condition}")

    def gather(self) -> str:
        """Bring the rows that landed together, whoever read them; the table that they are in, which `ask` is asked of."""
        return self.rows

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement where `gather` brought them, in SQL that every engine has; its rows, if it gives any."""
        return self.con.execute(sql).fetchall()

    def note(self, name: str, select: str) -> None:
        """Make a temporary table there of what a SELECT gives, in place of one of the same name."""
        self.ask(f"DROP TABLE IF EXISTS {name}")
        self.ask(f"CREATE TEMPORARY TABLE {name} AS {select}")

    def full_columns(self) -> Collection[str]:
        """Columns known, without a look at each value, to hold no NULL since the last flush."""
        return ()

    @abstractmethod
    def flush(self) -> None:
        """Take the rows that landed since the last flush."""

    @abstractmethod
    def finish(self, duplicate_keys: str | None) -> None:
        """Replace the slice by what landed; of the keys in the table `duplicate_keys` on `con`, the newest row stays."""


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


class Warehouse(ABC):
    """A database that stars are published in."""

    capabilities: Capabilities
    url: str  # without its password
    limits: Limits
    notify: Notify

    @abstractmethod
    def transaction(self, lock: str) -> AbstractContextManager[Session]:
        """Wait for whoever holds the same lock; commit at the end, or roll all back when anything is raised.

        Raises WarehouseError when the warehouse cannot be reached, locked in time, or written.
        """

    def run(self, lock: str, work: Callable[[Session], Result]) -> Result:
        """Do the work in a transaction. An engine that may break one off through no fault of ours begins it anew."""
        with self.transaction(lock) as session:
            return work(session)

    @abstractmethod
    def alone(self, lock: str) -> AbstractContextManager[Session]:
        """Wait as `transaction`, and keep others waiting; each statement of this session commits by itself."""

    @abstractmethod
    def inspecting(self) -> AbstractContextManager[Session | None]:
        """A session that only reads, also where nothing was ever published; None where there is no database yet.

        Raises WarehouseError as `transaction`.
        """

    @contextmanager
    def reader(self) -> Iterator[Session | None]:
        """A session that only reads; None where nothing was ever written. Raises WarehouseError as `transaction`."""
        with self.inspecting() as session:
            yield session if session is not None and session.has_state() else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads, or a WarehouseError that says how to fill an empty warehouse."""
        with self.reader() as session:
            if session is None:
                raise WarehouseError(f"{self.url} is empty: run `scx load` (or `make demo`) first")
            yield session


def open_warehouse(url: str, limits: Limits, notify: Notify = lambda message: None) -> Warehouse:
    """The warehouse of a URL; nothing is connected yet. Raises WarehouseError for a URL of no known engine."""
    warehouse = _engine(url).open_url(url, limits, notify)
    assert isinstance(warehouse, Warehouse)
    return warehouse


def connection_info(url: str) -> tuple[str, dict[str, str | int | None]]:
    """The engine's name, and of the URL what is no secret, by name. Raises WarehouseError as `open_warehouse`."""
    engine = _engine(url)
    return engine.CAPABILITIES.name, engine.connection_info(url)


def roles_sql(url: str, roles: Roles) -> str:
    """What an administrator of a URL's engine runs, so that one may load and another only read."""
    return str(_engine(url).roles_sql(roles))


def _engine(url: str) -> Any:
    """The module of a URL's engine."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in _ENGINES:
        raise WarehouseError(
            f"SCX_WAREHOUSE_URL begins with {scheme + '://' if scheme else 'no scheme'!r}: write duckdb:///…/dev.duckdb, "
            "postgresql://user:password@host:5432/dev or redshift://user:password@host:5439/dev?staging=s3://bucket/prefix"
        )
    engine = _ENGINES[scheme]
    return import_module(f"scx_pipeline.warehouse.{engine}.{engine}_warehouse")


def latest_per_key(select: str, keys: Sequence[str], newest_first: Sequence[str]) -> str:
    """A SELECT of one row per key out of `select`: the first by the terms, descending, NULL last."""
    terms = ", ".join(f"{term} DESC NULLS LAST" for term in newest_first)
    numbered = f"SELECT q.*, ROW_NUMBER() OVER (PARTITION BY {names(keys)} ORDER BY {terms}) AS _n FROM ({select}) AS q"
    return f"SELECT * FROM ({numbered}) AS numbered WHERE _n = 1"


def by_table(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Columns as (table, name, type), by table."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in rows:
        found.setdefault(table, []).append((name, kind))
    return found


def quote(name: str) -> str:
    """The identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Sequence[str]) -> str:
    """A list of quoted identifiers."""
    return ", ".join(quote(column) for column in columns)


def qualified(schema: str, table: Table) -> str:
    """The table's full name, quoted."""
    return f"{quote(schema)}.{quote(table.name)}"


def timestamp_literal(value: datetime) -> str:
    """The moment as a SQL literal."""
    return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S}'"


def in_month_range(column: str, scope: MonthRange) -> str:
    """The condition that an event time lies in the span."""
    return f"({quote(column)} >= {timestamp_literal(scope.start)} AND {quote(column)} < {timestamp_literal(scope.end)})"


def in_scope(table: Table, scope: LoadScope) -> str:
    """The condition that a row belongs to what a load of the span makes of the table: all of it, if it has no months."""
    return (
        in_month_range(table.event_time_column, scope)
        if scope is not UNPARTITIONED and not table.unpartitioned
        else "TRUE"
    )


def month_of(column: str) -> str:
    """The expression of an event time's month, as the timestamp it begins at."""
    return f"CAST(DATE_TRUNC('month', {quote(column)}) AS TIMESTAMP)"


def month_within(column: str, scope: MonthRange) -> str:
    """The same of rows that are of the span: a literal where that is one month, which nobody need work out row by row."""
    return timestamp_literal(scope.start) if scope.first == scope.last else month_of(column)


def out_of_memory(error: BaseException, limit: str) -> WarehouseError:
    """The error of a DuckDB that had too little memory."""
    return WarehouseError(f"{first_line(error)}: raise SCX_MEMORY_LIMIT ({limit}); nothing was changed")


def first_line(error: BaseException) -> str:
    """The first line of a driver's message: the rest is the statement, which a user cannot act on."""
    lines = str(error).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__
