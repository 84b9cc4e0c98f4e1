"""A session on a Redshift database, with the S3 prefix that its COPY reads from.

How a star's tables are filled is not decided here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities, Engine, Limits
from scx_pipeline.warehouse.parquet_files import Unload, check_arrived
from scx_pipeline.warehouse.psycopg import (
    PostgresProtocolCatalog,
    PostgresProtocolSession,
    PostgresProtocolTableSql,
)
from scx_pipeline.warehouse.redshift.copy_command import (
    CODEC,
    Entry,
    StagingPrefix,
    arrow_table,
    copy_sql,
    open_staging_prefix,
    to_copy_schema,
)
from scx_pipeline.warehouse.redshift.redshift_maintenance import RedshiftMaintenance
from scx_pipeline.warehouse.redshift.redshift_url import ClusterSettings
from scx_pipeline.warehouse.redshift.unload_command import translate_unload_errors, unload_sql
from scx_pipeline.warehouse.sql_text import names, qualified, quote
from scx_pipeline.warehouse.warehouse import Notify

if TYPE_CHECKING:
    from psycopg2.extensions import connection

CAPABILITIES = Capabilities(
    name=Engine.REDSHIFT,
    dialect="redshift",
    types={"double": "double precision"},
    placeholder="%s",
    collation="",  # texts are compared by their bytes
    unlimited_text_type="character varying(65535)",
    unloads_all_months_at_once=True,
    drop_blocks_readers=True,
    lake_url_prefix="s3://",
)
MIN_ANALYZE_ROWS = 100_000  # loaded into a table, from which it is analyzed


def redshift_type(column: Column) -> str:
    """Return Redshift's type of a column as a statement declares it."""
    if column.max_bytes is not None:
        return f"VARCHAR({column.max_bytes})"
    return CAPABILITIES.types.get(column.type, column.type).upper()


def distribution_sql(table: Table) -> str:
    """Return how Redshift distributes and sorts a table's rows."""
    style = table.dist
    distribution = (
        f" DISTSTYLE {style.upper()}"
        if style in ("auto", "even", "all")
        else f" DISTSTYLE KEY DISTKEY ({quote(style)})"
    )
    return distribution + (f" SORTKEY ({names(table.sort)})" if table.sort else " SORTKEY AUTO")


class RedshiftTableSql(PostgresProtocolTableSql):
    """The statements that create tables: without keys, which the planner would rely on, even while there are duplicates."""

    def create_stored(self, schema: str, table: Table) -> list[str]:
        columns = ", ".join(
            f"{quote(column.name)} {self.engine_type(column)}"
            f"{f' ENCODE {column.encoding}' if column.encoding else ''}"
            for column in table.columns
        )
        return [f"CREATE TABLE {qualified(schema, table)} ({columns}){distribution_sql(table)}"]


TABLE_SQL = RedshiftTableSql(CAPABILITIES)


class RedshiftSession(PostgresProtocolSession):
    """A connection to a Redshift database, and in a load the S3 prefix that COPY reads from."""

    capabilities = CAPABILITIES
    table_sql = TABLE_SQL

    def __init__(
        self, con: connection, settings: ClusterSettings, limits: Limits, notify: Notify, lock: str
    ) -> None:
        super().__init__(con, limits)
        self.settings, self.notify, self.lock = settings, notify, lock
        self.catalog = PostgresProtocolCatalog(self)
        self.maintenance = RedshiftMaintenance(self)
        self.reads_objects = True  # whether the cluster may read objects itself in this transaction
        self.loaded_rows: dict[str, int] = {}  # by table
        self._staging_prefixes: dict[str | None, StagingPrefix] = {}  # by their URL

    @property
    def statement_timeout(self) -> int:
        """Return the timeout of a statement in milliseconds; 0: none."""
        return int(self.limits.statement_timeout * 1000)

    def close(self) -> None:
        """Remove all temporary files and objects."""
        self.resources.close()
        for prefix in self._staging_prefixes.values():
            try:
                prefix.clear()
            except WarehouseError as error:
                self.notify(f"{error}; the next load removes it")

    @property
    def staging_prefix(self) -> StagingPrefix:
        """Return the prefix that COPY reads from, which only this load uses."""
        return self._open_staging_prefix("staging")

    @property
    def region_staging_prefix(self) -> StagingPrefix:
        """Return the prefix for a COPY of objects in another region: all that it reads must be in one region."""
        return self._open_staging_prefix("region_staging" if self.settings.access.region else "staging")

    def _open_staging_prefix(self, option: str) -> StagingPrefix:
        url = self.settings.options.get(option)
        if url not in self._staging_prefixes:
            self._staging_prefixes[url] = prefix = open_staging_prefix(url, self.lock)
            prefix.sweep()
        return self._staging_prefixes[url]

    def unload(self, unload: Unload) -> int:
        with translate_unload_errors(unload):
            self.execute(unload_sql(unload, self.settings.access))
        [(rows,)] = self.rows("SELECT pg_last_unload_count()")
        return int(rows)

    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        import pyarrow.parquet as pq

        content, arrow_rows = io.BytesIO(), arrow_table(columns, rows)
        pq.write_table(arrow_rows.cast(to_copy_schema(arrow_rows.schema)), content, compression=CODEC)
        self.copy_parquet(table, [self.staging_prefix.put("rows.parquet", content.getvalue())], len(rows))

    def copy_parquet(self, table: str, entries: Sequence[Entry], rows: int) -> None:
        """Copy Parquet files, with the table's columns in order, into it. Raises WarehouseError unless all rows arrive."""
        if not entries:
            return
        manifest = self.staging_prefix.manifest(entries)
        # The files are in the cluster's region: COPY accepts no REGION for Parquet.
        self.execute(copy_sql(table, manifest, self.settings.access, ["FORMAT AS PARQUET"]))
        [(copied,)] = self.rows("SELECT pg_last_copy_count()")
        check_arrived(table, rows, copied)
        self.add_loaded_rows(table, rows)

    def add_loaded_rows(self, table: str, rows: int) -> None:
        """Count rows that were loaded into a table."""
        self.loaded_rows[table] = self.loaded_rows.get(table, 0) + max(0, rows)

    def analyze_loaded(self) -> None:
        """Analyze the tables that many rows were loaded into; the load stays published if that fails."""
        import psycopg2

        with suppress(psycopg2.Error):
            self.con.autocommit = True
            for table, rows in sorted(self.loaded_rows.items()):
                if rows >= MIN_ANALYZE_ROWS and "." in table:  # temporary tables have no schema
                    self.execute(f"ANALYZE {table}")

    def row_hash(self, columns: Sequence[Column]) -> str:
        row_hash = "0"
        for column in columns:
            for value in _hashable_values(column):
                row_hash = f"FNV_HASH({value}, {row_hash})"
        return row_hash

    def equality(self, left: str, right: str, column: Column) -> str:
        # Comparisons of texts ignore trailing blanks.
        equal = super().equality(left, right, column)
        return f"({equal} AND LEN({left}) = LEN({right}))" if column.max_bytes is not None else equal


def _hashable_values(column: Column) -> list[str]:
    """Return the values by which a column is hashed: they differ for all its values, and NULL."""
    name = quote(column.name)
    if column.max_bytes is not None:
        return [f"COALESCE(LEN({name}), -1)", f"COALESCE({name}, '')"]
    if column.type == "boolean":
        return [f"CASE WHEN {name} THEN 1 WHEN NOT {name} THEN 0 ELSE -1 END"]
    return [f"COALESCE(CAST({name} AS VARCHAR), '')"]
