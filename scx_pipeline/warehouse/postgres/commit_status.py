"""The outcome of a COMMIT whose answer was lost with the connection, as the server knows it.

Other errors, and retries, are not handled here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

SERVER_ANSWER_SECONDS = 60.0  # to wait for the server, which may have to recover from a crash
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class TransactionId:
    """A transaction that has changed something, by the number that the server gave it."""

    number: str

    def is_committed(self, connect: Callable[[], AbstractContextManager[connection]]) -> bool | None:
        """Return whether it was committed; None if the server does not answer in time, or no longer knows."""
        import psycopg2

        deadline = time.monotonic() + SERVER_ANSWER_SECONDS
        while True:
            try:
                with connect() as con:
                    con.autocommit = True
                    status = self._status(con)
                    if status == "in progress":
                        self._terminate(con)
                if status != "in progress":
                    return None if status is None else status == "committed"
            except (psycopg2.Error, WarehouseError):
                pass  # the server is not up yet
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)

    def _status(self, con: connection) -> str | None:
        with con.cursor() as cursor:
            cursor.execute("SELECT txid_status(%s::bigint)", [self.number])
            found = cursor.fetchone()
        assert found is not None
        return None if found[0] is None else str(found[0])

    def _terminate(self, con: connection) -> None:
        """Terminate its session if that still waits for a COMMIT that never arrived; otherwise it is committing."""
        with con.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state LIKE 'idle in transaction%%' AND backend_xid::text::bigint = %s::bigint %% 4294967296",
                [self.number],
            )


def current_transaction(con: connection) -> TransactionId | None:
    """Return the connection's transaction; None if it has changed nothing."""
    with con.cursor() as cursor:
        cursor.execute("SELECT txid_current_if_assigned()::text")
        found = cursor.fetchone()
    return TransactionId(found[0]) if found and found[0] else None
