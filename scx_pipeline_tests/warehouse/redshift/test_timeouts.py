"""The statement timeout as it is sent to Redshift; a cancelled statement is not retried."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline_tests.support.load_env import APRIL, LIMITS, LoadEnv, create_load_env, job
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure


@pytest.fixture
def load_env(tmp_path: Path, redshift_url: str) -> LoadEnv:
    load_env = create_load_env(tmp_path, redshift_url)
    load_env.put("2021/04/a.csv", [job(5, "2021-04-05 10:00:00")])
    return load_env


def timeouts(redshift: StandIn) -> list[int]:
    """Return the timeouts that were set, in order, in milliseconds."""
    found = (re.match(r"SET statement_timeout TO (\d+)", sql) for sql in redshift.statements)
    return [int(match[1]) for match in found if match]


@pytest.mark.parametrize(("seconds", "sent"), [(0, [2000, 0]), (90, [90_000, 2000, 90_000])])
def test_the_timeout_applies_from_the_start_and_again_after_the_lock_is_taken(
    redshift: StandIn, load_env: LoadEnv, seconds: float, sent: list[int]
) -> None:
    load_env.limits = replace(LIMITS, statement_timeout=seconds)
    load_env.load(APRIL)
    assert timeouts(redshift) == sent


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(90, r"request \(a statement may take 90 s, by SCX_STATEMENT_TIMEOUT: .*\)"), (0, "request")],
)
def test_a_cancelled_statement_is_not_retried_whatever_its_number(
    redshift: StandIn, load_env: LoadEnv, seconds: float, reason: str
) -> None:
    """The message contains the query's number, which may equal that of a conflict."""
    load_env.limits = replace(LIMITS, statement_timeout=seconds)
    copies: list[str] = []

    def before(sql: str) -> None:
        if sql.startswith("COPY"):
            copies.append(sql)
            raise Failure("57014", "Query (1023) cancelled on user's request")

    redshift.before = before
    with pytest.raises(WarehouseError, match=f"cancelled on user's {reason}; nothing was changed$"):
        load_env.load(APRIL)
    assert len(copies) == 1
    redshift.before = lambda sql: None
    assert load_env.snapshot() == {}
