"""DuckDB: one file, one writing process at a time; other readers see the last commit.
Only what is DuckDB's own lives here; what is published is decided in the engine package."""

from __future__ import annotations

import math
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.storage.temporary_folder import make_private, temporary_folder
from scx_pipeline.warehouse.capabilities import Capabilities, Limits
from scx_pipeline.warehouse.driver_errors import first_line, out_of_memory
from scx_pipeline.warehouse.duckdb import duckdb_maintenance, duckdb_roles
from scx_pipeline.warehouse.export import Unload, write_parquet
from scx_pipeline.warehouse.health import HealthReport
from scx_pipeline.warehouse.parquet_files import ParquetFiles, check_arrived
from scx_pipeline.warehouse.session import Relation, Session, by_table
from scx_pipeline.warehouse.sql_text import in_scope, latest_per_key, names, qualified, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer
from scx_pipeline.warehouse.warehouse import Notify, Warehouse

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

CAPABILITIES = Capabilities(
    name="duckdb",
    dialect="duckdb",
    types={},
    placeholder="?",
    collation="",
    max_text="VARCHAR",
)  # and no keys: its indexes refuse one that the same transaction deleted; the checks decide

LANDING = "scx_pipeline: rows of a load that has not ended"  # the comment of a table that is ours to remove
KEPT_BLOCKS = "200MB"  # the same for all connections: it cannot be reduced
MAX_BITMAP = 1 << 28  # bits: 32 MiB

# DuckDB's lock keeps other processes out, but two threads of one process share the file: one writes at a time.
_WRITERS: dict[Path, threading.Lock] = defaultdict(threading.Lock)
# Files that a writer waits to open. New readers of the process let it go first, or readers that take turns without a
# pause would keep it out for ever; but for COURTESY seconds only, as one of them may itself be what it waits for.
_AWAITED: set[Path] = set()
COURTESY = 1.0


roles_sql = duckdb_roles.roles_sql


def open_url(url: str, limits: Limits, notify: Notify) -> Warehouse:
    """The warehouse of `duckdb:///path/to/dev.duckdb`."""
    return DuckDBWarehouse(Path(_path(url)), limits, notify)


def connection_info(url: str) -> dict[str, str | int | None]:
    """What of a URL is no secret."""
    return {"path": _path(url)}


def _path(url: str) -> str:
    path = unquote(urlsplit(url).path)
    if not path or urlsplit(url).netloc:
        raise WarehouseError(
            f"SCX_WAREHOUSE_URL is {url!r}: write duckdb:// and an absolute path, duckdb:///…/dev.duckdb"
        )
    return path


class DuckDBWarehouse(Warehouse):
    """A DuckDB file."""

    capabilities = CAPABILITIES

    def __init__(self, path: Path, limits: Limits, notify: Notify) -> None:
        self.path, self.limits, self.notify = path, limits, notify
        self.url = f"duckdb://{path}"

    @contextmanager
    def transaction(self, lock: str) -> Iterator[Session]:
        """See `Warehouse.transaction`; the file is one lock, whatever the lock's name is."""
        import duckdb

        writer = _WRITERS[self.path]
        if not writer.acquire(timeout=self.limits.lock_timeout):
            raise WarehouseError(
                f"{self.url} is being written by another run of this process; try again when it is done"
            )
        try:
            self._make_folder()
            with self._connect_to_write() as con, refused(self.url), translated(self.url, self.limits):
                session = DuckDBSession(con)
                try:
                    yield session
                    session.commit()
                except BaseException:
                    # A statement that failed has ended the transaction already.
                    with suppress(duckdb.Error):
                        con.execute("ROLLBACK")
                    raise
                finally:
                    session.drop_staging_tables()
        finally:
            writer.release()

    def alone(self, lock: str) -> AbstractContextManager[Session]:
        """See `Warehouse.alone`: before a session has begun, each of its statements commits by itself."""
        return self.transaction(lock)

    @contextmanager
    def inspecting(self) -> Iterator[Session | None]:
        """See `Warehouse.inspecting`."""
        if not self.path.exists():
            yield None
            return
        self._let_a_writer_go_first()
        with self._connect(read_only=True) as con, refused(self.url), translated(self.url, self.limits):
            yield DuckDBSession(con)

    def _let_a_writer_go_first(self) -> None:
        deadline = time.monotonic() + COURTESY
        while self.path in _AWAITED and time.monotonic() < deadline:
            time.sleep(0.01)

    def _make_folder(self) -> None:
        try:
            make_private(self.path.parent)
        except OSError as error:
            raise WarehouseError(f"cannot create the folder of {self.url}: {error.strerror}") from None

    def _connect_to_write(self) -> duckdb.DuckDBPyConnection:
        _AWAITED.add(self.path)
        try:
            return self._connect(read_only=False)
        finally:
            _AWAITED.discard(self.path)

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Connect, waiting for another process that has the file open for writing."""
        import duckdb

        deadline, told = time.monotonic() + self.limits.lock_timeout, False
        while True:
            try:
                return configured(self._open(read_only=read_only), self.limits)
            except duckdb.Error as error:
                who = _holder(error)
                if who is None:
                    raise WarehouseError(f"cannot open {self.url}: {first_line(error)}") from None
                if time.monotonic() >= deadline:
                    raise WarehouseBusyError(
                        f"{self.url} is in use by {who}; waited {self.limits.lock_timeout:g} s (SCX_LOCK_TIMEOUT): "
                        "wait for that run, or stop it"
                    ) from None
                if not told:
                    self.notify(f"waiting for {who}, which has {self.path.name} open")
                    told = True
                time.sleep(0.1)

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        import duckdb

        is_new = not read_only and not self.path.exists()
        try:
            con = duckdb.connect(self.path, read_only=read_only)
            if is_new:
                self.path.chmod(0o600)  # nothing is in it yet
            return con
        except duckdb.ConnectionException:
            # This process has the file open in the other mode already, and one process has one mode: a reader may
            # share a writer's, a writer has to wait until the readers are done.
            return duckdb.connect(self.path)


def configured(con: duckdb.DuckDBPyConnection, limits: Limits) -> duckdb.DuckDBPyConnection:
    """The connection, in UTC and within the limits."""
    con.execute("SET TimeZone = 'UTC'")
    # DICT_FSST packs as well, and trying plain FSST beside it takes a tenth of the time of writing texts.
    con.execute("SET disabled_compression_methods = 'fsst'")
    # Files are read once, or found in the system's own cache; DuckDB's took a tenth of the time of reading thousands.
    con.execute("SET enable_external_file_cache = false")
    con.execute("SET memory_limit = ?", [limits.memory])
    # Kept, and not given back to the system and fetched anew: a sixth of the time of a large INSERT. The limit holds.
    con.execute(f"SET block_allocator_memory = '{KEPT_BLOCKS}'")
    if limits.threads:
        con.execute(f"SET threads = {int(limits.threads)}")
    return con


@contextmanager
def in_memory_database(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB without tables, in memory, and beyond the limit in a folder that is gone at the end."""
    import duckdb

    with temporary_folder() as folder, duckdb.connect() as con:
        con.execute("SET temp_directory = ?", [str(folder)])
        with translated(f"the temporary folder {folder} (TMPDIR)", limits):
            yield configured(con, limits)


class DuckDBSession(Session):
    """A connection to a DuckDB file."""

    capabilities = CAPABILITIES

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.begun = False
        self.landings: list[str] = []

    def begin(self) -> None:
        if not self.begun:
            self.con.execute("BEGIN")
            self.begun = True

    def commit(self) -> None:
        """Commit what was begun."""
        if self.begun:
            self.con.execute("COMMIT")
            self.begun = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        if self.begun:
            yield
            return
        self.con.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.con.execute("ROLLBACK")
            raise
        self.con.execute("COMMIT")

    def drop_staging_tables(self) -> None:
        """Remove the landings of a load that failed; after one that did not, there are none."""
        for name in self.landings:
            self.con.execute(f"DROP TABLE IF EXISTS {name}")

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        result = self.con.execute(sql, parameters).fetchone()
        return int(result[0]) if result and isinstance(result[0], int) else -1

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.con.execute(sql, parameters).fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        return self.con.execute(sql).df()

    def unload(self, unload: Unload) -> int:
        return write_parquet(self.con, unload.select, unload)

    def columns_of(self, schema: str, tables: Collection[str]) -> dict[str, list[tuple[str, str]]]:
        # Without a join and an order, which need more memory than a small limit has.
        found = self.con.execute(
            "SELECT table_name, column_index, column_name, data_type FROM duckdb_columns()"
            " WHERE database_name = current_database() AND lower(schema_name) = lower(?) AND list_contains(?, table_name)",
            [schema, list(tables)],
        ).fetchall()
        return by_table((table, name, kind) for table, _, name, kind in sorted(found))

    def relations_of(self, schema: str, names: Collection[str]) -> dict[str, Relation]:
        # DuckDB finds a table by its name in any case of letters.
        wanted = {name.lower(): name for name in names}
        relations: dict[str, Relation] = {}
        for kind in ("table", "view"):
            found = self.con.execute(
                f"SELECT {kind}_name FROM duckdb_{kind}s() WHERE database_name = current_database()"
                f" AND lower(schema_name) = lower(?) AND list_contains(?, lower({kind}_name)) AND NOT internal",
                [schema, list(wanted)],
            ).fetchall()
            columns = self.columns_of(schema, [name for (name,) in found]) if found else {}
            for (name,) in found:
                relations[wanted[name.lower()]] = Relation(kind, "", tuple(columns.get(name, ())))
        return relations

    def table_exists(self, schema: str, table: str) -> bool:
        if self.begun:  # a transaction would not survive the answer no
            return super().table_exists(schema, table)
        import duckdb

        # The catalog's views would be made first, which takes as long as to open the file.
        try:
            self.con.execute(f"DESCRIBE {quote(schema)}.{quote(table)}")
        except duckdb.CatalogException:
            return False
        return True

    def engine_type(self, column: Column) -> str:
        return duckdb_type(column)

    def create_latest(
        self, target: str, select: str, keys: Sequence[str], newest_first: Sequence[str]
    ) -> None:
        # Two terms at once, as a row() that is looked up by hash: a quarter of the join's time here. NULL would be the
        # largest inside a row(), hence the flags.
        latest = ", ".join(f"{term} IS NOT NULL, {term}" for term in newest_first[:2])
        newest = f"SELECT ({names(keys)}, max(row({latest}))) FROM ({select}) AS q GROUP BY {names(keys)}"
        candidates = f"SELECT * FROM ({select}) AS q WHERE ({names(keys)}, row({latest})) IN ({newest})"
        self.execute(f"CREATE TEMPORARY TABLE {target} AS {latest_per_key(candidates, keys, newest_first)}")

    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        import pyarrow as pa

        listed = [column.name for column in columns]
        values = {name: pa.array(items) for name, items in zip(listed, zip(*rows, strict=True), strict=True)}
        self.con.register("_many", pa.table(values))
        self.con.execute(f"INSERT INTO {table} ({names(listed)}) SELECT {names(listed)} FROM _many")
        self.con.unregister("_many")

    def _append_files(self, target: str, columns: Sequence[Column], files: ParquetFiles) -> None:
        listed = names([column.name for column in columns])
        if files.scan is None:
            self.con.register("_files", files.batches(columns))
        found = files.scan or "_files"
        arrived = self.execute(f"INSERT INTO {target} ({listed}) SELECT {listed} FROM {found}")
        if files.scan is None:
            self.con.unregister("_files")
        check_arrived(target, files, arrived)

    def row_hash(self, columns: Sequence[Column]) -> str:
        return f"hash({names([column.name for column in columns])})"

    def keys_hold(self, schema: str, table: Table) -> bool:
        return surely_unique(self.con, qualified(schema, table), [table.column(name) for name in table.key])

    def condition(self, tables: Sequence[str]) -> HealthReport:
        return duckdb_maintenance.health(self, tables)

    def maintenance_statements(self, tables: Sequence[str]) -> list[str]:
        return duckdb_maintenance.maintenance_statements(tables)

    @contextmanager
    def staging_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Land in a table of the same file: aside and swapped in when the span is all there is, else a temporary one."""
        target = qualified(schema, table)
        self._drop_orphaned_staging_tables(schema, table)
        others = self.rows(f"SELECT 1 FROM {target} WHERE NOT {in_scope(table, scope)} LIMIT 1")
        kind = _PartitionStagingBuffer if others else _SwapStagingBuffer
        yield kind(self, schema, table, scope)

    def _drop_orphaned_staging_tables(self, schema: str, table: Table) -> None:
        """Remove what a crash left; a table of that name without our mark is somebody else's."""
        left = self.rows(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND lower(schema_name) = lower(?)"
            " AND starts_with(table_name, ?) AND comment = ?",
            [schema, _aside(table), LANDING],
        )
        for (name,) in left:
            self.execute(f"DROP TABLE {quote(schema)}.{quote(name)}")


class _PartitionStagingBuffer(StagingBuffer):
    """Lands in a temporary table, whose rows are then copied over the slice."""

    batch_bytes = None

    def __init__(self, session: DuckDBSession, schema: str, table: Table, scope: LoadScope) -> None:
        self.session, self.schema, self.table, self.scope = session, schema, table, scope
        self.in_scope = in_scope(table, scope)
        self.con = session.con
        self.rows = self._create()

    @property
    def in_transaction(self) -> bool:
        return self.session.begun

    def _create(self) -> str:
        self.session.execute(self._create_sql(quote(f"_landing_{self.table.name}"), "TEMPORARY "))
        return quote(f"_landing_{self.table.name}")

    def _create_sql(self, name: str, kind: str) -> str:
        return self.session.create_table_sql(name, [*self.table.columns, OBJECT], kind)

    def flush(self) -> None:
        """Nothing to do: the rows stay where they landed until all of them did."""

    def finish(self, duplicate_keys: str | None) -> None:
        if duplicate_keys:
            self.session.keep_latest(self.rows, self.table, duplicate_keys, self.scope)
        self._publish()

    def _publish(self) -> None:
        target = qualified(self.schema, self.table)
        columns = names(self.table.column_names)
        self.session.execute(f"DELETE FROM {target} WHERE {self.in_scope}")
        self.session.execute(
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {self.rows} WHERE {self.in_scope}"
        )
        self.session.execute(f"DROP TABLE {self.rows}")


class _SwapStagingBuffer(_PartitionStagingBuffer):
    """Lands in a table beside the real one, which then takes its name: wide rows are written once, not twice.

    Before the transaction begins, since deleting from rows that are not yet committed makes DuckDB write all of them
    again; what a crash leaves of it is removed by the next landing.
    """

    def _create(self) -> str:
        taken = self.session.relations_of(self.schema, [_aside(self.table)])
        own = f"{_aside(self.table)}{f'_{uuid.uuid4().hex[:8]}' if taken else ''}"
        name = f"{quote(self.schema)}.{quote(own)}"
        with self.session.at_once():
            self.session.execute(self._create_sql(name, ""))
            self.session.execute(f"COMMENT ON TABLE {name} IS '{LANDING}'")
        self.session.landings.append(name)
        return name

    def _publish(self) -> None:
        target = qualified(self.schema, self.table)
        self.session.execute(f"DELETE FROM {self.rows} WHERE NOT {self.in_scope}")
        self.session.execute(f"ALTER TABLE {self.rows} DROP COLUMN _object")
        self.session.execute(f"DROP TABLE {target}")
        self.session.execute(f"COMMENT ON TABLE {self.rows} IS NULL")
        self.session.execute(f"ALTER TABLE {self.rows} RENAME TO {quote(self.table.name)}")


def duckdb_type(column: Column) -> str:
    """DuckDB's type of a column, as DuckDB shows it: without a text's length, as readers have checked the bytes."""
    return "VARCHAR" if column.max_bytes is not None else column.type.upper().replace(", ", ",")


def surely_unique(con: duckdb.DuckDBPyConnection, source: str, key: Sequence[Column]) -> bool:
    """Whether a key is unique, told by a bitmap: a hundredth of the time and memory that grouping takes.

    Only a key of integers, not too widely spread, can be told so; False means that it must be grouped.
    """
    if any(column.type not in ("smallint", "integer", "bigint") for column in key):
        return False
    columns = [quote(column.name) for column in key]
    bounds = ", ".join(f"min({name})::HUGEINT, max({name})::HUGEINT" for name in columns)
    found = con.execute(f"SELECT count(*), {bounds} FROM {source}").fetchone()
    assert found is not None
    count, *ends = found
    if not count:
        return True
    lows, widths = ends[::2], [high - low + 1 for low, high in zip(ends[::2], ends[1::2], strict=True)]
    size = math.prod(widths)
    if size > MAX_BITMAP:
        return False
    # Each key as one number: its columns are the digits, each of a base of its own.
    number = "0::BIGINT"
    for name, low, width in zip(columns, lows, widths, strict=True):
        number = f"({number}) * {width} + ({name}::BIGINT - {low})"
    bits = con.execute(f"SELECT bit_count(bitstring_agg({number}, 0, {size - 1})) FROM {source}").fetchone()
    return bits is not None and bool(bits[0] == count)


def _aside(table: Table) -> str:
    """The name of the table in which rows land that will take the place of the table."""
    return f"{table.name}__landing"


def _holder(error: duckdb.Error) -> str | None:
    """Who has the file open in a way that keeps us out; None where the error is another one."""
    message = str(error)
    if "different configuration than existing connections" in message or "file handle conflict" in message:
        return "another thread of this process"
    found = re.search(
        r"Conflicting lock is held in (.*?)\.? See also|Conflicting lock is held in (.*)", message
    )
    return (found[1] or found[2]).strip() if found else None


@contextmanager
def translated(url: str, limits: Limits) -> Iterator[None]:
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
        advice = next((advice for sign, advice in _ADVICE if sign in str(error)), "")
        raise WarehouseError(f"{url}: {first_line(error)}{advice}; nothing was changed") from error
    except duckdb.InvalidInputException as error:
        if "read-only" not in str(error):
            raise
        raise WarehouseError(f"{url} is read-only: {first_line(error)}; nothing was changed") from error


@contextmanager
def refused(url: str) -> Iterator[None]:
    """Whatever else DuckDB raises, such as of a statement that is wrong, as a WarehouseError of one line."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(f"{url}: {first_line(error)}; nothing was changed") from error


# What DuckDB says → what to do.
_ADVICE = (
    ("No space left on device", " (make room on its disk, and run again)"),
    ("File too large", " (let files grow larger there, and run again)"),
    ("Disk quota exceeded", " (make room on its disk, and run again)"),
    ("database has been invalidated", " (an error before this one closed it: run again)"),
)
