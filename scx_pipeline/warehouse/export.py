"""What an unload asks of a warehouse, and how DuckDB writes Parquet for engines that do not write into a lake themselves.
What is unloaded, and what becomes of the files, is decided in the lake package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import LakeError
from scx_pipeline.model.column import Column
from scx_pipeline.storage.s3 import open_s3, reason_of
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.sql_text import names

if TYPE_CHECKING:
    import duckdb


# A column that DuckDB knows to hold no NULL now would be declared so in the file, and files of a table would differ by what
# is in them. Of rows that it cannot know to be none, it does not know.
_NO_ROWS = "range((SELECT count(*) FROM range(1) WHERE random() > 1))"

# As pyarrow and Spark have them by default: some 128 MB of a wide table, so that most files have one.
ROW_GROUP_ROWS = 1 << 20
LARGEST_FILE = "512MB"

# Rows that a thread gathers before they go to their folders' files: a row group's. DuckDB's default, four times as many, took
# three times as long, and a third more memory.
GATHERED_ROWS = 122_880


@dataclass(frozen=True)
class Unload:
    """A SELECT to be written as Parquet: its columns, then those whose values name folders and are in no file."""

    select: str
    columns: tuple[Column, ...]
    folders: tuple[Column, ...]
    url: str  # of a folder in which there is nothing yet, with a / at its end
    largest: int = 0  # rows of the largest month, or of all where there are none, as far as they were counted
    order: tuple[str, ...] = ()  # by which a file's rows are best read, if the engine has no order of its own

    @property
    def given(self) -> tuple[Column, ...]:
        """What the SELECT gives, in order."""
        return (*self.columns, *self.folders)


def write_parquet(con: duckdb.DuckDBPyConnection, query: str, unload: Unload) -> int:
    """Write what a query on `con` gives, which is what the unload's SELECT does; how many rows. Raises LakeError."""
    import duckdb

    nothing = f"UNION ALL SELECT {', '.join(['NULL'] * len(unload.given))} FROM {_NO_ROWS}"
    try:
        con.execute(f"SET partitioned_write_flush_threshold = {GATHERED_ROWS}")
        with _local_folder(unload.url) as folder:
            named = names([column.name for column in unload.folders])
            cut = f"PARTITION_BY ({named})" if unload.folders else f"FILE_SIZE_BYTES '{LARGEST_FILE}'"
            target = str(folder).replace("'", "''")
            written = con.execute(
                f"COPY ({query} {nothing}) TO '{target}'"
                f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, {cut})"
            ).fetchone()
    except (OSError, duckdb.IOException, duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise LakeError(f"cannot write {unload.url}: {first_line(error)}") from error
    assert written is not None
    return int(written[0])


@contextmanager
def _local_folder(url: str) -> Iterator[Path]:
    """A folder to write into: that of the URL, or one whose files go up to it, and are gone here, at the end."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True)
        yield folder
        return
    with temporary_folder() as temporary:
        folder = temporary / "files"
        folder.mkdir()  # DuckDB writes into empty ones only
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
            raise LakeError(f"cannot write {url}{key}: {reason_of(error)}") from error
        file.unlink()
