"""A star's tables in Redshift, and the buffer that uploads their rows to S3 for one COPY.

Which rows a table gets is decided by the load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.parquet_files import ParquetFiles
from scx_pipeline.warehouse.psycopg import read_timeout_error
from scx_pipeline.warehouse.redshift.copy_command import CODEC, Entry
from scx_pipeline.warehouse.redshift.object_reader import RedshiftObjectReader
from scx_pipeline.warehouse.redshift.parquet_copy import append_files
from scx_pipeline.warehouse.redshift.redshift_session import RedshiftSession, distribution_sql
from scx_pipeline.warehouse.session import StarTables
from scx_pipeline.warehouse.sql_text import names, qualified, qualified_name, scope_condition
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer

FILE_SIZE = "128MB"  # of an uploaded Parquet file: several for each slice of the cluster


class RedshiftTables(StarTables):
    """The tables of a session; their loaded rows are counted for ANALYZE."""

    session: RedshiftSession

    def physical_layout(self, table: Table) -> str:
        encodings = [f"{column.name} {column.encoding}" for column in table.columns if column.encoding]
        return ", ".join([distribution_sql(table).strip(), *encodings])

    def drop_table(self, schema: str, name: str) -> None:
        import psycopg2

        full, timeout = qualified_name(schema, name), self.session.limits.lock_timeout
        self.session.execute("SET statement_timeout TO %s", [int(timeout * 1000) or 1])
        try:
            self.session.execute(f"LOCK {full}")
        except psycopg2.errors.QueryCanceled:
            raise read_timeout_error(full, self.session.limits) from None
        self.session.execute("SET statement_timeout TO %s", [self.session.statement_timeout])
        super().drop_table(schema, name)

    def swap_in(self, schema: str, built: Table, table: Table) -> None:
        super().swap_in(schema, built, table)
        loaded_rows = self.session.loaded_rows
        if qualified(schema, built) in loaded_rows:
            loaded_rows[qualified(schema, table)] = loaded_rows.pop(qualified(schema, built))

    def insert(self, schema: str, table: Table, select: str) -> int:
        inserted = super().insert(schema, table, select)
        self.session.add_loaded_rows(qualified(schema, table), inserted)
        return inserted

    def load_parquet(self, schema: str, table: Table, scope: LoadScope, files: ParquetFiles) -> None:
        self.delete_scope(schema, table, scope)
        if files.objects:
            append_files(self.session, qualified(schema, table), table.columns, files)

    @contextmanager
    def open_staging_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Stage in a scratch database, and upload the rows as Parquet files for one COPY."""
        yield UploadStagingBuffer(self, schema, table, scope)


class UploadStagingBuffer(StagingBuffer):
    """Stages in the scratch database's table of the same name, and uploads it to S3 at the end."""

    batch_bytes = None

    def __init__(self, tables: RedshiftTables, schema: str, table: Table, scope: LoadScope) -> None:
        self.tables, self.session = tables, tables.session
        self.scratch = tables.session.open_scratch()
        self.con = self.scratch.con
        self.schema, self.table, self.rows = schema, table, qualified(schema, table)
        self.in_scope = scope_condition(table, scope)
        self.reader: RedshiftObjectReader | None = None
        self.scratch.create_table(schema, table, OBJECT)
        if self.session.reads_objects:
            self.reader = RedshiftObjectReader(self.session, table, scope)

    def flush(self) -> None:
        """Do nothing: the rows are uploaded together."""

    @property
    def _cluster_table(self) -> str | None:
        """Return the cluster's table of the objects that it has read; None if it has read none."""
        return self.reader.target if self.reader is not None and self.reader.has_rows else None

    def consolidate(self) -> str:
        """Bring all staged rows into the cluster's table if it has read objects itself, and return the table."""
        target = self._cluster_table
        if target is None:
            return self.rows
        self._upload(target, [*self.table.columns, OBJECT])
        self.scratch.execute(f"DELETE FROM {self.rows}")
        return target

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        if self._cluster_table is None:
            return super().query(sql)
        with self.session.con.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def finish(self, duplicate_keys: str | None) -> None:
        if self._cluster_table is not None:
            self._publish(self.consolidate(), duplicate_keys)
        else:
            self.scratch.execute(f"DELETE FROM {self.rows} WHERE NOT {self.in_scope}")
            if duplicate_keys:
                self.scratch.keep_latest(self.rows, self.table, duplicate_keys, self.in_scope)
            self.session.execute(f"DELETE FROM {self.rows} WHERE {self.in_scope}")
            self._upload(self.rows, self.table.columns)
        self.scratch.execute(f"DROP TABLE {self.rows}")

    def _publish(self, source: str, duplicate_keys: str | None) -> None:
        """Replace the partition by the rows of a temporary table of the cluster."""
        columns = names(self.table.column_names)
        if duplicate_keys:
            self.session.keep_latest(source, self.table, duplicate_keys, self.in_scope)
        self.session.execute(f"DELETE FROM {self.rows} WHERE {self.in_scope}")
        self.tables.insert(self.schema, self.table, f"SELECT {columns} FROM {source} WHERE {self.in_scope}")
        self.session.drop_temporary(source)

    def _upload(self, target: str, columns: Sequence[Column]) -> None:
        """Copy the parsed rows to a table of the cluster."""
        [(count,)] = self.scratch.rows(f"SELECT COUNT(*) FROM {self.rows}")
        with temporary_folder() as folder:
            entries = self._put_files(columns, Path(folder)) if count else []
            self.session.copy_parquet(target, entries, count)

    def _put_files(self, columns: Sequence[Column], folder: Path) -> list[Entry]:
        target = folder / "rows"
        self.con.execute(
            f"COPY (SELECT {self.scratch.typed_columns(columns)} FROM {self.rows}) TO '{target}' (FORMAT parquet,"
            f" COMPRESSION {CODEC}, TIMESTAMP_IS_ADJUSTED_TO_UTC true, FILE_SIZE_BYTES '{FILE_SIZE}')"
        )
        files = sorted(target.glob("*.parquet")) if target.is_dir() else [target]
        return [self.session.staging_prefix.put("rows.parquet", file) for file in files]
