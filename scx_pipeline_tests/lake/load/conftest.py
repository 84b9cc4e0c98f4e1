"""Stars in two states, each a bucket and the lake that was built from it, and the warehouses to load them into.

No load from a lake is tested here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from scx_pipeline_tests.lake.load.opened_states import Where
from scx_pipeline_tests.support.lake.lake_loads import (
    BucketState,
    LakeLoadEnv,
    build_states,
    open_lake_load_env,
    put_scx,
)


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[BucketState]]:
    """Return a function that gives the states of a star's bucket and lake."""
    return cache(lambda star: build_states(star, tmp_path_factory.mktemp(star)))


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    engine, _, remote = request.param.partition(", ")
    if engine == "duckdb":
        url = f"duckdb://{tmp_path}/loaded.duckdb"
        return url, f"{request.getfixturevalue('s3_bucket')}/lakes" if remote else ""
    url = str(request.getfixturevalue(f"{engine}_url"))
    staging = parse_qs(urlsplit(url).query).get("staging", [""])[0]
    return url, f"{staging}-lakes" if remote else ""


@pytest.fixture
def loads(tmp_path: Path) -> LakeLoadEnv:
    """Jobs of some months in a bucket and in a lake, both in a folder; the warehouse is an empty DuckDB file."""
    found = open_lake_load_env("scx", tmp_path)
    put_scx(found.load_env)
    found.build()
    return found
