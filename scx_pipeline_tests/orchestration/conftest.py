"""The desk that the tests of this folder work at: a fresh bucket, warehouse and Dagster instance.
What can be done at it is in desk.py, the servers' fixtures in the package's conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline.orchestration.instance import open_instance
from scx_pipeline_tests.orchestration.desk import Desk, folder_desk


@pytest.fixture
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the instance is kept; the settings find it there, too."""
    home = tmp_path / "dagster"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


@pytest.fixture
def instance(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with its files, as the command and the UI have it."""
    with open_instance(dagster_home) as instance:
        yield instance


@pytest.fixture
def desk(tmp_path: Path, instance: dg.DagsterInstance) -> Desk:
    """A local bucket, a DuckDB file and the instance."""
    return folder_desk(tmp_path, instance)
