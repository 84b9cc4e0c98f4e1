"""A load in the middle of its work for as long as a test wants: it waits in PostgreSQL for a table that the test has locked.
There no Python code runs, so a signal is not handled: that is where most of a load's time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2

PATIENCE = 300.0  # a slow machine starts Dagster in two minutes
_WAITING = (
    "SELECT COUNT(*) FROM pg_stat_activity JOIN pg_locks USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND wait_event_type = 'Lock' AND datname = current_database()"
)


@contextmanager
def blocked_loads(url: str) -> Iterator[Callable[[], bool]]:
    """Keep loads of the scx star from publishing; yields whether one waits, holding the star's lock."""
    with closing(psycopg2.connect(url)) as holder, closing(psycopg2.connect(url)) as looker:
        looker.autocommit = True

        def waits() -> bool:
            with looker.cursor() as cursor:
                cursor.execute(_WAITING)
                [(count,)] = cursor.fetchall()
                return bool(count)

        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE public.auto_classification_logs IN ACCESS EXCLUSIVE MODE")
        yield waits


def wait_for(what: str, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.2)
