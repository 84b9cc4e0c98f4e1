"""Fixtures of tests in which the cluster reads objects of any size.

The bucket is empty afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scx_pipeline_tests.support.load_env import LoadEnv
from scx_pipeline_tests.support.servers.redshift import reading_bucket
from scx_pipeline_tests.warehouse.redshift.object_reading.object_reading import BucketAndWarehouse


@pytest.fixture
def cluster_bucket(redshift_url: str) -> Iterator[BucketAndWarehouse]:
    """Provide a bucket in S3 and the URL of a cluster that reads objects of any size from it."""
    with reading_bucket(redshift_url) as bucket:
        yield bucket, f"{redshift_url}&copy_from=0"


@pytest.fixture
def load_env(cluster_bucket: BucketAndWarehouse) -> LoadEnv:
    return LoadEnv(*cluster_bucket)
