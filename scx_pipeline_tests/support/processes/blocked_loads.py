"""Loads that are blocked while they publish: they wait in PostgreSQL for a table that the test has locked.

No Python code runs during the wait, so signals are not handled, as during most of a load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2

WAIT_SECONDS = 300.0  # a slow machine starts Dagster in two minutes
_WAITING = (
    "SELECT COUNT(*) FROM pg_stat_activity JOIN pg_locks USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND wait_event_type = 'Lock' AND datname = current_database()"
)


@contextmanager
def blocked_loads(url: str) -> Iterator[Callable[[], bool]]:
    """Block loads of the star scx; yield a function that returns whether a load waits while it holds the star's lock."""
    with closing(psycopg2.connect(url)) as holder, closing(psycopg2.connect(url)) as observer:
        observer.autocommit = True

        def is_waiting() -> bool:
            with observer.cursor() as cursor:
                cursor.execute(_WAITING)
                [(count,)] = cursor.fetchall()
                return bool(count)

        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE public.auto_classification_logs IN ACCESS EXCLUSIVE MODE")
        yield is_waiting


def wait_for(what: str, condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.2)
