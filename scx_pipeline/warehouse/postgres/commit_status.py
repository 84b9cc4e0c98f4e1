"""A COMMIT on PostgreSQL whose answer was lost with the connection: the server is asked what became of the transaction.
How a connection is made is in `postgres`, what else goes wrong in `pgerrors`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

PATIENCE = 60.0  # seconds for which the server is asked: it may have to recover from a crash first
PAUSE = 0.5  # seconds between two questions


@dataclass(frozen=True)
class Numbered:
    """A transaction that has changed something, by the number that the server gave it."""

    number: str

    def committed(self, connect: Callable[[], AbstractContextManager[connection]]) -> bool | None:
        """Whether it was committed; None where the server does not answer in time, or does not know it any more."""
        import psycopg2

        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with connect() as con:
                    con.autocommit = True
                    status = self._status(con)
                    if status == "in progress":
                        self._end(con)
                if status != "in progress":
                    return None if status is None else status == "committed"
            except (psycopg2.Error, WarehouseError):
                pass  # not up again yet
            if time.monotonic() >= deadline:
                return None
            time.sleep(PAUSE)

    def _status(self, con: connection) -> str | None:
        with con.cursor() as cursor:
            cursor.execute("SELECT txid_status(%s::bigint)", [self.number])
            found = cursor.fetchone()
        assert found is not None
        return None if found[0] is None else str(found[0])

    def _end(self, con: connection) -> None:
        """End it where it still waits for a COMMIT that never arrived; one that is being committed is waited for."""
        with con.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state LIKE 'idle in transaction%%' AND backend_xid::text::bigint = %s::bigint %% 4294967296",
                [self.number],
            )


def numbered(con: connection) -> Numbered | None:
    """The connection's transaction; None where it has changed nothing."""
    with con.cursor() as cursor:
        cursor.execute("SELECT txid_current_if_assigned()::text")
        found = cursor.fetchone()
    return Numbered(found[0]) if found and found[0] else None
