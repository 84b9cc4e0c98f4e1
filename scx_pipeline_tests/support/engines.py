"""The servers that a test may run on, as parameters with the marks of what they need.
The fixtures that start them are in conftest.py: `postgres_url` and `redshift_url`."""

from __future__ import annotations

import pytest

SERVERS = (
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("redshift", marks=[pytest.mark.postgres, pytest.mark.s3, pytest.mark.redshift]),
)
