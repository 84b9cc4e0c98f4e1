"""The servers that a test may run on, as parameters with the marks of what they need.

The fixtures `postgres_url` and `redshift_url` start them.
"""

from __future__ import annotations

import pytest

SERVERS = (
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("redshift", marks=[pytest.mark.postgres, pytest.mark.s3, pytest.mark.redshift]),
)
