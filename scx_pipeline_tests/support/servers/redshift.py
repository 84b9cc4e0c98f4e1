"""A real Redshift given by its URL: emptied before each test, and only if it is empty or was given over to tests before.
The stand-in that takes its place is in standin/."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import obstore

from scx_pipeline.errors import WarehouseError
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.redshift.redshift_warehouse import RedshiftSession, RedshiftWarehouse

MARK = "scx_pipeline_tests"  # the schema that says that everything in the database may be dropped
OF_THE_SYSTEM = (
    "pg_catalog",
    "information_schema",
    "catalog_history",
    "pg_automv",
    "pg_auto_copy",
    "pg_mv",
    "pg_s3",
)
_OTHERS = (
    "SELECT DISTINCT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg_%'"
)


def emptied(url: str) -> str:
    """The URL, with nothing but the mark in its database. Raises WarehouseError where there are tables of somebody else's."""
    warehouse = open_warehouse(url, Limits())
    assert isinstance(warehouse, RedshiftWarehouse)
    with warehouse._connect() as con:
        con.autocommit = True
        _empty(RedshiftSession(con, warehouse, ""))
    return url


@contextmanager
def reading_bucket(url: str) -> Iterator[str]:
    """A bucket for logs that the Redshift of a URL can read: a folder of its own beside its staging place, empty afterwards."""
    [staging] = parse_qs(urlsplit(url).query)["staging"]
    bucket = f"{staging}-logs/{uuid4().hex}"
    try:
        yield bucket
    finally:
        store = open_bucket(bucket).store
        obstore.delete(store, [item["path"] for page in store.list() for item in page])


def _empty(session: RedshiftSession) -> None:
    standing = session.schemas()
    tables = [row for row in session.rows(_OTHERS) if row[0] not in OF_THE_SYSTEM]
    if tables and MARK not in standing:
        schema, name = tables[0]
        raise WarehouseError(
            f"the database has tables, such as {schema}.{name}, and the tests drop all there are: give them "
            f"a database of their own, or say that it is by CREATE SCHEMA {MARK}"
        )
    if MARK not in standing:
        session.execute(f"CREATE SCHEMA {MARK}")
    for schema in sorted({schema for schema, _ in tables} - {"public"} | (standing & {"scx_pipeline"})):
        session.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
    for schema, name in tables:
        if schema == "public":
            session.execute(f'DROP TABLE "public"."{name}" CASCADE')
