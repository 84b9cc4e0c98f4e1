"""An Amazon Redshift database as a warehouse: one transaction per load, and a locked table per star.

What is published is decided by the load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.scratch_database import translate_scratch_errors
from scx_pipeline.warehouse.object_reader import ServerCopyError
from scx_pipeline.warehouse.psycopg import PostgresProtocolWarehouse, RetryableTransactionError
from scx_pipeline.warehouse.redshift.redshift_errors import (
    describe_refused_connection,
    translate_redshift_errors,
)
from scx_pipeline.warehouse.redshift.redshift_login import Login, log_in
from scx_pipeline.warehouse.redshift.redshift_roles import roles_sql
from scx_pipeline.warehouse.redshift.redshift_session import CAPABILITIES, TABLE_SQL, RedshiftSession
from scx_pipeline.warehouse.redshift.redshift_tables import RedshiftTables
from scx_pipeline.warehouse.redshift.redshift_url import ClusterSettings, connection_info, parse_cluster_url
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified_name
from scx_pipeline.warehouse.warehouse import Notify, Result, Warehouse

if TYPE_CHECKING:
    from psycopg2.extensions import connection

__all__ = ["CAPABILITIES", "TABLE_SQL", "RedshiftWarehouse", "connection_info", "open_url", "roles_sql"]

SILENT_WAIT_SECONDS = 2.0  # for a lock, before a message


def open_url(url: str, limits: Limits, notify: Notify) -> Warehouse:
    """Return the warehouse of `redshift://user:password@host:5439/dev?staging=s3://bucket/prefix`."""
    return RedshiftWarehouse(parse_cluster_url(url), limits, notify)


class RedshiftWarehouse(PostgresProtocolWarehouse):
    """A database of a Redshift cluster or workgroup."""

    capabilities = CAPABILITIES
    max_attempts, first_retry_seconds = 5, 2.0
    retryable = (RetryableTransactionError, ServerCopyError)

    def __init__(self, settings: ClusterSettings, limits: Limits, notify: Notify) -> None:
        self.settings, self.limits, self.notify = settings, limits, notify
        self.url = settings.url
        self.reads_objects = True  # whether the cluster may read objects itself in the present attempt

    def run(self, lock: str, work: Callable[[Session], Result]) -> Result:
        """Run the work in a transaction: if the cluster cannot read its objects, it is retried with all objects parsed by the client."""
        self.reads_objects = True
        return super().run(lock, work)

    def _prepare_retry(self, error: WarehouseError, attempt: int) -> None:
        if isinstance(error, ServerCopyError):
            self.reads_objects = False
            self.notify(f"{error}; trying again, parsing the objects on this machine")
        else:
            super()._prepare_retry(error, attempt)

    @contextmanager
    def transaction(self, lock: str) -> Iterator[Session]:
        """Open a transaction under the lock of an empty table, which no query reads."""
        with self._translate_errors(), translate_scratch_errors(self.limits), self._connect() as con:
            self._wait_for_lock(con, lock)
            with closing(self.open_session(con, lock)) as session:
                yield session
                con.commit()
                session.analyze_loaded()

    @contextmanager
    def open_autocommit(self, lock: str) -> Iterator[Session]:
        """Open a session while another connection holds the lock, as VACUUM cannot run in a transaction."""
        with self.transaction(lock), self._translate_errors(), self._connect() as con:
            con.autocommit = True
            with closing(self.open_session(con)) as session:
                yield session

    @contextmanager
    def open_read_only(self) -> Iterator[Session | None]:
        """Open a session that only reads; all its queries see the same commit."""
        with self._translate_errors(), self._connect() as con:
            con.set_session(readonly=True)
            with closing(self.open_session(con)) as session:
                yield session

    def open_session(self, con: connection, lock: str = "") -> RedshiftSession:
        """Return a session on a connection; `lock` names its folder in the staging prefix."""
        session = RedshiftSession(con, self.settings, self.limits, self.notify, lock)
        session.tables = RedshiftTables(session)
        session.reads_objects = self.reads_objects
        return session

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_redshift_errors(self.url, self.limits)

    @contextmanager
    def _connect(self) -> Iterator[connection]:
        """Connect; settings are made outside of a transaction, so that they outlive a rollback."""
        import psycopg2

        login = log_in(self.settings.address)
        try:
            con = psycopg2.connect(**self._connection_parameters(login))
        except psycopg2.Error as error:
            reason = describe_refused_connection(error, login)
            raise WarehouseError(f"cannot connect to {self.url}: {reason}") from None
        try:
            con.autocommit = True
            session = self.open_session(con)
            session.execute("SET timezone TO 'UTC'")
            session.execute("SET query_group TO %s", [self.settings.options["query_group"]])
            if session.statement_timeout:
                session.execute("SET statement_timeout TO %s", [session.statement_timeout])
            con.autocommit = False
            yield con
        finally:
            con.close()  # which rolls back an open transaction

    def _connection_parameters(self, login: Login) -> dict[str, Any]:
        import certifi

        options = self.settings.options
        return {
            "host": login.host, "port": login.port, "dbname": self.settings.address.database, "user": login.user,
            "password": login.password, "application_name": "scx_pipeline", "connect_timeout": 15,
            "sslmode": options["sslmode"], "sslrootcert": options.get("sslrootcert", certifi.where()),
            "gssencmode": "disable",
            # A COPY may take longer than routers keep an idle connection.
            "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6,
        }  # fmt: skip

    def _wait_for_lock(self, con: connection, lock: str) -> None:
        """Take the lock for the transaction that starts with it, or report its holder and wait."""
        import psycopg2

        table = f"lock_{lock}"
        con.autocommit = True
        session = self.open_session(con, lock)
        _create_lock_table(session, table)
        con.autocommit = False
        timeout, holder = self.limits.lock_timeout, "another run"
        for seconds in sorted({min(SILENT_WAIT_SECONDS, timeout), timeout}):
            try:
                session.execute("SET statement_timeout TO %s", [int(seconds * 1000) or 1])
                session.execute(f"LOCK {qualified_name(STATE_SCHEMA, table)}")
                session.execute("SET statement_timeout TO %s", [session.statement_timeout])
                return
            except psycopg2.errors.QueryCanceled:
                con.rollback()
                holder = _find_lock_holder(session, table)
                con.rollback()
                if seconds < timeout:
                    self.notify(f"waiting for {holder}, which is loading {lock}")
        raise self._lock_timeout_error(lock, holder)


def _create_lock_table(session: RedshiftSession, table: str) -> None:
    import psycopg2

    if session.catalog.has_table(STATE_SCHEMA, table):
        return
    # Another run may have created it in the meantime.
    with suppress(psycopg2.errors.UniqueViolation, psycopg2.errors.DuplicateTable):
        if STATE_SCHEMA not in session.catalog.list_schemas():
            session.create_schema(STATE_SCHEMA)
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {qualified_name(STATE_SCHEMA, table)} (nothing smallint)"
        )


def _find_lock_holder(session: RedshiftSession, table: str) -> str:
    """Return who has a lock. Only a superuser may see the transactions of other users."""
    found = session.rows(
        "SELECT t.pid FROM svv_transactions AS t JOIN pg_class AS c ON c.oid = t.relation"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s"
        " AND t.granted = 't' AND t.pid <> pg_backend_pid() LIMIT 1",
        [STATE_SCHEMA, table],
    )
    return f"server process {found[0][0]}" if found else "another run"
