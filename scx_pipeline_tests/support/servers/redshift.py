"""A real Redshift given by its URL: it is emptied before each test if it was empty or is marked as a database for tests.

The stand-in is not defined here.
"""

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
from scx_pipeline.warehouse.redshift.redshift_session import RedshiftSession
from scx_pipeline.warehouse.redshift.redshift_warehouse import RedshiftWarehouse

MARK = "scx_pipeline_tests"  # this schema marks a database whose tables may be dropped
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
    """Empty the database, and return the URL. Raises WarehouseError if there are tables that are not of tests."""
    warehouse = open_warehouse(url, Limits())
    assert isinstance(warehouse, RedshiftWarehouse)
    with warehouse._connect() as con:
        con.autocommit = True
        _empty(warehouse.open_session(con))
    return url


@contextmanager
def reading_bucket(url: str) -> Iterator[str]:
    """Yield a bucket that the Redshift of a URL can read: a new folder next to its staging prefix, emptied afterwards."""
    [staging] = parse_qs(urlsplit(url).query)["staging"]
    bucket = f"{staging}-logs/{uuid4().hex}"
    try:
        yield bucket
    finally:
        store = open_bucket(bucket).store
        obstore.delete(store, [item["path"] for page in store.list() for item in page])


def _empty(session: RedshiftSession) -> None:
    schemas = session.catalog.list_schemas()
    tables = [row for row in session.rows(_OTHERS) if row[0] not in OF_THE_SYSTEM]
    if tables and MARK not in schemas:
        schema, name = tables[0]
        raise WarehouseError(
            f"the database has tables, such as {schema}.{name}, which the tests would drop: use a database for tests "
            f"only, or mark it as one by CREATE SCHEMA {MARK}"
        )
    if MARK not in schemas:
        session.execute(f"CREATE SCHEMA {MARK}")
    for schema in sorted({schema for schema, _ in tables} - {"public"} | (schemas & {"scx_pipeline"})):
        session.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
    for schema, name in tables:
        if schema == "public":
            session.execute(f'DROP TABLE "public"."{name}" CASCADE')
