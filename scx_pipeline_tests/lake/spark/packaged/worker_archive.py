"""The platform of this machine as a worker's, and the unpacking of an archive as Spark does it.

No tests belong here.
"""

from __future__ import annotations

import platform
import sys
import tarfile
from pathlib import Path

from scx_pipeline.lake.spark.package import WorkerPlatform

HERE = WorkerPlatform(
    f"{sys.version_info.major}.{sys.version_info.minor}",
    "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
