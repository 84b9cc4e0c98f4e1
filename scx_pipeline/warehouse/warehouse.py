"""A database that stars are published in: transactions and sessions that read.

No driver is imported here, and nothing here decides what a star's rows are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Capabilities, Limits
from scx_pipeline.warehouse.session import Session

Result = TypeVar("Result")

Notify = Callable[[str], None]


class Warehouse(ABC):
    """A database that stars are published in."""

    capabilities: Capabilities
    url: str  # without its password
    limits: Limits
    notify: Notify

    @abstractmethod
    def transaction(self, lock: str) -> AbstractContextManager[Session]:
        """Open a transaction: it waits for the lock, commits at the end, and rolls back if anything is raised.

        Args:
            lock: Its name; a star's loads share one.

        Raises:
            WarehouseError: The warehouse cannot be reached, locked in time, or written.
        """

    def run(self, lock: str, work: Callable[[Session], Result]) -> Result:
        """Run the work in a transaction. Engines retry it if the transaction fails for a transient reason."""
        with self.transaction(lock) as session:
            return work(session)

    @abstractmethod
    def open_autocommit(self, lock: str) -> AbstractContextManager[Session]:
        """Open a session that holds the lock as `transaction` does, and whose statements commit one by one."""

    @abstractmethod
    def open_read_only(self) -> AbstractContextManager[Session | None]:
        """Open a session that only reads, even if nothing was ever published; None if there is no database yet.

        Raises:
            WarehouseError: As for `transaction`.
        """

    @contextmanager
    def open_if_loaded(self) -> Iterator[Session | None]:
        """Open a session that only reads; None if nothing was ever published."""
        with self.open_read_only() as session:
            yield session if session is not None and session.catalog.has_published_data() else None

    @contextmanager
    def open_loaded(self) -> Iterator[Session]:
        """Open a session that only reads, or raise a WarehouseError that says how to fill an empty warehouse."""
        with self.open_if_loaded() as session:
            if session is None:
                raise WarehouseError(f"{self.url} is empty: run `scx load` (or `make demo`) first")
            yield session
