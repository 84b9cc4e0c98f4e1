"""The statement timeout on servers: what a load says that a statement of took too long, and what it does not count for.
How locks between loads are waited for is in test_concurrency.py."""

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
from scx_pipeline_tests.support.load_env import APRIL, LIMITS, World, folder_world, job, jobs_of

SECONDS = 0.7
PATIENCE = 20
STOPPED = r"\(a statement may take 0.7 s, by SCX_STATEMENT_TIMEOUT: raise it, .*\); nothing was changed$"

pytestmark = pytest.mark.parametrize("server_url", engines.SERVERS, indirect=True)


@pytest.fixture
def world(tmp_path: Path, server_url: str) -> World:
    return folder_world(tmp_path, server_url)


@pytest.fixture
def loaded(world: World) -> World:
    """A world with one job in April that stands, and another that a load is due for; statements may not take long."""
    world.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    world.load(APRIL)
    world.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    world.limits = replace(LIMITS, statement_timeout=SECONDS)
    return world


@contextmanager
def held(world: World, star: str = "another", table: str = "") -> Iterator[None]:
    """As long as the block lasts, somebody has the star's lock, and a table if one is named."""
    world.limits, limits = LIMITS, world.limits
    other = world.warehouse
    world.limits = limits
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
    """Rolls back."""


def stopped(world: World, waits: float = 0) -> None:
    """Load, which must be stopped by the timeout, once, and not before it has waited for what may take longer."""
    began = time.monotonic()
    with pytest.raises(WarehouseError, match=STOPPED) as caught:
        world.load(APRIL)
    assert "\n" not in str(caught.value)
    assert not [message for message in world.told if "trying again" in message]
    assert waits + SECONDS < time.monotonic() - began < PATIENCE


def test_a_statement_that_takes_too_long_ends_the_load_and_changes_nothing(loaded: World) -> None:
    before = loaded.snapshot()
    with held(loaded, table="public.users"):
        stopped(loaded)
    assert loaded.snapshot() == before
    loaded.load(APRIL)
    assert jobs_of(loaded) == [2]


def test_a_star_s_lock_is_waited_for_longer_and_then_the_timeout_counts_again(loaded: World) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with held(loaded, loaded.compiled.star.name):
            entered.set()
            leave.wait(PATIENCE)

    other = threading.Thread(target=hold)
    with held(loaded, table="public.users"):
        other.start()
        assert entered.wait(PATIENCE)
        threading.Timer(5 * SECONDS, leave.set).start()
        stopped(loaded, waits=4 * SECONDS)
    other.join()
    assert [message for message in loaded.told if "which is loading scx" in message]


def test_without_a_timeout_a_statement_takes_as_long_as_it_takes(loaded: World) -> None:
    loaded.limits = LIMITS
    done = threading.Event()

    def load() -> None:
        loaded.load(APRIL)
        done.set()

    with held(loaded, table="public.users"):
        other = threading.Thread(target=load)
        other.start()
        assert not done.wait(3 * SECONDS)
    other.join(PATIENCE)
    assert jobs_of(loaded) == [2]
