"""A DuckDB file as a warehouse: one writing process at a time; other readers see the last commit.

What is published is decided by the load.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.settings import redact
from scx_pipeline.storage.temporary_folder import create_private_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.duckdb.duckdb_connection import (
    CAPABILITIES,
    TABLE_SQL,
    configure,
    translate_io_errors,
    translate_other_errors,
)
from scx_pipeline.warehouse.duckdb.duckdb_roles import roles_sql
from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.warehouse import Notify, Warehouse

if TYPE_CHECKING:
    import duckdb

__all__ = ["CAPABILITIES", "TABLE_SQL", "DuckDBWarehouse", "connection_info", "open_url", "roles_sql"]

# DuckDB's lock keeps other processes out, but threads of one process share the file: one writes at a time.
_WRITE_LOCKS: dict[Path, threading.Lock] = defaultdict(threading.Lock)
# Files that a writer waits to open. New readers of the process let it go first: otherwise, readers that follow each other
# without a pause would keep it out forever. They wait for a limited time only, as the writer may wait for one of them.
_AWAITED_BY_WRITER: set[Path] = set()
WRITER_PRIORITY_SECONDS = 1.0
_LOCK_HOLDER = re.compile(r"Conflicting lock is held in (.*?)\.? See also|Conflicting lock is held in (.*)")


def open_url(url: str, limits: Limits, notify: Notify) -> Warehouse:
    """Return the warehouse of `duckdb:///path/to/dev.duckdb`."""
    return DuckDBWarehouse(Path(_parse_path(url)), limits, notify)


def connection_info(url: str) -> dict[str, str | int | None]:
    """Return the parts of a URL that are not secret, and the name that DuckDB gives the file's database."""
    path = _parse_path(url)
    return {"path": path, "database": Path(path).name.lstrip(".").partition(".")[0]}


def _parse_path(url: str) -> str:
    path = unquote(urlsplit(url).path)
    if not path or urlsplit(url).netloc:
        raise WarehouseError(
            f"SCX_WAREHOUSE_URL is {redact(url)!r}: use duckdb:// and an absolute path, duckdb:///…/dev.duckdb"
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
        """Open a transaction under the file's only lock, whatever `lock` is."""
        writer = _WRITE_LOCKS[self.path]
        if not writer.acquire(timeout=self.limits.lock_timeout):
            raise self._busy_error("another run of this process")
        try:
            self._create_folder()
            with self._connect_to_write() as con, self._translate_errors():
                yield from self._commit_or_roll_back(DuckDBSession(con))
        finally:
            writer.release()

    @staticmethod
    def _commit_or_roll_back(session: DuckDBSession) -> Iterator[Session]:
        import duckdb

        try:
            yield session
            session.transaction.commit()
        except BaseException:
            with suppress(duckdb.Error):  # a failed statement has ended the transaction already
                session.execute("ROLLBACK")
            raise
        finally:
            session.tables.drop_staging_tables()

    def open_autocommit(self, lock: str) -> AbstractContextManager[Session]:
        """Open a session under the file's only lock: before it begins its transaction, each statement commits on its own."""
        return self.transaction(lock)

    @contextmanager
    def open_read_only(self) -> Iterator[Session | None]:
        if not self.path.exists():
            yield None
            return
        self._let_writer_go_first()
        with self._connect(read_only=True) as con, self._translate_errors():
            yield DuckDBSession(con)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        with translate_other_errors(self.url), translate_io_errors(self.url, self.limits):
            yield

    def _let_writer_go_first(self) -> None:
        deadline = time.monotonic() + WRITER_PRIORITY_SECONDS
        while self.path in _AWAITED_BY_WRITER and time.monotonic() < deadline:
            time.sleep(0.01)

    def _create_folder(self) -> None:
        try:
            create_private_folder(self.path.parent)
        except OSError as error:
            raise WarehouseError(f"cannot create the folder of {self.url}: {error.strerror}") from None

    def _connect_to_write(self) -> duckdb.DuckDBPyConnection:
        _AWAITED_BY_WRITER.add(self.path)
        try:
            return self._connect(read_only=False)
        finally:
            _AWAITED_BY_WRITER.discard(self.path)

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Connect, waiting for another process that has the file open for writing."""
        import duckdb

        deadline, has_notified = time.monotonic() + self.limits.lock_timeout, False
        while True:
            try:
                return configure(self._open(read_only=read_only), self.limits)
            except duckdb.Error as error:
                holder = _find_lock_holder(error)
                if holder is None:
                    raise WarehouseError(f"cannot open {self.url}: {first_line(error)}") from None
                if time.monotonic() >= deadline:
                    raise self._busy_error(holder) from None
                if not has_notified:
                    self.notify(f"waiting for {holder}, which has {self.path.name} open")
                    has_notified = True
                time.sleep(0.1)

    def _busy_error(self, holder: str) -> WarehouseBusyError:
        return WarehouseBusyError(
            f"{self.url} is in use by {holder}; waited {self.limits.lock_timeout:g} s (SCX_LOCK_TIMEOUT): "
            "wait for that run, or stop it"
        )

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        import duckdb

        is_new = not read_only and not self.path.exists()
        try:
            con = duckdb.connect(self.path, read_only=read_only)
            if is_new:
                self.path.chmod(0o600)  # while it is empty
            return con
        except duckdb.ConnectionException:
            # This process has the file open in the other mode already, and one process has one mode: a reader may
            # share a writer's, a writer has to wait until the readers are done.
            return duckdb.connect(self.path)


def _find_lock_holder(error: duckdb.Error) -> str | None:
    """Return who holds a conflicting lock on the file; None if the error has another cause."""
    message = str(error)
    if "different configuration than existing connections" in message or "file handle conflict" in message:
        return "another thread of this process"
    found = _LOCK_HOLDER.search(message)
    return (found[1] or found[2]).strip() if found else None
