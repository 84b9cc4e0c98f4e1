"""PostgreSQL: filled by binary COPY from a workbench that works ahead of it, keys as a net, one transaction per load.
Only what is PostgreSQL's own lives here; what is published is decided in the engine package."""

from __future__ import annotations

import io
import random
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.arrow_rows import open_arrow_buffer
from scx_pipeline.warehouse.capabilities import Capabilities, Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import DuckDBSession, in_memory_database, refused
from scx_pipeline.warehouse.export import Unload, write_parquet
from scx_pipeline.warehouse.health import HealthReport
from scx_pipeline.warehouse.parquet_files import ParquetFiles, check_arrived
from scx_pipeline.warehouse.postgres import (
    commit_status,
    postgres_errors,
    postgres_maintenance,
    postgres_roles,
    session_settings,
    table_layout,
)
from scx_pipeline.warehouse.postgres.binary_copy import COPY_BATCH_ROWS, Encoded, Jobs
from scx_pipeline.warehouse.postgres.partitions import (
    PartitionTarget,
    by_partition,
    lock_out_readers,
    open_partition_target,
    partition_name,
    partition_names,
)
from scx_pipeline.warehouse.postgres.postgres_export import rows_of
from scx_pipeline.warehouse.postgres.staging_buffers import (
    CopyStagingBuffer,
    StreamingStagingBuffer,
    check_count,
)
from scx_pipeline.warehouse.psycopg import (
    Address,
    PostgresProtocolSession,
    RetryableTransactionError,
    parse_url,
    unreadable,
)
from scx_pipeline.warehouse.scratch import ScratchDatabase, open_scratch_database, told
from scx_pipeline.warehouse.session import Relations, Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, month_of, names, qualified, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer
from scx_pipeline.warehouse.warehouse import Notify, Result, Warehouse

if TYPE_CHECKING:
    from psycopg2.extensions import connection

CAPABILITIES = Capabilities(
    name="postgres",
    dialect="postgres",
    types={"double": "double precision"},
    placeholder="%s",
    collation="C",  # the database's collation would break ties otherwise than the other engines do
    max_text="text",
    readers_wait=True,
)
SAMPLE = "postgresql://user:password@host:5432/dev"
SHARED = "what all stars share"  # the lock under which it is made; no star has this name
ATTEMPTS, PAUSE = 3, 1.0  # of a transaction that is broken off, and seconds before the second


roles_sql = postgres_roles.roles_sql


def open_url(url: str, limits: Limits, notify: Notify) -> Warehouse:
    """The warehouse of `postgresql://user:password@host:5432/dev`."""
    return PostgresWarehouse(url, limits, notify)


def connection_info(url: str) -> dict[str, str | int | None]:
    """What of a URL is no secret."""
    found = _address(url)
    where: dict[str, str | int | None] = {"host": found.host, "port": found.port}
    return {**where, "database": found.database, "user": found.user, "sslmode": found.query.get("sslmode")}


def _address(url: str) -> Address:
    """A URL's parts. What the driver knows of them counts also behind the ?, and there even more."""
    found = parse_url(url, 5432, SAMPLE, ("host",))
    said = found.query
    try:
        port = int(said.get("port", found.port))
    except ValueError:
        raise WarehouseError(unreadable(SAMPLE)) from None
    host, database = said.get("host", found.host), said.get("dbname", found.database)
    return Address(host, port, database, said.get("user", found.user), query=said)


class PostgresWarehouse(Warehouse):
    """A PostgreSQL database."""

    capabilities = CAPABILITIES

    def __init__(self, url: str, limits: Limits, notify: Notify) -> None:
        found = _address(url)
        self._dsn, self._port, self.limits, self.notify = url, found.port, limits, notify
        self._said = found.query.keys()
        self.url = f"postgresql://{found.host}:{found.port}/{found.database}"
        if found.host.startswith("/"):
            self.url = f"postgresql:///{found.database}?host={found.host}&port={found.port}"

    def run(self, lock: str, work: Callable[[Session], Result]) -> Result:
        """See `Warehouse.run`: a transaction that another session interrupted is retried a few times."""
        for attempt in range(1, ATTEMPTS):
            try:
                return super().run(lock, work)
            except RetryableTransactionError as error:
                pause = PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1)
                self.notify(f"{error}; trying again in {pause:.1f} s ({attempt} of {ATTEMPTS - 1})")
                time.sleep(pause)
        return super().run(lock, work)

    @contextmanager
    def transaction(self, lock: str) -> Iterator[Session]:
        """See `Warehouse.transaction`; the lock is an advisory one, let go at the end of the transaction.

        Each statement sees what was committed before it: what a load that was waited for has published, too.
        """
        with self._connect() as con, self._translated(), refused(self.url), told(self.limits):
            con.set_session(isolation_level="READ COMMITTED", deferrable=False)
            self._set(con, session_settings.of_load(self.limits))
            self._wait_for(con, lock)
            session_settings.raise_memory(con)
            session = PostgresSession(con, self)
            try:
                yield session
                session.swap()
                self._commit(con)
                session.analyze_swapped()
            finally:
                session.close()

    def _commit(self, con: connection) -> None:
        """Commit. Where the connection is lost before the answer, the server is asked which it was."""
        import psycopg2

        transaction = commit_status.numbered(con)
        try:
            con.commit()
        except psycopg2.Error as error:
            if transaction is None or not con.closed:
                raise
            self.notify(f"{self.url}: {first_line(error)}; asking whether the load was committed")
            committed = transaction.committed(self._connect)
            if committed is None:
                raise WarehouseError(
                    f"{self.url}: {first_line(error)}, while the load was being committed, and the server does not say whether it was: "
                    "check `scx status` once it answers, or run again, which loads nothing twice"
                ) from error
            if not committed:
                raise
            self.notify(f"{self.url} has committed the load")

    @contextmanager
    def alone(self, lock: str) -> Iterator[Session]:
        """See `Warehouse.alone`. The lock is another connection's, as VACUUM wants no transaction; that one sees no rows, so
        it keeps none from being removed."""
        with self.transaction(lock), self._connect() as con, self._translated():
            con.autocommit = True
            kind = PooledSession if session_settings.pooled(con) else PostgresSession
            if kind is PostgresSession:
                session_settings.apply(con, session_settings.of_load(self.limits), local=False)
            with closing(kind(con, self)) as session:
                yield session

    @contextmanager
    def inspecting(self) -> Iterator[Session | None]:
        """See `Warehouse.inspecting`; all its queries see the same commit."""
        with self._connect() as con, self._translated():
            con.set_session(isolation_level="REPEATABLE READ", readonly=True, deferrable=False)
            self._set(con, session_settings.of_reader(self.limits))
            yield PostgresSession(con, self)

    @contextmanager
    def _connect(self) -> Iterator[connection]:
        import psycopg2

        defaults = {
            name: value
            for name, value in session_settings.CONNECTION_DEFAULTS.items()
            if name not in self._said
        }
        try:
            # The port, or else PGPORT would count for a URL without one.
            con = psycopg2.connect(self._dsn, port=self._port, **session_settings.CONNECTION, **defaults)
        except psycopg2.Error as error:
            # A URL that cannot be parsed is quoted by the driver, password included.
            quoted = isinstance(error, psycopg2.ProgrammingError) and "query parameter" not in str(error)
            told = unreadable(SAMPLE) if quoted else postgres_errors.refusal(error)
            raise WarehouseError(f"cannot connect to {self.url}: {told}") from None
        try:
            self._check_encoding(con)
            yield con
        finally:
            con.close()  # rolls back what was not committed

    def _set(self, con: connection, settings: Mapping[str, str]) -> None:
        """Begin the transaction, with these settings."""
        import psycopg2

        try:
            session_settings.apply(con, settings)
        except psycopg2.OperationalError as error:
            if not con.closed or error.pgcode:
                raise
            raise WarehouseError(
                f"{self.url}: {first_line(error)}, when a transaction began: a pooler must give each transaction a connection of its own "
                "(PgBouncer: pool_mode = transaction or session); without a pooler, run again; nothing was changed"
            ) from error

    def _check_encoding(self, con: connection) -> None:
        """Raise WarehouseError for a database that cannot keep every text, or measures and orders texts by its own bytes."""
        encoding = con.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise WarehouseError(
                f"{self.url} has the encoding {encoding}, which cannot store every text of the bucket: load into a database "
                "created by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )

    def _wait_for(self, con: connection, lock: str) -> None:
        """Take the lock, or say who has it and wait: as long as locks are waited for, not as a statement may take."""
        import psycopg2

        key = zlib.crc32(f"scx_pipeline {lock}".encode())
        with con.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
            if cursor.fetchone() == (True,):
                return
            cursor.execute(_HOLDER, [key])
            holder = cursor.fetchone()
            who = f"server process {holder[0]}" if holder else "another run"
            self.notify(f"waiting for {who}, which is loading {lock}")
            try:
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
            except psycopg2.errors.LockNotAvailable:
                raise WarehouseBusyError(
                    f"{lock} in {self.url} is being loaded by {who}; waited {self.limits.lock_timeout:g} s "
                    "(SCX_LOCK_TIMEOUT): wait for that run, or stop it"
                ) from None
        session_settings.apply(con, session_settings.timeouts(self.limits))

    def _translated(self) -> AbstractContextManager[None]:
        """What goes wrong as a WarehouseError of one line."""
        return postgres_errors.translated(self.url, self.limits)


# The key of one number is kept as two of 32 bits; other applications have keys in other databases, and of two numbers.
_HOLDER = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


_HAS_ROWS = (
    "SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = %s AND pg_relation_size(c.oid) > 0"
)


class PostgresSession(PostgresProtocolSession):
    """A connection to a PostgreSQL database, and in a load the workbench beside it."""

    capabilities = CAPABILITIES
    owner_name = "pg_get_userbyid(c.relowner)"  # pg_user lacks roles that cannot log in

    def __init__(self, con: connection, warehouse: PostgresWarehouse) -> None:
        self.con, self.warehouse, self.limits = con, warehouse, warehouse.limits
        self.created: set[str] = set()  # tables that nobody else can see before the commit
        self.jobs = Jobs(con, warehouse.notify)
        self.scratch: ScratchDatabase | None = None
        self.passed: list[PartitionTarget] = []  # what is swapped in at the end
        self.swapped: set[str] = set()  # tables of which months were
        self.rebuilt: list[
            tuple[str, Table, Table]
        ] = []  # schema, the table as it was built, and its own name
        self.opened = ExitStack()

    def close(self) -> None:
        """Break off what is still on its way, and leave no file behind."""
        self.jobs.stop()
        self.opened.close()

    def swap(self) -> None:
        """Put what nothing in the load reads in its place, as the last thing of all."""
        self.jobs.wait()
        for target in self.passed:
            target.swap()
        for schema, built, table in self.rebuilt:
            self._take_place(schema, built, table)

    def swap_in(self, schema: str, built: Table, table: Table) -> None:
        self.rebuilt.append((schema, built, table))  # after the months that are swapped in

    def _take_place(self, schema: str, built: Table, table: Table) -> None:
        months = table_layout.partitions(self, schema, built)
        super().swap_in(schema, built, table)
        for old, month in months:
            new = partition_name(table, month)
            self.execute(f"ALTER TABLE {quote(schema)}.{quote(old)} RENAME TO {quote(new)}")
        if qualified(schema, built) in self.swapped:
            self.swapped.remove(qualified(schema, built))
            self.swapped.add(qualified(schema, table))

    def dependents(self, schema: str, name: str) -> list[str]:
        return table_layout.dependents(self, schema, name)

    def analyze_swapped(self) -> None:
        """Tell the planner of tables whose months were swapped in, which the server does by itself for months only.

        After the commit, as it would keep readers waiting before; what was published stands, even if this fails.
        """
        import psycopg2

        with suppress(psycopg2.Error):
            for name in sorted(self.swapped):
                session_settings.apply(self.con, session_settings.of_load(self.limits))
                self.analyze(name)
                self.con.commit()

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        self.jobs.wait()
        with super()._cursor() as cursor:
            yield cursor

    def has_state(self) -> bool:
        # A first load that failed has left the state tables, without rows. An analyst may not read them.
        return bool(self.rows(_HAS_ROWS, [STATE_SCHEMA, "loads"]))

    @contextmanager
    def apart(self) -> Iterator[Session]:
        with self.warehouse.transaction(SHARED) as session:
            yield session

    def unload(self, unload: Unload) -> int:
        with in_memory_database(self.limits) as con, rows_of(self.con, unload) as query:
            return write_parquet(con, query, unload)

    def scratch_session(self, tables: Collection[str]) -> Session:
        if self.scratch is not None and self.scratch.standing.issuperset(tables):
            return self.scratch
        return self

    def differs(self, schema: str, table: Table, standing: Sequence[tuple[str, str]] | None = None) -> bool:
        return super().differs(schema, table, standing) or not table_layout.is_partitioned_as_declared(
            self, schema, table
        )

    def taken_names(self, schema: str, table: Table, scope: LoadScope) -> list[str]:
        if scope is UNPARTITIONED or not by_partition(table):
            return []
        return table_layout.conflicting_relations(self, schema, table, partition_names(table, scope))

    def drop_table(self, schema: str, name: str) -> None:
        lock_out_readers(self, f"{quote(schema)}.{quote(name)}")
        super().drop_table(schema, name)

    def create_temporary(self, name: str, select: str) -> None:
        self.execute(self._temporary(name, select))

    @staticmethod
    def _temporary(name: str, select: str) -> str:
        """The statement that keeps a SELECT's rows until the transaction's end: a pooler gives the connection to others then."""
        return f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {select}"

    def create_table_sql(self, target: str, columns: Sequence[Column], kind: str = "") -> str:
        return super().create_table_sql(target, columns, kind) + (" ON COMMIT DROP" if kind else "")

    def create_table(self, schema: str, table: Table) -> None:
        name = qualified(schema, table)
        months = f" PARTITION BY RANGE ({quote(table.event_time_column)})" if by_partition(table) else ""
        self.execute(self.create_table_sql(name, table.columns) + months)
        self.created.add(name)
        for statement in table_layout.missing_helpers(self, schema, table):
            self.execute(statement)

    def insert(self, schema: str, table: Table, select: str) -> int:
        with self.filling(schema, table):
            return super().insert(schema, table, select)

    def copy_partition(self, scratch: Session, schema: str, table: Table, scope: MonthRange) -> None:
        if isinstance(scratch, ScratchDatabase):
            self.jobs.add(lambda: self._copy_partition_rows(scratch, schema, table, scope))

    def copy_rows(self, scratch: Relations, name: str, columns: Sequence[Column]) -> None:
        if isinstance(scratch, ScratchDatabase):
            self.execute(self.create_table_sql(name, columns, "TEMPORARY "))
            values = [
                f"CAST({quote(c.name)} AS {scratch.engine_type(c)}) AS {quote(c.name)}" for c in columns
            ]
            made = scratch.con.sql(f"SELECT {', '.join(values)} FROM {name}")
            rows = self.jobs.encode(made.to_arrow_reader(COPY_BATCH_ROWS))
            self.jobs.copy(name, names([column.name for column in columns]), rows)
            scratch.execute(f"DROP TABLE {name}")
            self.analyze(name)

    def replace_partition(self, schema: str, table: Table, scope: MonthRange, select: str) -> None:
        if not by_partition(table):
            super().replace_partition(schema, table, scope, select)
            return
        columns, target = names(table.column_names), open_partition_target(self, schema, table, scope)
        target.begin()
        made = self.execute(self._temporary("_made", f"SELECT {columns} FROM ({select}) AS q"))
        taken = 0
        for month, condition in target.parts(self._months_of(self, "_made", target)):
            name, _ = target.target(month)
            rows = f"SELECT {columns} FROM _made WHERE {condition}"
            taken += self.execute(f"INSERT INTO {name} ({columns}) {rows}")
        check_count(target.name, made, taken)
        self.execute("DROP TABLE _made")
        target.stand()

    def clear_partition(self, schema: str, table: Table, scope: MonthRange) -> None:
        target = open_partition_target(self, schema, table, scope)
        target.begin()
        target.stand()

    def load_parquet(self, schema: str, table: Table, scope: LoadScope, files: ParquetFiles) -> None:
        target = open_partition_target(self, schema, table, scope)
        target.begin()
        arrived = 0
        parts = {**files.by_month()} if target.by_month else {None: files}
        for month, part in parts.items():
            arrived += self.copy(target, month, self.jobs.encode(part.batches(table.columns)))
        check_arrived(target.name, files, arrived)
        target.stand()

    def _append_files(self, target: str, columns: Sequence[Column], files: ParquetFiles) -> None:
        rows = self.jobs.encode(files.batches(columns))
        arrived = self.jobs.copy(target, names([column.name for column in columns]), rows)
        check_arrived(target, files, arrived)

    def _copy_partition_rows(
        self, scratch: ScratchDatabase, schema: str, table: Table, scope: MonthRange
    ) -> None:
        target = open_partition_target(self, schema, table, scope)
        target.begin()
        sent = self.send(scratch, target, "TRUE")
        self.check_sent(scratch, target.name, sent)
        target.stand()

    def check_sent(self, scratch: ScratchDatabase, name: str, sent: int) -> None:
        """Raise WarehouseError unless as many rows were taken as stand on the workbench, where they are checked."""
        with scratch.con.cursor() as con:
            found = con.execute(f"SELECT count(*) FROM {name}").fetchone()
        assert found is not None
        check_count(name, found[0], sent)

    def send(self, scratch: ScratchDatabase, target: PartitionTarget, condition: str) -> int:
        """Copy the rows of a workbench's table that meet a condition into the slice of the same name; how many."""
        with scratch.con.cursor() as con:
            rows = f"(SELECT * FROM {target.name} WHERE {target.in_scope} AND {condition})"
            columns, sent = names(target.table.column_names), 0
            for month, part in target.parts(self._months_of(DuckDBSession(con), rows, target)):
                found = con.sql(f"SELECT {columns} FROM {rows} WHERE {part}").to_arrow_reader(COPY_BATCH_ROWS)
                sent += self.copy(target, month, self.jobs.encode(found))
            return sent

    @staticmethod
    def _months_of(session: Session, relation: str, target: PartitionTarget) -> list[Month]:
        """The months that rows of a relation are in; none where they are not kept apart."""
        if not target.by_month:
            return []
        time = target.table.event_time_column
        found = session.rows(
            f"SELECT DISTINCT {month_of(time)} FROM {relation} AS r WHERE {quote(time)} IS NOT NULL"
        )
        return [Month.of(start) for (start,) in found]

    def copy(self, target: PartitionTarget, month: Month | None, rows: Encoded) -> int:
        """Copy rows into a part of a slice; how many it took."""
        name, new = target.target(month)
        # Frozen, or else whoever first reads the table after the commit would have to write all of it again.
        return self.jobs.copy(name, names(target.table.column_names), rows, ", FREEZE" if new else "")

    @contextmanager
    def filling(self, schema: str, table: Table) -> Iterator[None]:
        """Drop the indexes of a new table while it is filled, and build them afterwards, which is quicker.

        Not those of a table that had rows: somebody may be reading it, and that would wait for him, and keep new readers
        out until the commit.
        """
        name = qualified(schema, table)
        new = not self.rows("SELECT pg_relation_size(to_regclass(%s))", [name])[0][0]
        if new:
            self._drop_helpers(schema, table)
        yield
        if new:
            # the gate tells which rows are doubled
            self._unless_duplicate(*table_layout.missing_helpers(self, schema, table))
            self.execute(f"ANALYZE {name}")
        elif table_layout.needs_brin(table):
            self._complete_brin(schema, table)

    def _drop_helpers(self, schema: str, table: Table) -> None:
        key, brin = table_layout.find_key(self, schema, table), None
        if key is not None:
            self.execute(f"ALTER TABLE {qualified(schema, table)} DROP CONSTRAINT {key.name}")
        if table_layout.needs_brin(table):
            brin = table_layout.find_brin(self, schema, table)
        if brin is not None:
            self.execute(f"DROP INDEX {brin}")

    def _complete_brin(self, schema: str, table: Table) -> None:
        """Have all pages summarised, or else they are read on every search; an index that was dropped is built again."""
        brin = table_layout.find_brin(self, schema, table)
        if brin is None:
            self.execute(table_layout.create_brin(schema, table))
        else:
            self.rows("SELECT brin_summarize_new_values(%s::regclass)", [brin])

    def analyze(self, table: str) -> None:
        self.execute(f"ANALYZE {table}")

    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        listed = names([column.name for column in columns])
        lines = ("\t".join(map(_copy_text, row)) for row in rows)
        with self._cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({listed}) FROM STDIN", io.StringIO("\n".join(lines)))

    def row_hash(self, columns: Sequence[Column]) -> str:
        return f"hash_record_extended(ROW({names([column.name for column in columns])}), 0)"

    def keys_hold(self, schema: str, table: Table) -> bool:
        key = table_layout.find_key(self, schema, table)
        if key is None or set(key.columns) != set(table.key):
            return False
        return not key.deferrable or self._unless_duplicate(
            f"SET CONSTRAINTS {quote(schema)}.{key.name} IMMEDIATE"
        )

    def _unless_duplicate(self, *statements: str) -> bool:
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

    def condition(self, tables: Sequence[str]) -> HealthReport:
        return postgres_maintenance.health(self, tables)

    def maintenance_statements(self, tables: Sequence[str]) -> list[str]:
        return postgres_maintenance.maintenance_statements(tables)

    @contextmanager
    def staging_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Land on the workbench; what landed goes through COPY in a thread, behind the parser."""
        if self.scratch is None:
            self.scratch = self.opened.enter_context(open_scratch_database(self.limits))
        yield CopyStagingBuffer(self, self.scratch, open_partition_target(self, schema, table, scope))

    @contextmanager
    def streaming_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Land in memory; each batch goes through COPY while the next are read."""
        with open_arrow_buffer(self.limits, [*table.columns, OBJECT]) as rows:
            yield StreamingStagingBuffer(self, rows, open_partition_target(self, schema, table, scope))


class PooledSession(PostgresSession):
    """A session behind a pooler whose statements commit by themselves: settings hold for a transaction, so queries have one."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self.con.autocommit = False
        try:
            session_settings.apply(self.con, session_settings.of_load(self.limits))
            return super().rows(sql, parameters)
        finally:
            self.con.rollback()
            self.con.autocommit = True


def _copy_text(value: object) -> str:
    """A value as COPY's text format has it."""
    if value is None:
        return r"\N"
    return str(value).translate(_COPY_ESCAPES)


_COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
