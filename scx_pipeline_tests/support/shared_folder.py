"""The folder that all processes of a test run share.

No tests belong here.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def shared_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    # not by xdist's variable, which a pytest that a test starts has too
    return base.parent if hasattr(request.config, "workerinput") else base
