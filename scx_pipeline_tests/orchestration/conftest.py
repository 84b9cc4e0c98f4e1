"""Fixtures of Dagster: environments with an empty bucket and warehouse, and the definitions of the project."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline import definitions
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv, create_dagster_env, specs_of
from scx_pipeline_tests.support.orchestration.songplays_env import SongplaysEnv, create_songplays_env


@pytest.fixture
def dagster_env(tmp_path: Path, instance: dg.DagsterInstance) -> DagsterEnv:
    """A local bucket, a DuckDB file and the instance."""
    return create_dagster_env(tmp_path, instance)


@pytest.fixture
def songplays_env(tmp_path: Path, instance: dg.DagsterInstance) -> SongplaysEnv:
    """A local bucket and a DuckDB file of the star songplays, and the instance."""
    return create_songplays_env(tmp_path, instance)


@pytest.fixture(scope="session")
def project() -> dg.Definitions:
    """The definitions that `dagster dev` and `dg` load if a lake is configured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCX_LAKE_URL", "s3://scx-lake/stars")
        return definitions.defs()


@pytest.fixture(scope="session")
def specs(project: dg.Definitions) -> dict[str, dg.AssetSpec]:
    """The asset specs of the star scx by name."""
    return specs_of(project, "scx")
