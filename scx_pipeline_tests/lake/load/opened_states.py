"""The warehouses that a lake is loaded into, and a state of a bucket and its lake, opened with one of them.

No tests belong here.
"""

from __future__ import annotations

import obstore
import pytest

from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.lake.lake_loads import STARS, BucketState, LakeLoadEnv

POSTGRES, REDSHIFT = engines.SERVERS
# Warehouses, and whether the lake is in S3, which Redshift reads directly; otherwise it is in a folder.
DUCKDB_S3 = pytest.param("duckdb, s3", marks=pytest.mark.s3)
REDSHIFT_S3 = pytest.param("redshift, s3", marks=REDSHIFT.marks)
# The URL of an empty warehouse, and the URL of a bucket for the lake, empty for a folder.
Where = tuple[str, str]


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
