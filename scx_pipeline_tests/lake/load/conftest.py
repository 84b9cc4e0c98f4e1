"""Stars in two states, each a bucket and the lake that was built from it, and the warehouses to load them into.

No load from a lake is tested here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest

from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.lake_loads import (
    STARS,
    BucketState,
    LakeLoadEnv,
    build_states,
    open_lake_load_env,
    put_scx,
)

POSTGRES, REDSHIFT = engines.SERVERS
# Warehouses, and whether the lake is in S3, which Redshift reads directly; otherwise it is in a folder.
DUCKDB_S3 = pytest.param("duckdb, s3", marks=pytest.mark.s3)
REDSHIFT_S3 = pytest.param("redshift, s3", marks=REDSHIFT.marks)
# The URL of an empty warehouse, and the URL of a bucket for the lake, empty for a folder.
Where = tuple[str, str]


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


def open_state(star: str, state: BucketState, where: Where) -> LakeLoadEnv:
    """Open a state's bucket and lake with the warehouse at a URL."""
    warehouse, remote = where
    load_env = STARS[star][0](state.bucket, warehouse)
    if not remote:
        return LakeLoadEnv(load_env, state.lake.as_uri())
    url = f"{remote}/{state.lake.parent.name}"
    store = open_lake_store(url, "").store
    for path in state.lake.rglob("*"):
        if path.is_file():
            obstore.put(store, path.relative_to(state.lake).as_posix(), path.read_bytes())
    return LakeLoadEnv(load_env, url)
