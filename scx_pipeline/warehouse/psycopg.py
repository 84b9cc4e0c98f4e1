"""What databases that speak PostgreSQL's protocol have in common: statements on a driver's connection, and URLs.
What differs between PostgreSQL and Redshift is in their own files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.session import Relation, Session, by_table

if TYPE_CHECKING:
    import pandas as pd
    from psycopg2.extensions import connection


class RetryableTransactionError(WarehouseError):
    """A transaction that was broken off through no fault of ours: the same may go well when it is begun anew."""


class PostgresProtocolSession(Session):
    """Statements on one connection."""

    con: connection

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        with self._cursor() as cursor:
            cursor.execute(sql, list(parameters) or None)
            return int(cursor.rowcount)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            cursor.execute(sql, list(parameters) or None)
            return list(cursor.fetchall())

    def frame(self, sql: str) -> pd.DataFrame:
        import pandas as pd

        with self._cursor() as cursor:
            cursor.execute(sql)
            assert cursor.description is not None
            return pd.DataFrame(cursor.fetchall(), columns=[item.name for item in cursor.description])

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with self.con.cursor() as cursor:
            yield cursor

    def schemas(self) -> set[str]:
        # The information schema shows only those that the user has a right to.
        return {name for (name,) in self.rows("SELECT nspname FROM pg_namespace")}

    def create_schema(self, name: str) -> None:
        import psycopg2

        try:
            super().create_schema(name)
        except psycopg2.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"there is no schema {name}, and this user may not create one: have an administrator run what `scx roles` prints "
                "(again, after a star was added); nothing was changed"
            ) from error

    def columns_of(self, schema: str, tables: Collection[str]) -> dict[str, list[tuple[str, str]]]:
        found = self.rows(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a"
            " JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = %s AND c.relname IN ({', '.join(['%s'] * len(tables))})"
            " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum",
            [schema, *tables],
        )
        return by_table(found)

    owner_name = "u.usename"  # of the pg_class row c, joined with the pg_user row u

    def relations_of(self, schema: str, names: Collection[str]) -> dict[str, Relation]:
        found = self.rows(
            f"SELECT c.relname, c.relkind, {self.owner_name}, a.attname, format_type(a.atttypid, a.atttypmod)"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_user AS u ON u.usesysid = c.relowner"
            " LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            f" WHERE n.nspname = %s AND c.relname IN ({', '.join(['%s'] * len(names))}) ORDER BY c.relname, a.attnum",
            [schema, *names],
        )
        columns = by_table((name, column, kind) for name, _, _, column, kind in found if column is not None)
        return {
            name: Relation(_KINDS.get(kind, "relation"), owner or "", tuple(columns.get(name, ())))
            for name, kind, owner, _, _ in found
        }

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


_KINDS = {
    "r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence", "i": "index",
    "I": "index", "c": "type",
}  # fmt: skip


@dataclass(frozen=True)
class Address:
    """A URL's parts; the texts of its query as they are."""

    host: str
    port: int
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_url(url: str, port: int, sample: str, instead_of_host: Collection[str] = ()) -> Address:
    """The parts of a URL; a WarehouseError that shows nothing of one that cannot be read, as it may be all password.

    A host may be left out where the query has one of the names `instead_of_host`.
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
            f"SCX_WAREHOUSE_URL names several hosts: write the one that takes writes, {sample}"
            if several
            else unreadable(sample)
        ) from None
    if not found.database or not (found.host or found.query.keys() & set(instead_of_host)):
        raise WarehouseError(f"SCX_WAREHOUSE_URL names no host or no database: write {sample}")
    strays = [item for item in parts.query.split("&") if "@" in item.partition("=")[0]]
    # The driver takes the first @ for the end of the password, and names what is behind it as the host.
    if parts.netloc.count("@") > 1:
        raise WarehouseError(unreadable(sample))
    if "@" in parts.path or "/" in parts.path.strip("/") or "@" in parts.fragment or strays:
        raise WarehouseError(unreadable(sample))
    return found


def unreadable(sample: str) -> str:
    """What is said of a URL that cannot be read."""
    return (
        f"SCX_WAREHOUSE_URL cannot be read: write {sample}, "
        "with @ : / ? # % in the password as %40 %3A %2F %3F %23 %25"
    )


def forbidden(error: Exception) -> str:
    """What to do about a statement that the user has no right to; nothing of other errors."""
    import psycopg2

    known = isinstance(error, psycopg2.errors.InsufficientPrivilege)
    return "have an administrator run what `scx roles` prints" if known else ""


def stopped(error: Exception, limits: Limits) -> str:
    """What to do about a statement that the server stopped; nothing where it stopped none, or by no setting of ours."""
    import psycopg2

    if not limits.statement_timeout or not isinstance(error, psycopg2.errors.QueryCanceled):
        return ""
    return f"a statement may take {limits.statement_timeout:g} s, by SCX_STATEMENT_TIMEOUT: raise it, or see what it waits for"
