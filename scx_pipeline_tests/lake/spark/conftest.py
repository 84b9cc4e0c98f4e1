"""A Spark session for the tests of this folder, or the reason why there is none.

Lakes and buckets belong to `support`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.orchestration.spark.pipes import check_java, find_spark_submit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def java() -> None:
    """Skip a test if Spark cannot run."""
    if find_spec("pyspark") is None:
        pytest.skip("needs PySpark: pip install 'scx_pipeline[spark]'")
    try:
        find_spark_submit()
        check_java()
    except LakeError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def spark(java: None) -> Iterator[SparkSession]:
    """A Spark session with two cores in this process, for all tests of a file."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        # The optimizing compiler costs more time than it saves in short tests.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master("local[2]").appName("scx_pipeline_tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
