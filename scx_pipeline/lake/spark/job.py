"""The Spark job that spark-submit runs: gets a build request and reports the result through Dagster Pipes.

Starting the job does not belong here.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.spark.spark_engine import SparkLakeEngine
from scx_pipeline.lake.spark.spark_errors import translate_spark_errors
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.driver_errors import first_line

if TYPE_CHECKING:
    from dagster_pipes import PipesMessageWriter
    from pyspark.sql import SparkSession


def main() -> int:
    """Build what the Pipes context requests and report the result; return the exit code."""
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes(message_writer=_writer()) as pipes:
        result = execute(BuildRequest.parse(pipes.extras), pipes.log.info)
        pipes.report_custom_message(result.as_json())
    return 1 if result.error else 0


def execute(request: BuildRequest, progress: Callable[[str], None]) -> BuildResult:
    """Run a build in the Spark application of this process."""
    try:
        with translate_spark_errors():
            spark = start_spark()
            context = spark.sparkContext
            progress(f"Spark {spark.version}, {context.master}, {context.applicationId}")
            return BuildResult(_build(request, spark, progress))
    except CheckFailedError as error:
        assert isinstance(error.report, LoadReport)
        return BuildResult(error.report, str(error))
    except PipelineError as error:
        return BuildResult(None, str(error))
    except Exception as error:  # the traceback is only in the driver's output
        traceback.print_exc()
        message = (
            f"the Spark job failed with {type(error).__name__}: {first_line(error)}; nothing was changed"
        )
        return BuildResult(None, message)


def _build(request: BuildRequest, spark: SparkSession, progress: Callable[[str], None]) -> LoadReport:
    compiled = request.compiled
    store = open_lake_store(request.lake, compiled.star.name)
    engine = SparkLakeEngine(spark, request.limits)
    bucket = open_bucket(request.bucket, request.options, progress)
    builder = LakeBuilder(compiled, bucket, store, engine, progress)
    if request.scope is UNPARTITIONED:
        return builder.refresh(request.run_id)
    return builder.load(request.scope, run_id=request.run_id)


def start_spark() -> SparkSession:
    """Return the Spark session of the application that spark-submit started."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("scx_pipeline").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _writer() -> PipesMessageWriter[Any] | None:
    """Return the writer of messages to S3 if Dagster asks for it, else None for the default."""
    from dagster_pipes import PipesEnvVarParamsLoader, PipesS3MessageWriter

    loader = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]
    if not loader.is_dagster_pipes_process() or "bucket" not in loader.load_messages_params():
        return None

    from scx_pipeline.aws import create_client

    return PipesS3MessageWriter(create_client("s3", LakeError))
