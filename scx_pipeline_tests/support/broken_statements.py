"""Failures in the middle of a load: one of its SQL statements fails, on any engine.

Assertions belong to the tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.psycopg import PostgresProtocolSession
from scx_pipeline.warehouse.session import Session

SESSIONS: Sequence[type[Session]] = (DuckDBSession, PostgresProtocolSession)


class InterruptedLoad(Exception):
    """The error that interrupts a load."""


@contextmanager
def failing_statement(how: tuple[int, bool] | None) -> Iterator[list[str]]:
    """Let one statement fail.

    Args:
        how: The number of statements before it, and whether the database raises the error; None lets none fail.

    Yields:
        The failed statement, once it has failed.
    """
    broken: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        left = [how[0]] if how else [-1]
        for kind in SESSIONS:
            for name in ("execute", "rows"):
                patch.setattr(kind, name, _counting(getattr(kind, name), left, how, broken))
        yield broken


def _counting(original: Any, left: list[int], how: tuple[int, bool] | None, broken: list[str]) -> Any:
    def run(session: Session, sql: str, parameters: Sequence[object] = ()) -> Any:
        left[0] -= 1
        if left[0] != -1 or how is None:
            return original(session, sql, parameters)
        broken.append(sql)
        if how[1]:
            return original(session, "SELECT no_such_column")
        raise InterruptedLoad(sql)

    return run
