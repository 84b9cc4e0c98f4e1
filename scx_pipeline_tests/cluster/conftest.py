"""An AWS of moto's, in which nothing is waited for.
No server is started here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from scx_pipeline.cluster import aws


@pytest.fixture(autouse=True)
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(aws, "POLL", 0.0)
    # moto would otherwise make 1,300 images before each test
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    with mock_aws():
        yield
