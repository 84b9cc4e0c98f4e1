"""A process of the scenario `lake`: builds whatever is due in the lake of songplays, by DuckDB or by Spark on two cores."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped, unused-ignore]

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.lake.build.builder import LakeBuilder, plan_build
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
from scx_pipeline.lake.build.lake_engine import LakeEngine
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.spark.spark_engine import SparkLakeEngine
from scx_pipeline.model.calendar import contiguous_ranges
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.capabilities import Limits

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CORES = 2


def start_spark() -> SparkSession:
    """Start Spark on two cores of this machine, with the settings of the project's own job."""
    from scx_pipeline.orchestration.spark.pipes import _LOCAL

    os.environ.update(PYSPARK_PYTHON=sys.executable, PYTHONWARNINGS="ignore")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{CORES}]").appName("scx_bench")
    for name, value in {**_LOCAL, "spark.ui.showConsoleProgress": "false"}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def print_start_seconds() -> None:
    """Print the seconds since this process started, for the process that measures it."""
    print(json.dumps({"started": time.time() - psutil.Process().create_time()}), flush=True)


def build(bucket_url: str, lake: str, engine: LakeEngine) -> None:
    """Build as `scx lake build` does without arguments: first the unpartitioned tables, then the due months."""
    compiled, bucket = load_star(stars_folder() / "songplays"), open_bucket(bucket_url)
    place = open_lake_store(lake, compiled.star.name)
    builder = LakeBuilder(compiled, bucket, place, engine, lambda message: print(message, file=sys.stderr))
    if plan_build(compiled, bucket, lake).unpartitioned:
        builder.refresh()
    changed = plan_build(compiled, bucket, lake).changed
    for months in contiguous_ranges([item.month for item in changed]):
        builder.load(months)


def main() -> None:
    kind, bucket_url, lake = sys.argv[1:]
    limits = Limits(threads=CORES)
    engine: LakeEngine = (
        SparkLakeEngine(start_spark(), limits) if kind == "spark" else DuckDBLakeEngine(limits)
    )
    print_start_seconds()
    build(bucket_url, lake, engine)


if __name__ == "__main__":
    main()
