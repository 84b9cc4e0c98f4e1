"""The statement timeout on servers: which statements it cancels, and how the load reports it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.psycopg import PostgresProtocolSession
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.load_env import APRIL, LIMITS, LoadEnv, create_load_env, job, jobs_of

SECONDS = 0.7
PATIENCE = 20
STOPPED = r"\(a statement may take 0.7 s, by SCX_STATEMENT_TIMEOUT: raise it, .*\); nothing was changed$"

pytestmark = pytest.mark.parametrize("server_url", engines.SERVERS, indirect=True)


@pytest.fixture
def load_env(tmp_path: Path, server_url: str) -> LoadEnv:
    return create_load_env(tmp_path, server_url)


@pytest.fixture
def loaded(load_env: LoadEnv) -> LoadEnv:
    """Provide loads after April, with a changed object to load and a short statement timeout."""
    load_env.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    load_env.load(APRIL)
    load_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    load_env.limits = replace(LIMITS, statement_timeout=SECONDS)
    return load_env


@contextmanager
def hold_locks(load_env: LoadEnv, star: str = "another", table: str = "") -> Iterator[None]:
    """Hold the star's lock within the block, and that of a table if one is named."""
    load_env.limits, limits = LIMITS, load_env.limits
    other = load_env.warehouse
    load_env.limits = limits
    with pytest.raises(_LetGoError), other.transaction(star) as session:
        session.begin()
        if table:
            session.execute(f"LOCK TABLE {table}")
        assert isinstance(session, PostgresProtocolSession)
        patience = threading.Timer(
            PATIENCE, session.con.close
        )  # or else a load that is never stopped would wait for ever
        patience.start()
        yield
        patience.cancel()
        raise _LetGoError


class _LetGoError(Exception):
    """Rolls the transaction back."""


def assert_cancelled(load_env: LoadEnv, waits: float = 0) -> None:
    """Assert that the timeout cancels a load once, and only after the waits that it does not apply to."""
    began = time.monotonic()
    with pytest.raises(WarehouseError, match=STOPPED) as caught:
        load_env.load(APRIL)
    assert "\n" not in str(caught.value)
    assert not [message for message in load_env.messages if "trying again" in message]
    assert waits + SECONDS < time.monotonic() - began < PATIENCE


def test_a_statement_that_exceeds_the_timeout_fails_the_load_and_changes_nothing(loaded: LoadEnv) -> None:
    before = loaded.snapshot()
    with hold_locks(loaded, table="public.users"):
        assert_cancelled(loaded)
    assert loaded.snapshot() == before
    loaded.load(APRIL)
    assert jobs_of(loaded) == [2]


def test_waiting_for_a_stars_lock_does_not_count_as_a_statement(loaded: LoadEnv) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with hold_locks(loaded, loaded.compiled.star.name):
            entered.set()
            leave.wait(PATIENCE)

    other = threading.Thread(target=hold)
    with hold_locks(loaded, table="public.users"):
        other.start()
        assert entered.wait(PATIENCE)
        threading.Timer(5 * SECONDS, leave.set).start()
        assert_cancelled(loaded, waits=4 * SECONDS)
    other.join()
    assert [message for message in loaded.messages if "which is loading scx" in message]


def test_a_statement_without_a_timeout_is_not_cancelled(loaded: LoadEnv) -> None:
    loaded.limits = LIMITS
    done = threading.Event()

    def load() -> None:
        loaded.load(APRIL)
        done.set()

    with hold_locks(loaded, table="public.users"):
        other = threading.Thread(target=load)
        other.start()
        assert not done.wait(3 * SECONDS)
    other.join(PATIENCE)
    assert jobs_of(loaded) == [2]
