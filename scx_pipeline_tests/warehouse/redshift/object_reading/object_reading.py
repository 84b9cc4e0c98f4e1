"""Objects in April, and what a load does with them.

Helpers of the tests in this folder.
"""

from __future__ import annotations

from collections.abc import Callable

from scx_pipeline_tests.support.load_env import APRIL, LoadEnv, job, range_of_keys
from scx_pipeline_tests.support.redshift.server import StandIn

BucketAndWarehouse = tuple[str, str]


COUNTS = "object_key, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered"


def april(n: int, event_time: str = "", **values: object) -> dict[str, object]:
    return job(n, event_time or f"2021-04-{n:02d} 10:00:00", **values)


def sent(redshift: StandIn, words: str) -> list[str]:
    return [sql for sql in redshift.statements if words in sql]


def load_and_list_parsed(load_env: LoadEnv, month: str = APRIL) -> list[str]:
    """Load a month, and return the messages about objects that were parsed by the client."""
    messages: list[str] = []
    load_env.loader(messages.append).load(range_of_keys(month))
    return [message for message in messages if message.endswith(" instead") and "; parsing " in message]


def before_first_copy(redshift: StandIn, act: Callable[[], object]) -> None:
    """Call a function just before the first COPY of the logs."""
    done: list[str] = []

    def before(sql: str) -> None:
        if "_texts_" in sql and sql.startswith("COPY") and not done:
            done.append(sql)
            act()

    redshift.before = before
