"""Parquet files into Redshift: read by the cluster where they lie, or brought to where it can read.
COPY's text is in `rscopy`; which rows take which rows' place is decided in `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scx_pipeline.model.column import Column
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.object_reader import ServerCopyError
from scx_pipeline.warehouse.parquet_files import ParquetFiles
from scx_pipeline.warehouse.redshift.copy_command import CODEC, Entry, copies_as_it_is, copyable
from scx_pipeline.warehouse.sql_text import names, quote

if TYPE_CHECKING:
    from scx_pipeline.warehouse.redshift.redshift_warehouse import RedshiftSession

PART_BYTES = 128 << 20  # of the files that rows go up in: some for each slice of the cluster
# What is said where the cluster may not read what whoever runs this may: a role without the right, another region.
FORBIDDEN = ("accessdenied", "permanentredirect", "must be addressed using the specified endpoint")
FILES = "_files"  # the temporary table of what the files hold, where that is not all of a table's columns


def append_files(
    session: RedshiftSession, target: str, columns: Sequence[Column], files: ParquetFiles
) -> None:
    """Append the rows of files to a table that has these columns, in this order.

    Raises ServerCopyError where the cluster cannot read them though it should, and WarehouseError unless all rows arrive.
    """
    if not reads(session, columns, files):
        _bring(session, target, columns, files)
    elif not files.values:
        _read(session, target, files)
    else:
        session.execute(session.create_table_sql(FILES, files.columns, "TEMPORARY "))
        _read(session, FILES, files)
        listed = names([column.name for column in columns])
        values = ", ".join(files.values.get(column.name, quote(column.name)) for column in columns)
        session.count(
            target, session.execute(f"INSERT INTO {target} ({listed}) SELECT {values} FROM {FILES}")
        )
        session.execute(f"DROP TABLE {FILES}")


def reads(session: RedshiftSession, columns: Sequence[Column], files: ParquetFiles) -> bool:
    """Whether the cluster can read the files, reads them right, and finds all columns in them, or what they are made from."""
    warehouse = session.warehouse
    if warehouse.access.region or not warehouse.reads_objects:  # COPY takes no REGION with Parquet
        return False
    found = {column.name for column in files.columns}
    return (
        all(url.startswith("s3://") for url, _ in files.objects)
        and all(column.name in found or column.name in files.values for column in columns)
        and all(map(copies_as_it_is, files.footers()))
    )


def _read(session: RedshiftSession, target: str, files: ParquetFiles) -> None:
    import psycopg2

    try:
        session.copy_parquet(target, [Entry(url, size) for url, size in files.objects], files.rows)
    except psycopg2.InternalError as error:
        forbidden = any(sign in str(error).lower() for sign in FORBIDDEN)
        if session.warehouse.is_ours(error) and not forbidden:
            raise
        raise ServerCopyError(f"COPY of the files for {target} failed: {first_line(error)}") from error


def _bring(session: RedshiftSession, target: str, columns: Sequence[Column], files: ParquetFiles) -> None:
    """Put the rows where the cluster reads from, in files of a size that suits it."""
    import pyarrow.parquet as pq

    entries: list[Entry] = []
    with temporary_folder() as folder, files.batches(columns) as rows:
        path, batch, schema = folder / "rows.parquet", next(rows, None), copyable(rows.schema)
        while batch is not None:
            with pq.ParquetWriter(path, schema, compression=CODEC) as writer:
                while batch is not None and (not path.exists() or path.stat().st_size < PART_BYTES):
                    writer.write_batch(batch.cast(schema))
                    batch = next(rows, None)
            entries.append(session.place.put("rows.parquet", path))
    session.copy_parquet(target, entries, files.rows)
