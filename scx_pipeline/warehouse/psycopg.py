"""What databases that speak PostgreSQL's protocol have in common: sessions, retries, URLs and advice on errors.

Differences between PostgreSQL and Redshift belong to their packages.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.catalog import Catalog, Relation, group_columns
from scx_pipeline.warehouse.duckdb.scratch_database import ScratchDatabase, open_scratch_database
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import TableSql
from scx_pipeline.warehouse.warehouse import Result, Warehouse

if TYPE_CHECKING:
    import pandas as pd
    from psycopg2.extensions import connection

CREATE_ROLES = "have an administrator run what `scx roles` prints"
_TYPE_NAMES = (
    ("timestamp", "timestamp without time zone"),
    ("varchar(", "character varying("),
    ("decimal(", "numeric("),
)
_KINDS = {
    "r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence", "i": "index",
    "I": "index", "c": "type",
}  # fmt: skip


class RetryableTransactionError(WarehouseError):
    """A transaction failed for a transient reason, and may succeed when it is retried."""


class PostgresProtocolWarehouse(Warehouse):
    """A database on a server: transactions that fail for a transient reason are retried."""

    max_attempts: ClassVar[int]
    first_retry_seconds: ClassVar[float]  # before the second attempt; each next wait is twice as long
    retryable: ClassVar[tuple[type[WarehouseError], ...]] = (RetryableTransactionError,)

    def run(self, lock: str, work: Callable[[Session], Result]) -> Result:
        for attempt in range(1, self.max_attempts):
            try:
                return super().run(lock, work)
            except self.retryable as error:
                self._prepare_retry(error, attempt)
        return super().run(lock, work)

    def _lock_timeout_error(self, lock: str, holder: str) -> WarehouseBusyError:
        return WarehouseBusyError(
            f"{lock} in {self.url} is being loaded by {holder}; waited {self.limits.lock_timeout:g} s (SCX_LOCK_TIMEOUT): "
            "wait for that run, or stop it"
        )

    def _prepare_retry(self, error: WarehouseError, attempt: int) -> None:
        """Report the error, and wait before the next attempt."""
        seconds = self.first_retry_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1)
        self.notify(f"{error}; trying again in {seconds:.1f} s ({attempt} of {self.max_attempts - 1})")
        time.sleep(seconds)


class PostgresProtocolSession(Session):
    """Statements on one psycopg2 connection, and the scratch database of a load."""

    def __init__(self, con: connection, limits: Limits) -> None:
        self.con, self.limits = con, limits
        self.scratch: ScratchDatabase | None = None
        self.resources = ExitStack()

    def open_scratch(self) -> ScratchDatabase:
        """Return the load's scratch database, opened on first use."""
        if self.scratch is None:
            self.scratch = self.resources.enter_context(open_scratch_database(self.limits))
        return self.scratch

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        with self._cursor() as cursor:
            cursor.execute(sql, list(parameters) or None)
            return int(cursor.rowcount)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            cursor.execute(sql, list(parameters) or None)
            return list(cursor.fetchall())

    def read_frame(self, sql: str) -> pd.DataFrame:
        import pandas as pd

        with self._cursor() as cursor:
            cursor.execute(sql)
            assert cursor.description is not None
            return pd.DataFrame(cursor.fetchall(), columns=[item.name for item in cursor.description])

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with self.con.cursor() as cursor:
            yield cursor

    def create_schema(self, name: str) -> None:
        import psycopg2

        try:
            super().create_schema(name)
        except psycopg2.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"the schema {name} does not exist, and this user may not create it: {CREATE_ROLES} "
                "(again, after a star was added); nothing was changed"
            ) from error


class PostgresProtocolTableSql(TableSql):
    """The statements that create tables."""

    def engine_type(self, column: Column) -> str:
        # As format_type writes it, so that an existing table can be compared with its declaration.
        neutral = super().engine_type(column)
        for short, full in _TYPE_NAMES:
            if neutral.startswith(short):
                return neutral.replace(short, full, 1).replace(", ", ",")
        return neutral


class PostgresProtocolCatalog(Catalog):
    """The catalog, read from pg_catalog."""

    owner_name = "u.usename"  # of the pg_class row c, joined with the pg_user row u

    def list_schemas(self) -> set[str]:
        # The information schema shows only those that the user has a right to.
        return {name for (name,) in self.session.rows("SELECT nspname FROM pg_namespace")}

    def list_columns(self, schema: str, tables: Collection[str]) -> dict[str, list[tuple[str, str]]]:
        found = self.session.rows(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a"
            " JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = %s AND c.relname IN ({', '.join(['%s'] * len(tables))})"
            " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum",
            [schema, *tables],
        )
        return group_columns(found)

    def find_relations(self, schema: str, names: Collection[str]) -> dict[str, Relation]:
        found = self.session.rows(
            f"SELECT c.relname, c.relkind, {self.owner_name}, a.attname, format_type(a.atttypid, a.atttypmod)"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_user AS u ON u.usesysid = c.relowner"
            " LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            f" WHERE n.nspname = %s AND c.relname IN ({', '.join(['%s'] * len(names))}) ORDER BY c.relname, a.attnum",
            [schema, *names],
        )
        columns = group_columns(
            (name, column, kind) for name, _, _, column, kind in found if column is not None
        )
        return {
            name: Relation(_KINDS.get(kind, "relation"), owner or "", tuple(columns.get(name, ())))
            for name, kind, owner, _, _ in found
        }


@dataclass(frozen=True)
class Address:
    """The parts of a URL, its query undecoded but for escapes."""

    host: str
    port: int
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_url(url: str, port: int, sample: str, instead_of_host: Collection[str] = ()) -> Address:
    """Return the parts of a URL.

    Args:
        url: It may contain a password.
        port: The default port.
        sample: An example of a valid URL, for messages.
        instead_of_host: Names in the query of which one may replace the host.

    Raises:
        WarehouseError: The URL is malformed; the message shows nothing of it, as any part may be the password.
    """
    try:
        parts = urlsplit(url)
        found = Address(
            parts.hostname or "",
            parts.port or port,
            unquote(parts.path.strip("/")),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            dict(parse_qsl(parts.query)),
        )
    except ValueError:
        several = "," in url.partition("://")[2].rpartition("@")[2].partition("/")[0]
        raise WarehouseError(
            f"SCX_WAREHOUSE_URL names several hosts: use only the one that accepts writes, {sample}"
            if several
            else describe_unreadable_url(sample)
        ) from None
    if not found.database or not (found.host or found.query.keys() & set(instead_of_host)):
        raise WarehouseError(f"SCX_WAREHOUSE_URL names no host or no database: use {sample}")
    stray = [item for item in parts.query.split("&") if "@" in item.partition("=")[0]]
    # The driver takes the first @ as the end of the password, and shows what follows it as the host.
    if parts.netloc.count("@") > 1:
        raise WarehouseError(describe_unreadable_url(sample))
    if "@" in parts.path or "/" in parts.path.strip("/") or "@" in parts.fragment or stray:
        raise WarehouseError(describe_unreadable_url(sample))
    return found


def describe_unreadable_url(sample: str) -> str:
    """Return the message about a URL that cannot be parsed."""
    return (
        f"SCX_WAREHOUSE_URL cannot be read: use {sample}, "
        "with @ : / ? # % in the password as %40 %3A %2F %3F %23 %25"
    )


def read_timeout_error(table: str, limits: Limits) -> WarehouseBusyError:
    """Return the error to raise when readers block the replacement of a table for too long."""
    return WarehouseBusyError(
        f"{table} is still being read by a query after {limits.lock_timeout:g} s (SCX_LOCK_TIMEOUT): "
        "wait for the query or cancel it; nothing was changed"
    )


def advise_on_privileges(error: Exception) -> str:
    """Return what to do about a statement that the user has no right to run; empty for other errors."""
    import psycopg2

    return CREATE_ROLES if isinstance(error, psycopg2.errors.InsufficientPrivilege) else ""


def advise_on_timeout(error: Exception, limits: Limits) -> str:
    """Return what to do about a statement that exceeded SCX_STATEMENT_TIMEOUT; empty for other errors."""
    import psycopg2

    if not limits.statement_timeout or not isinstance(error, psycopg2.errors.QueryCanceled):
        return ""
    return f"a statement may take {limits.statement_timeout:g} s, by SCX_STATEMENT_TIMEOUT: raise it, or see what it waits for"
