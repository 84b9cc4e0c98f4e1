"""A load that must be refused: one clear message, and nothing changed; and files for such loads.

What causes the refusal belongs to the tests.
"""

from __future__ import annotations

import pytest

from scx_pipeline.errors import PipelineError
from scx_pipeline_tests.support.load_env import APRIL, LoadEnv, csv_text, job

APRIL_JOBS = [job(n, "2021-04-05 10:00:00") for n in range(10, 60)]
LARGE_FILE = csv_text(job(n, "2021-04-05 10:00:00", summary=str(n * 7919)) for n in range(9000)).encode()


def assert_load_refused(load_env: LoadEnv, error: type[PipelineError], *expected: str) -> str:
    """Check that loading April after March fails with a message that has all these parts, and changes nothing."""
    before = load_env.snapshot()
    with pytest.raises(error) as caught:
        load_env.load(APRIL)
    message = str(caught.value)
    assert all(part in message for part in expected), message
    assert len(message.splitlines()) == 1
    assert load_env.snapshot() == before
    return message
