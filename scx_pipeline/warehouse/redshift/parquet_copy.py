"""Parquet files copied into Redshift: read by the cluster where they are, or uploaded to where it can read them.

Which rows they replace is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.object_reader import ServerCopyError
from scx_pipeline.warehouse.parquet_files import ParquetFiles
from scx_pipeline.warehouse.redshift.copy_command import CODEC, Entry, can_copy_unchanged, to_copy_schema
from scx_pipeline.warehouse.redshift.redshift_errors import NO_ACCESS, is_cluster_error
from scx_pipeline.warehouse.redshift.redshift_session import RedshiftSession
from scx_pipeline.warehouse.sql_text import names, quote

PART_BYTES = 128 << 20  # of an uploaded file: several for each slice of the cluster
FILES_TABLE = "_files"  # the temporary table of the files' rows, if they lack some of the table's columns


def append_files(
    session: RedshiftSession, target: str, columns: Sequence[Column], files: ParquetFiles
) -> None:
    """Append the rows of files to a table that has these columns, in this order.

    Raises:
        ServerCopyError: The cluster cannot read the files, although it should.
        WarehouseError: Not all rows arrived.
    """
    if not can_read(session, columns, files):
        _upload(session, target, columns, files)
    elif not files.values:
        _copy(session, target, files)
    else:
        session.execute(session.create_table_sql(FILES_TABLE, files.columns, "TEMPORARY "))
        _copy(session, FILES_TABLE, files)
        listed = names([column.name for column in columns])
        values = ", ".join(files.values.get(column.name, quote(column.name)) for column in columns)
        inserted = session.execute(f"INSERT INTO {target} ({listed}) SELECT {values} FROM {FILES_TABLE}")
        session.add_loaded_rows(target, inserted)
        session.drop_temporary(FILES_TABLE)


def can_read(session: RedshiftSession, columns: Sequence[Column], files: ParquetFiles) -> bool:
    """Return whether the cluster can read the files correctly, and they determine all columns."""
    if session.settings.access.region or not session.reads_objects:  # COPY accepts no REGION for Parquet
        return False
    found = {column.name for column in files.columns}
    return (
        all(url.startswith("s3://") for url, _ in files.objects)
        and all(column.name in found or column.name in files.values for column in columns)
        and all(map(can_copy_unchanged, files.footers()))
    )


def _copy(session: RedshiftSession, target: str, files: ParquetFiles) -> None:
    import psycopg2

    try:
        session.copy_parquet(target, [Entry(url, size) for url, size in files.objects], files.rows)
    except psycopg2.InternalError as error:
        has_no_access = any(sign in str(error).lower() for sign in NO_ACCESS)
        if is_cluster_error(error) and not has_no_access:
            raise
        raise ServerCopyError(f"COPY of the files for {target} failed: {first_line(error)}") from error


def _upload(session: RedshiftSession, target: str, columns: Sequence[Column], files: ParquetFiles) -> None:
    """Upload the rows to the staging prefix, in files of a size that suits the cluster, and copy them."""
    import pyarrow.parquet as pq

    entries: list[Entry] = []
    with temporary_folder() as folder, files.batches(columns) as rows:
        path, batch, schema = folder / "rows.parquet", next(rows, None), to_copy_schema(rows.schema)
        while batch is not None:
            with pq.ParquetWriter(path, schema, compression=CODEC) as writer:
                while batch is not None and (not path.exists() or path.stat().st_size < PART_BYTES):
                    writer.write_batch(batch.cast(schema))
                    batch = next(rows, None)
            entries.append(session.staging_prefix.put("rows.parquet", path))
    session.copy_parquet(target, entries, files.rows)
