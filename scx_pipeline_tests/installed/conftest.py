"""The package's wheel, unpacked in a folder of its own, and the environment of a user who has installed it.

Its requirements are those of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = ("SCX_", "DAGSTER_", "PYTHON")


@dataclass(frozen=True)
class Installation:
    """A folder with the unpacked wheel, and commands that run with it."""

    site: Path
    environment: dict[str, str]

    def run(self, *command: str, folder: Path, **variables: str) -> str:
        """Run a command of the virtual environment in a folder, and return what it printed; it must succeed."""
        program = str(Path(sys.executable).with_name(command[0]))
        done = subprocess.run(
            [program, *command[1:]], cwd=folder, env=self.environment | variables,
            capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Build the wheel and unpack it, as installing does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**inherited, "VIRTUAL_ENV": sys.prefix, "PATH": path, "PYTHONPATH": str(folder / "site")}
    return Installation(
        folder / "site", environment | {"DAGSTER_DISABLE_TELEMETRY": "true", "COLUMNS": "200"}
    )
