"""Loads of April into the stand-in, and connections that are cut.

Helpers of the tests in this folder.
"""

from __future__ import annotations

from collections.abc import Callable

import obstore
from obstore.store import S3Store

from scx_pipeline.errors import WarehouseError
from scx_pipeline_tests.support.load_env import APRIL, LoadEnv, job
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure, Gone
from scx_pipeline_tests.support.snapshots import Snapshot

CONFLICT = Failure(
    "XX000", "1023: Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2"
)


def put_april(load_env: LoadEnv, *jobs: int) -> None:
    load_env.put("2021/04/a.csv", [job(n, f"2021-04-{n:02d} 10:00:00", user_id=200 + n) for n in jobs])


def staging_bucket(redshift: StandIn, load_env: LoadEnv) -> S3Store:
    return redshift.store(load_env.warehouse_url.partition("staging=s3://")[2].partition("/")[0])


def staged(redshift: StandIn, load_env: LoadEnv) -> list[str]:
    """Return the keys in the staging bucket."""
    return [item["path"] for page in obstore.list(staging_bucket(redshift, load_env)) for item in page]


def cut(redshift: StandIn, at: int) -> None:
    """Cut every connection from the statement of this number on."""
    left = at

    def before(sql: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Gone

    redshift.before = before


def cut_at_statements(
    redshift: StandIn, load_env: LoadEnv, change: Callable[[int], object], step: int = 1
) -> int:
    """Change April's objects and load them, cutting the connection one `step` later each time, until the load succeeds.

    Each failed load must change nothing. Return how many times the connection was cut.
    """
    before: Snapshot = load_env.snapshot()
    number = 0
    while True:
        change(number)
        cut(redshift, number * step)
        try:
            load_env.load(APRIL)
        except WarehouseError as error:
            assert "nothing was changed" in str(error) or "cannot connect" in str(error)
        else:
            return number
        finally:
            redshift.before = lambda sql: None
        assert load_env.snapshot() == before, f"after {number * step} statements"
        number += 1
