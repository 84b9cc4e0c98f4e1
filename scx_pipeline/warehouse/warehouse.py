"""What the engine asks of a warehouse: capabilities as data, a transaction, and a landing for parsed rows.
No driver is imported here, and nothing here decides what a star's rows are."""

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
        """Wait for whoever holds the same lock; commit at the end, or roll all back when anything is raised.

        Raises WarehouseError when the warehouse cannot be reached, locked in time, or written.
        """

    def run(self, lock: str, work: Callable[[Session], Result]) -> Result:
        """Do the work in a transaction. An engine that may break one off through no fault of ours begins it anew."""
        with self.transaction(lock) as session:
            return work(session)

    @abstractmethod
    def alone(self, lock: str) -> AbstractContextManager[Session]:
        """Wait as `transaction`, and keep others waiting; each statement of this session commits by itself."""

    @abstractmethod
    def inspecting(self) -> AbstractContextManager[Session | None]:
        """A session that only reads, also where nothing was ever published; None where there is no database yet.

        Raises WarehouseError as `transaction`.
        """

    @contextmanager
    def reader(self) -> Iterator[Session | None]:
        """A session that only reads; None where nothing was ever written. Raises WarehouseError as `transaction`."""
        with self.inspecting() as session:
            yield session if session is not None and session.has_state() else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads, or a WarehouseError that says how to fill an empty warehouse."""
        with self.reader() as session:
            if session is None:
                raise WarehouseError(f"{self.url} is empty: run `scx load` (or `make demo`) first")
            yield session
