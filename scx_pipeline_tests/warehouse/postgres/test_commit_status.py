"""A COMMIT whose answer is lost: the server is asked whether it has committed.

The connection is cut by a proxy.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.postgres import commit_status
from scx_pipeline_tests.support.load_env import APRIL, MARCH, LoadEnv, jobs_of
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.support.servers.proxy import Proxy, proxy


@pytest.fixture
def lossy_connection(postgres: PostgresServer, spring: LoadEnv) -> Iterator[tuple[LoadEnv, Proxy]]:
    """Provide loads after March whose connections can be lost."""
    spring.load(MARCH)
    with proxy(postgres.port) as connection_proxy:
        yield LoadEnv(spring.bucket_url, connection_proxy.url(spring.warehouse_url)), connection_proxy


def test_a_committed_load_succeeds_although_the_answer_is_lost(
    lossy_connection: tuple[LoadEnv, Proxy], spring: LoadEnv
) -> None:
    load_env, connection_proxy = lossy_connection
    connection_proxy.loses = "answer"
    load_env.load(APRIL)
    assert connection_proxy.lost == 1
    assert load_env.messages[-1].endswith("has committed the load")
    assert jobs_of(spring) == [30, 31, 32, 33, 40, 41, 42, 43]
    assert len(spring.state("loads")) == 2


@pytest.mark.parametrize("loses", ["commit", "silently"])
def test_a_load_whose_commit_did_not_arrive_changes_nothing(
    loses: str, lossy_connection: tuple[LoadEnv, Proxy], spring: LoadEnv
) -> None:
    load_env, connection_proxy = lossy_connection
    before = spring.snapshot()
    connection_proxy.loses = loses
    with pytest.raises(WarehouseError, match=r"connection was lost.*; nothing was changed$") as caught:
        load_env.load(APRIL)
    assert "\n" not in str(caught.value)
    assert connection_proxy.lost == 1
    assert spring.snapshot() == before
    spring.load(APRIL)  # the lock was released
    assert len(jobs_of(spring)) == 8


@pytest.mark.parametrize("loses", ["answer", "commit"])
def test_an_unknown_commit_status_is_reported(
    loses: str, lossy_connection: tuple[LoadEnv, Proxy], spring: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_status, "SERVER_ANSWER_SECONDS", 0.2)
    load_env, connection_proxy = lossy_connection
    connection_proxy.loses, connection_proxy.and_closes = loses, True
    with pytest.raises(WarehouseError, match="does not report whether it was: check `scx status`") as caught:
        load_env.load(APRIL)
    assert "\n" not in str(caught.value)
    assert "nothing was changed" not in str(caught.value)
    assert len(jobs_of(spring)) == (8 if loses == "answer" else 4)
