"""The desk that the tests of this folder work at: a fresh bucket, warehouse and Dagster instance.
What can be done at it is in desk.py, the servers' fixtures in the package's conftest.py."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline.orchestration.runs.instance import open_instance
from scx_pipeline_tests.support.dagster_env import Desk, folder_desk


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance's files before its first run; to make them takes a second, to copy them none."""
    home = tmp_path_factory.mktemp("dagster")
    with open_instance(home) as instance:
        assert instance.get_runs() == []
    return home


@pytest.fixture
def instance(tmp_path: Path, empty_home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with its files, as the command and the UI have it, where the settings have it by default."""
    home = tmp_path / "dagster"
    shutil.copytree(empty_home, home)
    with open_instance(home) as instance:
        yield instance


@pytest.fixture
def desk(tmp_path: Path, instance: dg.DagsterInstance) -> Desk:
    """A local bucket, a DuckDB file and the instance."""
    return folder_desk(tmp_path, instance)
