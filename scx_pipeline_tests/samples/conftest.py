"""Buckets that several tests of the generators read.

Assertions do not belong here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.samples.songplays.songplays_bucket import (
    GeneratedMusic,
)
from scx_pipeline_tests.samples.music_bucket import make


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GeneratedMusic]:
    folder = tmp_path_factory.mktemp("music")
    return folder, make(folder)
