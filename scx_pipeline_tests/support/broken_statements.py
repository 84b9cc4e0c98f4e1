"""How a load is broken off half way: one of its statements fails, on whichever engine it runs.
What must be true after it is in the tests themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from scx_pipeline.warehouse.duckdb.duckdb_warehouse import DuckDBSession
from scx_pipeline.warehouse.psycopg import PostgresProtocolSession
from scx_pipeline.warehouse.session import Session

SESSIONS: Sequence[type[Session]] = (DuckDBSession, PostgresProtocolSession)


class BrokenOff(Exception):
    """What a broken load is broken by."""


@contextmanager
def breaking(how: tuple[int, bool] | None) -> Iterator[list[str]]:
    """Let a statement of a session fail: the one after so many, of itself or by an error of the database.

    Yields which one it was, once it has failed.
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
        raise BrokenOff(sql)

    return run
