"""The statement timeout as it is sent to Redshift, and that a statement which was stopped is not sent again.
What a load says of it, on every server, is in pipeline/."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline_tests.support.load_env import APRIL, LIMITS, World, folder_world, job
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure


@pytest.fixture
def world(tmp_path: Path, redshift_url: str) -> World:
    world = folder_world(tmp_path, redshift_url)
    world.put("2021/04/a.csv", [job(5, "2021-04-05 10:00:00")])
    return world


def timeouts(redshift: StandIn) -> list[int]:
    """The timeouts that were set, in order, in milliseconds."""
    found = (re.match(r"SET statement_timeout TO (\d+)", sql) for sql in redshift.statements)
    return [int(match[1]) for match in found if match]


@pytest.mark.parametrize(("seconds", "sent"), [(0, [2000, 0]), (90, [90_000, 2000, 90_000])])
def test_the_timeout_stands_from_the_start_and_again_once_the_lock_is_taken(
    redshift: StandIn, world: World, seconds: float, sent: list[int]
) -> None:
    world.limits = replace(LIMITS, statement_timeout=seconds)
    world.load(APRIL)
    assert timeouts(redshift) == sent


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(90, r"request \(a statement may take 90 s, by SCX_STATEMENT_TIMEOUT: .*\)"), (0, "request")],
)
def test_a_statement_that_was_stopped_is_not_tried_again_whatever_its_number(
    redshift: StandIn, world: World, seconds: float, told: str
) -> None:
    """Its message has the query's number, which may look like that of a conflict."""
    world.limits = replace(LIMITS, statement_timeout=seconds)
    copies: list[str] = []

    def before(sql: str) -> None:
        if sql.startswith("COPY"):
            copies.append(sql)
            raise Failure("57014", "Query (1023) cancelled on user's request")

    redshift.before = before
    with pytest.raises(WarehouseError, match=f"cancelled on user's {told}; nothing was changed$"):
        world.load(APRIL)
    assert len(copies) == 1
    redshift.before = lambda sql: None
    assert world.snapshot() == {}
