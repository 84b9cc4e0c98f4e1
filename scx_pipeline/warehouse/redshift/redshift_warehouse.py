"""Amazon Redshift: loads come in by COPY from S3, keys are not enforced, and a transaction that is broken off begins anew.
COPY's text is in `rscopy`, how to log in in `rslogin`; what is published is decided in the engine package."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Capabilities, Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.export import Unload
from scx_pipeline.warehouse.health import HealthReport
from scx_pipeline.warehouse.object_reader import ServerCopyError
from scx_pipeline.warehouse.parquet_files import ParquetFiles
from scx_pipeline.warehouse.psycopg import (
    Address,
    PostgresProtocolSession,
    RetryableTransactionError,
    forbidden,
    parse_url,
    stopped,
)
from scx_pipeline.warehouse.redshift import redshift_maintenance, redshift_roles
from scx_pipeline.warehouse.redshift.copy_command import (
    CODEC,
    Access,
    Entry,
    StagingPrefix,
    arrow_table,
    copy_sql,
    copyable,
    open_staging_prefix,
)
from scx_pipeline.warehouse.redshift.object_reader import RedshiftObjectReader
from scx_pipeline.warehouse.redshift.parquet_copy import append_files
from scx_pipeline.warehouse.redshift.redshift_login import Login, log_in
from scx_pipeline.warehouse.redshift.unload_command import told_of, unload_sql
from scx_pipeline.warehouse.scratch import ScratchDatabase, open_scratch_database, told
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, in_scope, names, qualified, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer
from scx_pipeline.warehouse.warehouse import Notify, Result, Warehouse

if TYPE_CHECKING:
    from psycopg2.extensions import connection

CAPABILITIES = Capabilities(
    name="redshift",
    dialect="redshift",
    types={"double": "double precision"},
    placeholder="%s",
    collation="",  # texts are compared by their bytes
    max_text="character varying(65535)",
    folders_at_once=True,
    readers_wait=True,
    writes_to="s3://",
)
SAMPLE = "redshift://user:password@host:5439/dev?staging=s3://bucket/prefix"
# What a URL may say behind the ?, beside what libpq knows of TLS.
INSTEAD_OF_HOST = ("workgroup", "cluster", "secret")
OPTIONS = ("staging", "iam_role", "region", "region_staging", *INSTEAD_OF_HOST, "query_group", "copy_from")
TLS = ("sslmode", "sslrootcert")
ATTEMPTS, PAUSE = (
    5,
    2.0,
)  # of a transaction that is broken off, and seconds before the second; each next twice as long
POLITE = 2.0  # seconds for which a lock is waited for before anybody is told
COPY_FROM = 64  # MB of a table's objects from which on the cluster reads them itself
LARGE = 100_000  # rows after which a table is analyzed
DEFAULTS = {
    "iam_role": "default",
    "query_group": "scx_pipeline",
    "sslmode": "verify-full",
    "copy_from": str(COPY_FROM),
}
FILE_BYTES = "128MB"  # of the Parquet files that rows go up in: some for each slice of the cluster


roles_sql = redshift_roles.roles_sql


def open_url(url: str, limits: Limits, notify: Notify) -> Warehouse:
    """The warehouse of `redshift://user:password@host:5439/dev?staging=s3://bucket/prefix`."""
    return RedshiftWarehouse(_address(url), limits, notify)


def connection_info(url: str) -> dict[str, str | int | None]:
    """What of a URL is no secret, and what stands for what it does not say."""
    address = _address(url)
    said = {name: address.query.get(name, DEFAULTS.get(name)) for name in (*OPTIONS, *TLS)}
    where = {"host": address.host or None, "port": address.port if address.host else None}
    return {**where, "database": address.database, "user": address.user, **said}


def _address(url: str) -> Address:
    address = parse_url(url, 5439, SAMPLE, INSTEAD_OF_HOST)
    for name in address.query:
        if name not in (*OPTIONS, *TLS):
            raise WarehouseError(
                f"SCX_WAREHOUSE_URL says {name!r} behind the ?, which can be: {', '.join((*OPTIONS, *TLS))}"
            )
    return address


class RedshiftWarehouse(Warehouse):
    """A database of a Redshift cluster or workgroup."""

    capabilities = CAPABILITIES

    def __init__(self, address: Address, limits: Limits, notify: Notify) -> None:
        self.address, self.limits, self.notify = address, limits, notify
        self.options = options = {**DEFAULTS, **address.query}
        self.url = f"redshift://{address.host}:{address.port}/{address.database}"
        if not address.host:
            found_by = next(f"{name}={options[name]}" for name in INSTEAD_OF_HOST if name in options)
            self.url = f"redshift:///{address.database}?{found_by}"
        self.access = Access(options["iam_role"], options.get("region"))
        self.statement_timeout = int(limits.statement_timeout * 1000)  # ms; 0: none
        self.copy_from = _megabytes(options["copy_from"])
        self.reads_objects = True  # whether the cluster is trusted to, in the present attempt

    def run(self, lock: str, work: Callable[[Session], Result]) -> Result:
        """See `Warehouse.run`: conflicts with other transactions and broken connections are begun anew, a few times.

        So is a load whose objects the cluster could not read, once, without asking it to.
        """
        self.reads_objects = True
        for attempt in range(1, ATTEMPTS):
            try:
                return super().run(lock, work)
            except ServerCopyError as error:
                self.reads_objects = False
                self.notify(f"{error}; beginning anew, objects are read here")
            except RetryableTransactionError as error:
                pause = PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1)
                self.notify(f"{error}; trying again in {pause:.0f} s ({attempt} of {ATTEMPTS - 1})")
                time.sleep(pause)
        return super().run(lock, work)

    @contextmanager
    def transaction(self, lock: str) -> Iterator[Session]:
        """See `Warehouse.transaction`; the lock is that of an empty table, which nobody reads."""
        with self._translated(), told(self.limits), self._connect() as con:
            self._wait_for(con, lock)
            with closing(RedshiftSession(con, self, lock)) as session:
                yield session
                con.commit()
                session.analyze_loaded()

    @contextmanager
    def alone(self, lock: str) -> Iterator[Session]:
        """See `Warehouse.alone`. The lock is another connection's, as VACUUM is barred from transactions."""
        with self.transaction(lock), self._translated(), self._connect() as con:
            con.autocommit = True
            with closing(RedshiftSession(con, self, "")) as session:
                yield session

    @contextmanager
    def inspecting(self) -> Iterator[Session | None]:
        """See `Warehouse.inspecting`; all its queries see the same commit."""
        with self._translated(), self._connect() as con:
            con.set_session(readonly=True)
            with closing(RedshiftSession(con, self, "")) as session:
                yield session

    @contextmanager
    def _connect(self) -> Iterator[connection]:
        """Connect; outside of a transaction first, so that settings stand whatever becomes of it."""
        import psycopg2

        login = log_in(self.address)
        try:
            con = psycopg2.connect(**self._parameters(login))
        except psycopg2.Error as error:
            raise WarehouseError(f"cannot connect to {self.url}: {_refusal(error, login)}") from None
        try:
            con.autocommit = True
            with con.cursor() as cursor:
                cursor.execute("SET timezone TO 'UTC'")
                cursor.execute("SET query_group TO %s", [self.options["query_group"]])
                if self.statement_timeout:
                    cursor.execute("SET statement_timeout TO %s", [self.statement_timeout])
            con.autocommit = False
            yield con
        finally:
            con.close()  # rolls back what was not committed

    def is_ours(self, error: Exception) -> bool:
        """Whether an error of COPY has to do with the cluster, and nothing with what is in the objects."""
        said = str(error).lower()
        return _may_go_well(error) or any(sign in said for sign, _ in _ADVICE if sign != "nosuchkey")

    def _parameters(self, login: Login) -> dict[str, Any]:
        import certifi

        return {
            "host": login.host, "port": login.port, "dbname": self.address.database, "user": login.user,
            "password": login.password, "application_name": "scx_pipeline", "connect_timeout": 15,
            "sslmode": self.options["sslmode"], "sslrootcert": self.options.get("sslrootcert", certifi.where()),
            "gssencmode": "disable",
            # A COPY may take longer than a router remembers a connection on which nothing is said.
            "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6,
        }  # fmt: skip

    def _wait_for(self, con: connection, lock: str) -> None:
        """Take the lock for the transaction that begins with it, or say that it is taken and wait."""
        import psycopg2

        name = f"{quote(STATE_SCHEMA)}.{quote(f'lock_{lock}')}"
        con.autocommit = True
        session = RedshiftSession(con, self, lock)
        self._make_lock(session, name, f"lock_{lock}")
        con.autocommit = False
        timeout, who = self.limits.lock_timeout, "another run"
        for patience in sorted({min(POLITE, timeout), timeout}):
            try:
                session.execute("SET statement_timeout TO %s", [int(patience * 1000) or 1])
                session.execute(f"LOCK {name}")
                session.execute("SET statement_timeout TO %s", [self.statement_timeout])
                return
            except psycopg2.errors.QueryCanceled:
                con.rollback()
                who = self._holder(session, f"lock_{lock}")
                con.rollback()
                if patience < timeout:
                    self.notify(f"waiting for {who}, which is loading {lock}")
        raise WarehouseBusyError(
            f"{lock} in {self.url} is being loaded by {who}; waited {timeout:g} s (SCX_LOCK_TIMEOUT): "
            "wait for that run, or stop it"
        )

    @staticmethod
    def _holder(session: RedshiftSession, table: str) -> str:
        """Who has a lock. Only a superuser may see the transactions of other users."""
        found = session.rows(
            "SELECT t.pid FROM svv_transactions AS t JOIN pg_class AS c ON c.oid = t.relation"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s"
            " AND t.granted = 't' AND t.pid <> pg_backend_pid() LIMIT 1",
            [STATE_SCHEMA, table],
        )
        return f"server process {found[0][0]}" if found else "another run"

    @staticmethod
    def _make_lock(session: RedshiftSession, name: str, table: str) -> None:
        import psycopg2

        if session.existing_columns(STATE_SCHEMA, table):
            return
        with suppress(
            psycopg2.errors.UniqueViolation, psycopg2.errors.DuplicateTable
        ):  # by another run, just now
            if STATE_SCHEMA not in session.schemas():
                session.create_schema(STATE_SCHEMA)
            session.execute(f"CREATE TABLE IF NOT EXISTS {name} (nothing smallint)")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What a person can act on, as one line with what to do; what another attempt may mend, as RetryableTransactionError."""
        import psycopg2

        try:
            yield
        except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError, psycopg2.errors.InsufficientPrivilege,
                psycopg2.errors.ReadOnlySqlTransaction) as error:  # fmt: skip
            line = first_line(error)
            kind = RetryableTransactionError if _may_go_well(error) else WarehouseError
            advice = next((advice for sign, advice in _ADVICE if sign.lower() in str(error).lower()), "")
            advice = stopped(error, self.limits) or advice or forbidden(error)
            raise kind(
                f"{self.url}: {line}{f' ({advice})' if advice else ''}; nothing was changed"
            ) from error


class RedshiftSession(PostgresProtocolSession):
    """A connection to a Redshift database, and in a load the place in S3 that COPY reads from."""

    capabilities = CAPABILITIES

    def __init__(self, con: connection, warehouse: RedshiftWarehouse, lock: str) -> None:
        self.con, self.warehouse, self.lock = con, warehouse, lock
        self.loaded: dict[str, int] = {}  # rows that came in, by table
        self.scratch: ScratchDatabase | None = None
        self.opened = ExitStack()
        self._places: dict[str | None, StagingPrefix] = {}  # by their URL

    def close(self) -> None:
        """Leave nothing behind in S3, nor here."""
        self.opened.close()
        for place in self._places.values():
            try:
                place.clear()
            except WarehouseError as error:
                self.warehouse.notify(f"{error}; the next load removes it")

    @property
    def place(self) -> StagingPrefix:
        """The place that COPY reads from, which is this load's alone."""
        return self._place_of("staging")

    @property
    def region_place(self) -> StagingPrefix:
        """The same for what COPY is told of objects in another region: what it reads must all be in one."""
        return self._place_of("region_staging" if self.warehouse.access.region else "staging")

    def _place_of(self, option: str) -> StagingPrefix:
        url = self.warehouse.options.get(option)
        if url not in self._places:
            self._places[url] = place = open_staging_prefix(url, self.lock)
            place.sweep()
        return self._places[url]

    def unload(self, unload: Unload) -> int:
        with told_of(unload):
            self.execute(unload_sql(unload, self.warehouse.access))
        [(rows,)] = self.rows("SELECT pg_last_unload_count()")
        return int(rows)

    def create_table(self, schema: str, table: Table) -> None:
        """Without keys: the planner would believe them, also while they do not hold yet."""
        columns = ", ".join(
            f"{quote(column.name)} {self.engine_type(column)}{f' ENCODE {column.encoding}' if column.encoding else ''}"
            for column in table.columns
        )
        self.execute(f"CREATE TABLE {qualified(schema, table)} ({columns}){_layout(table)}")

    def layout(self, table: Table) -> str:
        encodings = [f"{column.name} {column.encoding}" for column in table.columns if column.encoding]
        return ", ".join([_layout(table).strip(), *encodings])

    def drop_table(self, schema: str, name: str) -> None:
        import psycopg2

        full, timeout = f"{quote(schema)}.{quote(name)}", self.warehouse.limits.lock_timeout
        self.execute("SET statement_timeout TO %s", [int(timeout * 1000) or 1])
        try:
            self.execute(f"LOCK {full}")
        except psycopg2.errors.QueryCanceled:
            raise WarehouseBusyError(
                f"{full} is being read by a query that does not end; waited {timeout:g} s (SCX_LOCK_TIMEOUT): "
                "wait for it, or end it; nothing was changed"
            ) from None
        self.execute("SET statement_timeout TO %s", [self.warehouse.statement_timeout])
        super().drop_table(schema, name)

    def swap_in(self, schema: str, built: Table, table: Table) -> None:
        super().swap_in(schema, built, table)
        if qualified(schema, built) in self.loaded:
            self.loaded[qualified(schema, table)] = self.loaded.pop(qualified(schema, built))

    def insert(self, schema: str, table: Table, select: str) -> int:
        inserted = super().insert(schema, table, select)
        self.count(qualified(schema, table), inserted)
        return inserted

    def _append_files(self, target: str, columns: Sequence[Column], files: ParquetFiles) -> None:
        append_files(self, target, columns, files)

    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        import pyarrow.parquet as pq

        content, made = io.BytesIO(), arrow_table(columns, rows)
        pq.write_table(made.cast(copyable(made.schema)), content, compression=CODEC)
        self.copy_parquet(table, [self.place.put("rows.parquet", content.getvalue())], len(rows))

    def copy_parquet(self, table: str, entries: Sequence[Entry], rows: int) -> None:
        """COPY Parquet files, whose columns are the table's in order, into it. Raises WarehouseError unless all rows came."""
        if not entries:
            return
        manifest = self.place.manifest(entries)
        # The files are where the cluster is: COPY takes no REGION with Parquet.
        self.execute(copy_sql(table, manifest, self.warehouse.access, ["FORMAT AS PARQUET"]))
        [(copied,)] = self.rows("SELECT pg_last_copy_count()")
        if copied != rows:
            raise WarehouseError(
                f"{table}: {rows:,} rows were made, but {copied:,} arrived; nothing was changed"
            )
        self.count(table, rows)

    def count(self, table: str, rows: int) -> None:
        """Note that rows came into a table."""
        self.loaded[table] = self.loaded.get(table, 0) + max(0, rows)

    def analyze_loaded(self) -> None:
        """Tell the planner of tables that many rows came into. What was published stands, even if this fails."""
        import psycopg2

        with suppress(psycopg2.Error):
            self.con.autocommit = True
            for table, rows in sorted(self.loaded.items()):
                if rows >= LARGE and "." in table:  # a temporary one is gone, or soon will be
                    self.execute(f"ANALYZE {table}")

    def row_hash(self, columns: Sequence[Column]) -> str:
        hashed = "0"
        for column in columns:
            for value in _hashable(column):
                hashed = f"FNV_HASH({value}, {hashed})"
        return hashed

    def same(self, left: str, right: str, column: Column) -> str:
        # Blanks at the end count for nothing when texts are compared.
        equal = super().same(left, right, column)
        return f"({equal} AND LEN({left}) = LEN({right}))" if column.max_bytes is not None else equal

    def condition(self, tables: Sequence[str]) -> HealthReport:
        return redshift_maintenance.health(self, tables)

    def maintenance_statements(self, tables: Sequence[str]) -> list[str]:
        return redshift_maintenance.maintenance_statements(tables)

    @contextmanager
    def staging_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Land on a workbench; what landed goes up as Parquet files, which one COPY brings in."""
        if self.scratch is None:
            self.scratch = self.opened.enter_context(open_scratch_database(self.warehouse.limits))
        yield UploadStagingBuffer(self, self.scratch, schema, table, scope)


class UploadStagingBuffer(StagingBuffer):
    """Lands in the workbench's table of the same name, which is written to Parquet files in S3 when all have landed."""

    batch_bytes = None

    def __init__(
        self,
        session: RedshiftSession,
        scratch: ScratchDatabase,
        schema: str,
        table: Table,
        scope: LoadScope,
    ) -> None:
        self.session, self.scratch, self.con = session, scratch, scratch.con
        self.schema, self.table, self.scope, self.rows = schema, table, scope, qualified(schema, table)
        self.reader: RedshiftObjectReader | None = None
        scratch.make(schema, table, OBJECT)
        if session.warehouse.reads_objects:
            self.reader = RedshiftObjectReader(session, table, scope, session.warehouse.copy_from)

    def flush(self) -> None:
        """Nothing to do: the rows stay where they landed until all of them did."""

    def gather(self) -> str:
        """The cluster's table, once it has read objects: the rows that were parsed here go there as well."""
        if self.reader is None or not self.reader.landed:
            return self.rows
        columns = [*self.table.columns, OBJECT]
        with temporary_folder() as folder:
            self._bring(self.reader.target, columns, Path(folder))
        self.scratch.execute(f"DELETE FROM {self.rows}")
        return self.reader.target

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        if self.reader is None or not self.reader.landed:
            return super().ask(sql)
        with self.session.con.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def finish(self, duplicate_keys: str | None) -> None:
        slice_ = in_scope(self.table, self.scope)
        if self.reader is not None and self.reader.landed:
            self._publish(self.gather(), duplicate_keys)
            return
        self.scratch.execute(f"DELETE FROM {self.rows} WHERE NOT {slice_}")
        if duplicate_keys:
            self.scratch.keep_latest(self.rows, self.table, duplicate_keys, self.scope)
        self.session.execute(f"DELETE FROM {self.rows} WHERE {slice_}")
        with temporary_folder() as folder:
            self._bring(self.rows, self.table.columns, Path(folder))
        self.scratch.execute(f"DROP TABLE {self.rows}")

    def _publish(self, target: str, duplicate_keys: str | None) -> None:
        """Replace the slice by what stands in a temporary table of the cluster."""
        slice_, columns = in_scope(self.table, self.scope), names(self.table.column_names)
        if duplicate_keys:
            self.session.keep_latest(target, self.table, duplicate_keys, self.scope)
        self.session.execute(f"DELETE FROM {self.rows} WHERE {slice_}")
        self.session.insert(self.schema, self.table, f"SELECT {columns} FROM {target} WHERE {slice_}")
        self.session.execute(f"DROP TABLE {target}")
        self.scratch.execute(f"DROP TABLE {self.rows}")

    def _bring(self, target: str, columns: Sequence[Column], folder: Path) -> None:
        """Bring the rows that landed here to a table of the cluster."""
        [(count,)] = self.scratch.rows(f"SELECT COUNT(*) FROM {self.rows}")
        entries = self._upload(columns, folder) if count else []
        self.session.copy_parquet(target, entries, count)

    def _upload(self, wanted: Sequence[Column], folder: Path) -> list[Entry]:
        columns = ", ".join(
            f"CAST({quote(column.name)} AS {self.scratch.engine_type(column)}) AS {quote(column.name)}"
            for column in wanted
        )
        target = folder / "rows"
        self.con.execute(
            f"COPY (SELECT {columns} FROM {self.rows}) TO '{target}' (FORMAT parquet, COMPRESSION {CODEC},"
            f" TIMESTAMP_IS_ADJUSTED_TO_UTC true, FILE_SIZE_BYTES '{FILE_BYTES}')"
        )
        files = sorted(target.glob("*.parquet")) if target.is_dir() else [target]
        return [self.session.place.put("rows.parquet", file) for file in files]


def _megabytes(text: str) -> int:
    """A URL's number of megabytes, in bytes."""
    if not text.isdecimal():
        raise WarehouseError(
            f"copy_from in SCX_WAREHOUSE_URL is {text!r}: write a number of megabytes, such as {COPY_FROM}"
        )
    return int(text) * 1_000_000


def _layout(table: Table) -> str:
    """How Redshift spreads and sorts a table's rows."""
    style = table.dist
    spread = (
        f" DISTSTYLE {style.upper()}"
        if style in ("auto", "even", "all")
        else f" DISTSTYLE KEY DISTKEY ({quote(style)})"
    )
    return spread + (f" SORTKEY ({names(table.sort)})" if table.sort else " SORTKEY AUTO")


def _hashable(column: Column) -> list[str]:
    """What a column's value is hashed by, one after the other: no value is like a NULL, nor like another value."""
    name = quote(column.name)
    if column.max_bytes is not None:
        return [f"COALESCE(LEN({name}), -1)", f"COALESCE({name}, '')"]
    if column.type == "boolean":
        return [f"CASE WHEN {name} THEN 1 WHEN NOT {name} THEN 0 ELSE -1 END"]
    return [f"COALESCE(CAST({name} AS VARCHAR), '')"]


def _may_go_well(error: Exception) -> bool:
    """Whether the same may go well in another attempt: a conflict with another transaction, or a connection that broke."""
    import psycopg2

    if isinstance(error, psycopg2.errors.QueryCanceled):  # whatever number its message has in it
        return False
    lost = (
        isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        and getattr(error, "pgcode", None) is None
    )
    return lost or any(sign in str(error) for sign in ("1023", "1018", "Serializable isolation violation"))


def _refusal(error: Exception, login: Login) -> str:
    """Why a connection was refused, and what to do; nothing of the password."""
    line = first_line(error)
    if login.password:
        line = line.replace(login.password, "***")
    advice = next((advice for sign, advice in _CONNECTING if sign in line.lower()), "")
    return f"{line}; {advice}" if advice else line


_CONNECTING = (
    ("could not translate host name", "see the host, or whether the cluster was deleted (`scx cloud status`)"),
    ("timeout expired", "is the cluster running, and does its security group let this machine in?"),
    ("timed out", "is the cluster running, and does its security group let this machine in?"),
    ("connection refused", "is the cluster running? (`scx cloud status`)"),
    ("password authentication failed", "see user and password; temporary ones expire: take workgroup=, cluster= or secret= instead"),
    ("certificate verify failed", "the server's certificate is not the one that sslrootcert vouches for"),
)  # fmt: skip
# What the cluster says of COPY and of itself → what to do.
_ADVICE = (
    ("not authorized to assume", "attach the role to the cluster, or name another by iam_role="),
    ("nosuchkey", "an object went away after it was listed: run again"),
    ("accessdenied", "the cluster's role must be allowed to read the bucket"),
    ("permanentredirect", "the bucket is in another region: say region= and region_staging="),
    ("must be addressed using the specified endpoint", "the bucket is in another region: say region= and region_staging="),
    ("disk full", "free some room, or resize the cluster"),
    ("is paused", "run `scx cloud resume redshift-provisioned`"),
)  # fmt: skip
