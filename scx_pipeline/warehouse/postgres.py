"""PostgreSQL: binary COPY from a scratch DuckDB that parses ahead of it, keys as a net, one transaction per load.
Only what is PostgreSQL's own lives here; what is published is decided in the engine package."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import WarehouseError
from scx_pipeline.spec import Column, Span, Table
from scx_pipeline.warehouse.base import (
    STATE_SCHEMA,
    Capabilities,
    Landing,
    Limits,
    Notify,
    Session,
    Warehouse,
    first_line,
    in_span,
    month_of,
    names,
    numbered_first,
    out_of_memory,
    qualified,
    quote,
)

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    from psycopg2.extensions import connection

CAPABILITIES = Capabilities(
    name="postgres",
    dialect="postgres",
    types={"double": "double precision"},
    placeholder="%s",
    byte_order=' COLLATE "C"',  # the database's collation would break ties otherwise than the other engines do
    max_text="text",
)
COPY_BATCH_ROWS = 65536
LOAD_MEMORY = {"work_mem": "128MB", "maintenance_work_mem": "256MB"}  # of the server, at least, in a load
LOAD_SETTINGS = {
    # For a join on two columns the planner expects a single row where there are all, and sorts both sides for it.
    "enable_mergejoin": "off",
    # A load that was killed must not go on in the server: its lock would keep the next one waiting.
    "client_connection_check_interval": "5s",
}
LANDING_BYTES = 96 << 20  # of source objects parsed while the batch before goes through COPY


def open_url(url: str, limits: Limits, notify: Notify) -> Warehouse:
    """The warehouse of `postgresql://user:password@host:5432/dev`."""
    return PostgresWarehouse(url, limits, notify)


class PostgresWarehouse(Warehouse):
    """A PostgreSQL database."""

    capabilities = CAPABILITIES

    def __init__(self, url: str, limits: Limits, notify: Notify) -> None:
        host, port, database = _parse_url(url)
        self._dsn, self.limits, self.notify = url, limits, notify
        self.url = f"postgresql://{host}:{port}/{database}"

    @contextmanager
    def transaction(self, lock: str) -> Iterator[Session]:
        """See `Warehouse.transaction`; the lock is an advisory one, let go at the end of the transaction."""
        with self._connect() as con, self._translated():
            with con.cursor() as cursor:
                self._wait_for(cursor, lock)
                for setting, value in LOAD_MEMORY.items():
                    # The defaults are for small queries: sorts, hashes and indexes of a load would go through files.
                    cursor.execute(
                        "SELECT set_config(name, %s, true) FROM pg_settings WHERE name = %s"
                        " AND setting::bigint * 1024 < pg_size_bytes(%s)",
                        [value, setting, value],
                    )
                for setting, value in LOAD_SETTINGS.items():
                    cursor.execute(
                        "SELECT set_config(name, %s, true) FROM pg_settings WHERE name = %s", [value, setting]
                    )
            yield PostgresSession(con, self.limits)
            con.commit()

    @contextmanager
    def reader(self) -> Iterator[Session | None]:
        """See `Warehouse.reader`; all its queries see the same commit."""
        with self._connect() as con, self._translated():
            con.set_session(isolation_level="REPEATABLE READ", readonly=True)
            session = PostgresSession(con, self.limits)
            yield session if session.has_state() else None

    @contextmanager
    def _connect(self) -> Iterator[connection]:
        import psycopg2

        try:
            con = psycopg2.connect(
                self._dsn, application_name="scx_pipeline", connect_timeout=15, options="-c TimeZone=UTC"
            )
        except psycopg2.Error as error:
            # A URL that cannot be parsed is quoted by the driver, password included.
            quoted = isinstance(error, psycopg2.ProgrammingError) and "query parameter" not in str(error)
            told = _UNREADABLE if quoted else first_line(error)
            raise WarehouseError(f"cannot connect to {self.url}: {told}") from None
        try:
            yield con
        finally:
            con.close()  # rolls back what was not committed

    def _wait_for(self, cursor: Any, lock: str) -> None:
        """Take the lock, or say who has it and wait."""
        import psycopg2

        key = zlib.crc32(f"scx_pipeline {lock}".encode())
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
        if cursor.fetchone()[0]:
            return
        cursor.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted", [key]
        )
        holder = cursor.fetchone()
        who = f"server process {holder[0]}" if holder else "another run"
        self.notify(f"waiting for {who}, which is loading {lock}")
        cursor.execute("SET LOCAL lock_timeout = %s", [int(self.limits.lock_timeout * 1000) or 1])
        try:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
        except psycopg2.errors.LockNotAvailable:
            raise WarehouseError(
                f"{lock} in {self.url} is being loaded by {who}; waited {self.limits.lock_timeout:g} s "
                "(SCX_LOCK_TIMEOUT): wait for that run, or stop it"
            ) from None
        cursor.execute("SET LOCAL lock_timeout = 0")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What a person can act on, as one line; a statement that is simply wrong stays as it is."""
        import psycopg2

        operational = (
            psycopg2.OperationalError,
            psycopg2.InterfaceError,
            psycopg2.errors.InsufficientPrivilege,
            psycopg2.errors.ReadOnlySqlTransaction,
            psycopg2.IntegrityError,  # the net under the checks
        )
        try:
            yield
        except operational as error:
            raise WarehouseError(f"{self.url}: {first_line(error)}; nothing was changed") from error


class PostgresSession(Session):
    """A connection to a PostgreSQL database."""

    capabilities = CAPABILITIES

    def __init__(self, con: connection, limits: Limits) -> None:
        self.con, self.limits = con, limits
        self.created: set[str] = set()  # tables that nobody else can see before the commit

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        with self.con.cursor() as cursor:
            cursor.execute(sql, list(parameters) or None)
            return cursor.rowcount

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self.con.cursor() as cursor:
            cursor.execute(sql, list(parameters) or None)
            return cursor.fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        import pandas as pd

        with self.con.cursor() as cursor:
            cursor.execute(sql)
            assert cursor.description is not None
            return pd.DataFrame(cursor.fetchall(), columns=[item.name for item in cursor.description])

    def existing_columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        return self.rows(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a"
            " JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            [schema, table],
        )

    def engine_type(self, column: Column) -> str:
        # As format_type writes it, so that a standing table can be compared with its declaration.
        neutral = super().engine_type(column)
        for short, full in (
            ("timestamp", "timestamp without time zone"),
            ("varchar(", "character varying("),
            ("decimal(", "numeric("),
        ):
            if neutral.startswith(short):
                return neutral.replace(short, full, 1).replace(", ", ",")
        return neutral

    def create_table(self, schema: str, table: Table) -> None:
        super().create_table(schema, table)
        self.created.add(qualified(schema, table))
        for statement in self._helpers(schema, table):
            self.execute(statement)

    def insert(self, schema: str, table: Table, select: str) -> int:
        with self.filling(schema, table):
            if qualified(schema, table) in self.created:
                made = self._create_as(schema, table, select)
                if made is not None:
                    return made
            return super().insert(schema, table, select)

    def _create_as(self, schema: str, table: Table, select: str) -> int | None:
        """Make a table of this transaction anew from a SELECT: unlike INSERT, that reads in parallel and writes in bulk.

        None, with nothing done, where a text of the SELECT has another length than declared: a cast would cut it off.
        """
        name = qualified(schema, table)
        values = [
            quote(column.name)
            if column.max_bytes is not None
            else f"CAST({quote(column.name)} AS {self.engine_type(column)}) AS {quote(column.name)}"
            for column in table.columns
        ]
        made = f"SELECT {', '.join(values)} FROM ({select}) AS q"
        self.execute(f"CREATE TEMPORARY TABLE _shape AS {made} WITH NO DATA")
        [(temporary,)] = self.rows("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")
        shape = self.existing_columns(temporary, "_shape")
        self.execute("DROP TABLE _shape")
        if shape != self.existing_columns(schema, table.name):
            return None
        self.execute(f"DROP TABLE {name}")
        return self.execute(f"CREATE TABLE {name} AS {made}")

    @contextmanager
    def filling(self, schema: str, table: Table) -> Iterator[None]:
        """Drop the indexes of a new table while it is filled, and build them afterwards, which is quicker.

        Not those of a table that had rows: somebody may be reading it, and that would wait for him, and keep new readers
        out until the commit.
        """
        name = qualified(schema, table)
        new = not self.rows("SELECT pg_relation_size(to_regclass(%s))", [name])[0][0]
        if new:
            self.execute(f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {quote(_key_name(table))}")
            if _needs_brin(table):
                self.execute(f"DROP INDEX IF EXISTS {quote(schema)}.{quote(_brin_name(table))}")
            if table.sliced:
                self.execute(f"DROP STATISTICS IF EXISTS {quote(schema)}.{quote(_months_name(table))}")
        yield
        if new:
            self._unless_doubled(*self._helpers(schema, table))  # the gate tells which rows are
            self.execute(f"ANALYZE {name}")
        elif _needs_brin(table):
            # Pages that BRIN has not summarised are read on every search.
            self.execute(
                f"SELECT brin_summarize_new_values('{quote(schema)}.{quote(_brin_name(table))}'::regclass)"
            )

    def analyze(self, table: str) -> None:
        self.execute(f"ANALYZE {table}")

    def create_newest(
        self, target: str, select: str, keys: Sequence[str], newest_first: Sequence[str]
    ) -> None:
        # The latest of each key first, as a table: as a subquery, every parallel worker would aggregate it anew, and of a
        # temporary table they could not read at all.
        latest = f"{STATE_SCHEMA}._latest_{self.con.info.backend_pid}"
        self.execute(
            f"CREATE UNLOGGED TABLE {latest} AS SELECT {names(keys)}, MAX({newest_first[0]}) AS _latest FROM ({select}) AS l"
            f" GROUP BY {names(keys)}"
        )
        self.execute(f"ANALYZE {latest}")
        joined = " AND ".join(f"m.{quote(key)} = q.{quote(key)}" for key in keys)
        candidates = (
            f"SELECT q.* FROM ({select}) AS q JOIN {latest} AS m ON {joined}"
            f" WHERE q.{newest_first[0]} = m._latest OR m._latest IS NULL"
        )
        self.execute(f"CREATE TEMPORARY TABLE {target} AS {numbered_first(candidates, keys, newest_first)}")
        self.execute(f"DROP TABLE {latest}")

    def keys_hold(self, schema: str, table: Table) -> bool:
        name = _key_name(table)
        found = self.rows(
            "SELECT 1 FROM pg_constraint WHERE conname = %s AND conrelid = to_regclass(%s)",
            [name, qualified(schema, table)],
        )
        return bool(found) and self._unless_doubled(
            f"SET CONSTRAINTS {quote(schema)}.{quote(name)} IMMEDIATE"
        )

    def _unless_doubled(self, *statements: str) -> bool:
        import psycopg2

        self.execute("SAVEPOINT keys")
        try:
            for statement in statements:
                self.execute(statement)
        except psycopg2.errors.UniqueViolation:
            self.execute("ROLLBACK TO SAVEPOINT keys")
            return False
        self.execute("RELEASE SAVEPOINT keys")
        return True

    @staticmethod
    def _helpers(schema: str, table: Table) -> list[str]:
        """The statements that make the key, what finds a slice, and what tells the planner how many months there are."""
        # Deferred, so that a month's doubled rows may stand until the newest was kept; checked before the commit.
        statements = []
        if table.key:
            statements.append(
                f"ALTER TABLE {qualified(schema, table)} ADD CONSTRAINT {quote(_key_name(table))}"
                f" PRIMARY KEY ({names(table.key)}) DEFERRABLE INITIALLY DEFERRED"
            )
        if _needs_brin(table):
            statements.append(
                f"CREATE INDEX {quote(_brin_name(table))} ON {qualified(schema, table)}"
                f" USING brin ({quote(table.event_time)}) WITH (pages_per_range = 32)"
            )
        if table.sliced:
            # It would expect as many months as there are moments, and neither hash nor count them in parallel.
            statements.append(
                f"CREATE STATISTICS {quote(schema)}.{quote(_months_name(table))} ON ({month_of(table.event_time)})"
                f" FROM {qualified(schema, table)}"
            )
        return statements

    @contextmanager
    def landing(self, schema: str, table: Table, span: Span) -> Iterator[Landing]:
        """Land in a scratch DuckDB; COPY runs in a thread, one batch behind the parser."""
        import duckdb

        with (
            tempfile.TemporaryDirectory(prefix="scx-") as folder,
            duckdb.connect(":memory:") as scratch,
            ThreadPoolExecutor(1) as behind,
        ):
            scratch.execute("SET TimeZone = 'UTC'")
            scratch.execute("SET memory_limit = ?", [self.limits.memory])
            scratch.execute("SET temp_directory = ?", [folder])
            if self.limits.threads:
                scratch.execute(f"SET threads = {int(self.limits.threads)}")
            try:
                yield _CopyLanding(self, scratch, behind, schema, table, span)
            except duckdb.OutOfMemoryException as error:
                raise out_of_memory(error, self.limits.memory) from error


class _CopyLanding(Landing):
    """Two tables of the scratch DuckDB in turn: one is parsed into while the other goes through COPY."""

    batch_bytes = LANDING_BYTES

    def __init__(
        self,
        session: PostgresSession,
        scratch: duckdb.DuckDBPyConnection,
        behind: ThreadPoolExecutor,
        schema: str,
        table: Table,
        span: Span,
    ) -> None:
        self.session, self.con, self.behind = session, scratch, behind
        self.schema, self.table, self.span = schema, table, span
        self.copying: Future[None] | None = None
        self.turn = 0
        self.rows = self._next_table()
        session.execute(f"DELETE FROM {qualified(schema, table)} WHERE {in_span(table.event_time, span)}")
        self.filling = session.filling(schema, table)
        self.filling.__enter__()

    def _next_table(self) -> str:
        self.turn += 1
        columns = [f"{quote(c.name)} {_scratch_type(c)}" for c in self.table.columns]
        self.con.execute(f"CREATE TABLE _landing{self.turn} ({', '.join(columns)}, _object INTEGER)")
        return f"_landing{self.turn}"

    def flush(self) -> None:
        self._wait()
        full, self.rows = self.rows, self._next_table()
        self.copying = self.behind.submit(self._copy, full)

    def finish(self, doubled_keys: str | None) -> None:
        self._wait()
        if doubled_keys:
            self._send_keys(doubled_keys)
            self.session.execute("ANALYZE _doubled_keys")
            self.session.keep_newest(
                qualified(self.schema, self.table), self.table, "_doubled_keys", self.span
            )
            self.session.execute("DROP TABLE _doubled_keys")
        self.filling.__exit__(None, None, None)

    def _wait(self) -> None:
        if self.copying is not None:
            self.copying.result()
            self.copying = None

    def _copy(self, full: str) -> None:
        columns = names(self.table.column_names)
        inside = in_span(self.table.event_time, self.span)
        with self.con.cursor() as cursor:
            relation = cursor.sql(f"SELECT {columns} FROM {full} WHERE {inside}")
            name = qualified(self.schema, self.table)
            # Frozen, or else whoever first reads the table after the commit would have to write all of it again.
            options = ", FREEZE" if name in self.session.created else ""
            copy_binary(self.session.con, f"{name} ({columns})", relation, options)
            cursor.execute(f"DROP TABLE {full}")

    def _send_keys(self, doubled_keys: str) -> None:
        columns = [self.table.column(name) for name in self.table.key]
        self.session.execute(self.session.create_table_sql("_doubled_keys", columns, "TEMPORARY "))
        relation = self.con.sql(f"SELECT {names(self.table.key)} FROM {doubled_keys}")
        copy_binary(self.session.con, f"_doubled_keys ({names(self.table.key)})", relation)


def copy_binary(con: connection, target: str, relation: duckdb.DuckDBPyRelation, options: str = "") -> None:
    """Stream a DuckDB relation into `target` (a table and its columns) by binary COPY.

    The one place that knows pgpq; its Arrow types must be PostgreSQL's exactly, which `_scratch_type` sees to.
    """
    from pgpq import ArrowToPostgresBinaryEncoder

    reader = relation.to_arrow_reader(COPY_BATCH_ROWS)
    encoder = ArrowToPostgresBinaryEncoder(reader.schema)
    with con.cursor() as cursor:
        cursor.copy_expert(
            f"COPY {target} FROM STDIN (FORMAT binary{options})", _Encoded(encoder, reader), size=1 << 20
        )


class _Encoded(io.RawIOBase):
    """The encoded batches as a file that COPY reads from; the next is encoded while the server takes one."""

    def __init__(self, encoder: Any, reader: Any) -> None:
        self.pieces = _ahead(self._encode(encoder, reader))
        self.rest = memoryview(b"")

    @staticmethod
    def _encode(encoder: Any, reader: Any) -> Iterator[bytes]:
        yield encoder.write_header()
        for batch in reader:
            yield encoder.write_batch(batch)
        yield encoder.finish()

    def read(self, size: int = -1) -> bytes:
        while not self.rest:
            piece = next(self.pieces, None)
            if piece is None:
                return b""
            self.rest = memoryview(piece)
        taken, self.rest = self.rest[:size], self.rest[size:]
        return bytes(taken)


def _ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same, each piece made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(next, pieces, None)
        while (piece := pending.result()) is not None:  # an empty one is not the last
            pending = thread.submit(next, pieces, None)
            yield piece


_UNREADABLE = (
    "SCX_WAREHOUSE_URL cannot be read: write postgresql://user:password@host:5432/dev, "
    "with @ : / ? # % in the password as %40 %3A %2F %3F %23 %25"
)


def _parse_url(url: str) -> tuple[str, int, str]:
    """The URL's host, port and database; a WarehouseError that shows nothing of a URL which may be all password."""
    try:
        parts = urlsplit(url)
        host, port, database = parts.hostname, parts.port or 5432, parts.path.strip("/")
    except ValueError:
        raise WarehouseError(_UNREADABLE) from None
    if not host or not database:
        raise WarehouseError(
            "SCX_WAREHOUSE_URL names no host or no database: write postgresql://user:password@host:5432/dev"
        )
    if "@" in database or "/" in database:
        raise WarehouseError(_UNREADABLE)
    return host, port, unquote(database)


def _scratch_type(column: Column) -> str:
    return "VARCHAR" if column.max_bytes is not None else column.type.upper()


def _key_name(table: Table) -> str:
    return f"{table.name}_pkey"[-63:]


def _brin_name(table: Table) -> str:
    return f"{table.name}_{table.event_time}_brin"[-63:]


def _months_name(table: Table) -> str:
    return f"{table.name}_{table.event_time}_months"[-63:]


def _needs_brin(table: Table) -> bool:
    """A slice is found by its event time; where the key begins with it, the key's index serves."""
    return table.sliced and table.key[:1] != (table.event_time,)
