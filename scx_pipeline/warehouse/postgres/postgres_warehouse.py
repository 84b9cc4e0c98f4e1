"""A PostgreSQL database as a warehouse: one transaction per load, and an advisory lock per star.

What is published is decided by the load.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.duckdb.duckdb_connection import translate_other_errors
from scx_pipeline.warehouse.duckdb.scratch_database import translate_scratch_errors
from scx_pipeline.warehouse.postgres import session_settings
from scx_pipeline.warehouse.postgres.commit_status import current_transaction
from scx_pipeline.warehouse.postgres.postgres_errors import (
    describe_refused_connection,
    translate_postgres_errors,
)
from scx_pipeline.warehouse.postgres.postgres_roles import roles_sql
from scx_pipeline.warehouse.postgres.postgres_session import (
    CAPABILITIES,
    TABLE_SQL,
    PooledSession,
    PostgresSession,
)
from scx_pipeline.warehouse.postgres.postgres_tables import PostgresTables
from scx_pipeline.warehouse.psycopg import (
    Address,
    PostgresProtocolWarehouse,
    describe_unreadable_url,
    parse_url,
)
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.warehouse import Notify, Warehouse

if TYPE_CHECKING:
    from psycopg2.extensions import connection

__all__ = ["CAPABILITIES", "TABLE_SQL", "PostgresWarehouse", "connection_info", "open_url", "roles_sql"]

SAMPLE_URL = "postgresql://user:password@host:5432/dev"
SHARED_LOCK = "what all stars share"  # no star has this name
# The key of one number is stored as two of 32 bits; other applications' keys are in other databases, or two numbers.
_LOCK_HOLDER = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def open_url(url: str, limits: Limits, notify: Notify) -> Warehouse:
    """Return the warehouse of `postgresql://user:password@host:5432/dev`."""
    return PostgresWarehouse(url, limits, notify)


def connection_info(url: str) -> dict[str, str | int | None]:
    """Return the parts of a URL that are not secret."""
    found = _parse_address(url)
    where: dict[str, str | int | None] = {"host": found.host, "port": found.port}
    return {**where, "database": found.database, "user": found.user, "sslmode": found.query.get("sslmode")}


def _parse_address(url: str) -> Address:
    """Return a URL's parts; for the driver, those in the query override the others."""
    found = parse_url(url, 5432, SAMPLE_URL, ("host",))
    query = found.query
    try:
        port = int(query.get("port", found.port))
    except ValueError:
        raise WarehouseError(describe_unreadable_url(SAMPLE_URL)) from None
    host, database = query.get("host", found.host), query.get("dbname", found.database)
    return Address(host, port, database, query.get("user", found.user), query=query)


class PostgresWarehouse(PostgresProtocolWarehouse):
    """A PostgreSQL database."""

    capabilities = CAPABILITIES
    max_attempts, first_retry_seconds = 3, 1.0

    def __init__(self, url: str, limits: Limits, notify: Notify) -> None:
        found = _parse_address(url)
        self._dsn, self._port, self.limits, self.notify = url, found.port, limits, notify
        self._url_settings = found.query.keys()
        self.url = f"postgresql://{found.host}:{found.port}/{found.database}"
        if found.host.startswith("/"):
            self.url = f"postgresql:///{found.database}?host={found.host}&port={found.port}"

    @contextmanager
    def transaction(self, lock: str) -> Iterator[Session]:
        """Open a transaction under an advisory lock, which its end releases.

        Each statement sees what was committed before it, including what a load that it waited for has published.
        """
        with (
            self._connect() as con,
            self._translate_errors(),
            translate_other_errors(self.url),
            translate_scratch_errors(self.limits),
        ):
            con.set_session(isolation_level="READ COMMITTED", deferrable=False)
            self._start(con, session_settings.of_load(self.limits))
            self._wait_for_lock(con, lock)
            session_settings.raise_memory(con)
            with closing(self._open_session(PostgresSession, con)) as session:
                yield session
                assert isinstance(session.tables, PostgresTables)
                session.tables.publish()
                self._commit(con)
                session.analyze_swapped()

    def _open_session(self, kind: type[PostgresSession], con: connection) -> PostgresSession:
        session = kind(con, self.limits, self.notify, lambda: self.transaction(SHARED_LOCK))
        session.tables = PostgresTables(session)
        return session

    def _commit(self, con: connection) -> None:
        """Commit. If the connection is lost before the answer, ask the server whether it has committed."""
        import psycopg2

        transaction = current_transaction(con)
        try:
            con.commit()
        except psycopg2.Error as error:
            if transaction is None or not con.closed:
                raise
            self.notify(f"{self.url}: {first_line(error)}; asking whether the load was committed")
            is_committed = transaction.is_committed(self._connect)
            if is_committed is None:
                raise WarehouseError(
                    f"{self.url}: {first_line(error)}, while the load was being committed, and the server does not report whether it "
                    "was: check `scx status` once it answers, or run again, which loads nothing twice"
                ) from error
            if not is_committed:
                raise
            self.notify(f"{self.url} has committed the load")

    @contextmanager
    def open_autocommit(self, lock: str) -> Iterator[Session]:
        """Open a session while another connection holds the lock, as VACUUM cannot run in a transaction.

        That connection sees no rows, so it prevents none from being removed.
        """
        with self.transaction(lock), self._connect() as con, self._translate_errors():
            con.autocommit = True
            kind = PooledSession if session_settings.is_pooled(con) else PostgresSession
            if kind is PostgresSession:
                session_settings.apply(con, session_settings.of_load(self.limits), local=False)
            with closing(self._open_session(kind, con)) as session:
                yield session

    @contextmanager
    def open_read_only(self) -> Iterator[Session | None]:
        """Open a session that only reads; all its queries see the same commit."""
        with self._connect() as con, self._translate_errors():
            con.set_session(isolation_level="REPEATABLE READ", readonly=True, deferrable=False)
            self._start(con, session_settings.of_reader(self.limits))
            yield self._open_session(PostgresSession, con)

    @contextmanager
    def _connect(self) -> Iterator[connection]:
        import psycopg2

        defaults = {
            name: value
            for name, value in session_settings.CONNECTION_DEFAULTS.items()
            if name not in self._url_settings
        }
        try:
            # With the port, as otherwise PGPORT would apply to a URL without one.
            con = psycopg2.connect(self._dsn, port=self._port, **session_settings.CONNECTION, **defaults)
        except psycopg2.Error as error:
            # The driver quotes a URL that it cannot parse, password included.
            shows_url = isinstance(error, psycopg2.ProgrammingError) and "query parameter" not in str(error)
            reason = describe_unreadable_url(SAMPLE_URL) if shows_url else describe_refused_connection(error)
            raise WarehouseError(f"cannot connect to {self.url}: {reason}") from None
        try:
            self._check_encoding(con)
            yield con
        finally:
            con.close()  # which rolls back an open transaction

    def _start(self, con: connection, settings: Mapping[str, str]) -> None:
        """Start the transaction, with these settings."""
        import psycopg2

        try:
            session_settings.apply(con, settings)
        except psycopg2.OperationalError as error:
            if not con.closed or error.pgcode:
                raise
            raise WarehouseError(
                f"{self.url}: {first_line(error)}, when a transaction started: a pooler must give each transaction a connection of its "
                "own (PgBouncer: pool_mode = transaction or session); without a pooler, run again; nothing was changed"
            ) from error

    def _check_encoding(self, con: connection) -> None:
        """Raise WarehouseError unless the database can store every text, and measures and orders texts by UTF-8 bytes."""
        encoding = con.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise WarehouseError(
                f"{self.url} has the encoding {encoding}, which cannot store every text of the bucket: load into a database "
                "created by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )

    def _wait_for_lock(self, con: connection, lock: str) -> None:
        """Take the lock, or report its holder and wait: the statement timeout does not apply, only the lock timeout."""
        import psycopg2

        key = zlib.crc32(f"scx_pipeline {lock}".encode())
        with con.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
            if cursor.fetchone() == (True,):
                return
            cursor.execute(_LOCK_HOLDER, [key])
            found = cursor.fetchone()
            holder = f"server process {found[0]}" if found else "another run"
            self.notify(f"waiting for {holder}, which is loading {lock}")
            try:
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
            except psycopg2.errors.LockNotAvailable:
                raise self._lock_timeout_error(lock, holder) from None
        session_settings.apply(con, session_settings.timeouts(self.limits))

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_postgres_errors(self.url, self.limits)
