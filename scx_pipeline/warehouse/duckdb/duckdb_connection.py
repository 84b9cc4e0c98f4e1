"""DuckDB connections: their settings, transactions, types, and errors as one line.

What runs on a connection is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scx_pipeline.error_translation import find_advice
from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Capabilities, Engine, Limits
from scx_pipeline.warehouse.driver_errors import explain, first_line, out_of_memory
from scx_pipeline.warehouse.sql_text import TableSql

if TYPE_CHECKING:
    import duckdb

# Without keys: DuckDB's indexes reject a key that the same transaction deleted. The checks decide.
CAPABILITIES = Capabilities(
    name=Engine.DUCKDB,
    dialect="duckdb",
    types={},
    placeholder="?",
    collation="",
    unlimited_text_type="VARCHAR",
    has_single_writer=True,
)
BLOCK_ALLOCATOR_MEMORY = "200MB"  # the same for all connections: it cannot be reduced
# What DuckDB reports → what to do.
_ADVICE = (
    ("No space left on device", "make room on its disk, and run again"),
    ("File too large", "allow larger files there, and run again"),
    ("Disk quota exceeded", "make room on its disk, and run again"),
    ("database has been invalidated", "an earlier error closed it: run again"),
)


class DuckDBTransaction:
    """The transaction of a connection: before `begin`, each statement commits on its own."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.is_open = False

    def begin(self) -> None:
        """Start the transaction, unless it has started."""
        if not self.is_open:
            self.con.execute("BEGIN")
            self.is_open = True

    def commit(self) -> None:
        """Commit, if the transaction has started."""
        if self.is_open:
            self.con.execute("COMMIT")
            self.is_open = False

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Commit the statements within together, or with the transaction if that has started."""
        if self.is_open:
            yield
            return
        self.con.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.con.execute("ROLLBACK")
            raise
        self.con.execute("COMMIT")


def configure(con: duckdb.DuckDBPyConnection, limits: Limits) -> duckdb.DuckDBPyConnection:
    """Set the connection to UTC and the limits, and return it."""
    con.execute("SET TimeZone = 'UTC'")
    # DICT_FSST compresses as well; trying plain FSST, too, takes a tenth of the time of writing texts.
    con.execute("SET disabled_compression_methods = 'fsst'")
    # Files are read once, or are in the system's own cache; DuckDB's took a tenth of the time of reading thousands.
    con.execute("SET enable_external_file_cache = false")
    con.execute("SET memory_limit = ?", [limits.memory])
    # Kept instead of returned to the system and requested again: a sixth of the time of a large INSERT. The limit applies.
    con.execute(f"SET block_allocator_memory = '{BLOCK_ALLOCATOR_MEMORY}'")
    if limits.threads:
        con.execute(f"SET threads = {int(limits.threads)}")
    return con


@contextmanager
def in_memory_database(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database in memory; beyond the limit, it uses a temporary folder."""
    import duckdb

    with temporary_folder() as folder, duckdb.connect() as con:
        con.execute("SET temp_directory = ?", [str(folder)])
        with translate_io_errors(f"the temporary folder {folder} (TMPDIR)", limits):
            yield configure(con, limits)


def duckdb_type(column: Column) -> str:
    """Return DuckDB's type of a column, as DuckDB shows it: without a text's length, as the parser checks the bytes."""
    return "VARCHAR" if column.max_bytes is not None else column.type.upper().replace(", ", ",")


class DuckDBTableSql(TableSql):
    """The statements that create tables in DuckDB."""

    def engine_type(self, column: Column) -> str:
        return duckdb_type(column)


TABLE_SQL = DuckDBTableSql(CAPABILITIES)


@contextmanager
def translate_io_errors(name: str, limits: Limits) -> Iterator[None]:
    """Translate DuckDB's errors about memory, files and transactions to a WarehouseError that says what to do.

    Args:
        name: What is read or written, for the message.
        limits: The memory limit to show.
    """
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise out_of_memory(error, limits.memory) from error
    except (
        duckdb.IOException,
        duckdb.InternalException,
        duckdb.FatalException,
        duckdb.TransactionException,
    ) as error:
        reason = explain(first_line(error), find_advice(str(error), _ADVICE))
        raise WarehouseError(f"{name}: {reason}; nothing was changed") from error
    except duckdb.InvalidInputException as error:
        if "read-only" not in str(error):
            raise
        raise WarehouseError(f"{name} is read-only: {first_line(error)}; nothing was changed") from error


@contextmanager
def translate_other_errors(name: str) -> Iterator[None]:
    """Translate DuckDB's other errors, such as that of an invalid statement, to a WarehouseError of one line."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(f"{name}: {first_line(error)}; nothing was changed") from error
