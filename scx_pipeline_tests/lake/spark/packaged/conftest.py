"""What a Spark worker has: a Python without packages, and the archive, which is made once for all tests of this folder."""

from __future__ import annotations

import venv
from pathlib import Path

import pytest
from filelock import FileLock

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.spark.package import build_archive
from scx_pipeline_tests.lake.spark.packaged.worker_archive import HERE, unpack
from scx_pipeline_tests.support.shared_folder import shared_folder


@pytest.fixture(scope="session")
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive for this machine, made once for all processes of this run."""
    file = shared_folder(request, tmp_path_factory) / "environment.tar.gz"
    with FileLock(f"{file}.lock"):
        try:
            if not file.exists():
                build_archive(HERE, file)
        except LakeError as error:
            if "index cannot be reached" not in str(error):
                raise
            pytest.skip(f"needs a package index: {error}")
    return file


@pytest.fixture(scope="session")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive as Spark unpacks it, in the folder that an application works in."""
    folder = tmp_path_factory.mktemp("worker") / "environment"
    unpack(archive, folder)
    return folder


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has its standard library alone."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"
