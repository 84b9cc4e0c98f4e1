"""Parquet files written by DuckDB, for engines that do not write to a lake themselves.

What is unloaded, and what happens to the files, is decided in the lake package.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import LakeError
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline.storage.store_errors import describe_store_error
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.sql_text import names

if TYPE_CHECKING:
    import duckdb


# DuckDB would declare a column in the file as NOT NULL if it knows that the column holds no NULL now, and the files of a
# table would differ by their contents. It cannot know that this relation is empty.
_EMPTY_RELATION = "range((SELECT count(*) FROM range(1) WHERE random() > 1))"

# The default of pyarrow and Spark: some 128 MB of a wide table, so that most files have one row group.
ROW_GROUP_ROWS = 1 << 20
MAX_FILE_SIZE = "512MB"

# Rows that a thread collects before it writes them to their folders' files. DuckDB's default, four times as many, took
# three times as long, and a third more memory.
PARTITION_FLUSH_ROWS = 122_880


def write_parquet(con: duckdb.DuckDBPyConnection, query: str, unload: Unload) -> int:
    """Write the result of a query on `con` and return its row count.

    Args:
        con: The connection to read from.
        query: It has the result of the unload's SELECT.
        unload: Where to write, and which columns name folders.

    Raises:
        LakeError: The files cannot be written.
    """
    import duckdb

    nulls = ", ".join(["NULL"] * len(unload.selected_columns))
    folder_names = names([column.name for column in unload.folders])
    split = f"PARTITION_BY ({folder_names})" if unload.folders else f"FILE_SIZE_BYTES '{MAX_FILE_SIZE}'"
    try:
        con.execute(f"SET partitioned_write_flush_threshold = {PARTITION_FLUSH_ROWS}")
        with _local_folder(unload.url) as folder:
            target = str(folder).replace("'", "''")
            written = con.execute(
                f"COPY ({query} UNION ALL SELECT {nulls} FROM {_EMPTY_RELATION}) TO '{target}'"
                f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, {split})"
            ).fetchone()
    except (OSError, duckdb.IOException, duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise LakeError(f"cannot write {unload.url}: {first_line(error)}") from error
    assert written is not None
    return int(written[0])


@contextmanager
def _local_folder(url: str) -> Iterator[Path]:
    """Provide a folder to write to: the URL's own, or a temporary one that is uploaded at the end."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True)
        yield folder
        return
    with temporary_folder() as temporary:
        folder = temporary / "files"
        folder.mkdir()  # DuckDB writes to empty folders only
        yield folder
        _upload(folder, url)


def _upload(folder: Path, url: str) -> None:
    import obstore

    parts = urlsplit(url)
    store = open_s3(parts.netloc, parts.path.strip("/"))
    for file in sorted(folder.rglob("*.parquet")):
        key = file.relative_to(folder).as_posix()
        try:
            obstore.put(store, key, file)
        except Exception as error:
            raise LakeError(f"cannot write {url}{key}: {describe_store_error(error)}") from error
        file.unlink()
