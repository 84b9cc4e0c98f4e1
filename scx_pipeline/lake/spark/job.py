"""The Spark job: what spark-submit runs. It is told what to build, and reports, through Dagster Pipes.
What a build does is in `build`; how the job is started, in `orchestration.spark`."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.spark.spark_engine import SparkLakeEngine, told
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.driver_errors import first_line

if TYPE_CHECKING:
    from dagster_pipes import PipesMessageWriter
    from pyspark.sql import SparkSession


def main() -> int:
    """Do what the Pipes context orders, and answer; the exit code."""
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes(message_writer=_writer()) as pipes:
        answer = execute(BuildRequest.parse(pipes.extras), pipes.log.info)
        pipes.report_custom_message(answer.as_json())
    return 1 if answer.error else 0


def execute(request: BuildRequest, progress: Callable[[str], None]) -> BuildResult:
    """Build, in the Spark application of this process."""
    try:
        with told():
            spark = start()
            progress(
                f"Spark {spark.version}, {spark.sparkContext.master}, {spark.sparkContext.applicationId}"
            )
            return BuildResult(_build(request, spark, progress))
    except CheckFailedError as error:
        assert isinstance(error.report, LoadReport)
        return BuildResult(error.report, str(error))
    except PipelineError as error:
        return BuildResult(None, str(error))
    except (
        Exception
    ) as error:  # told in one line as well; the rest is for whoever reads the driver's own output
        traceback.print_exc()
        return BuildResult(
            None,
            f"the Spark job stumbled over {type(error).__name__}: {first_line(error)}; nothing was changed",
        )


def _build(request: BuildRequest, spark: SparkSession, progress: Callable[[str], None]) -> LoadReport:
    compiled = load_star(stars_folder() / request.star)
    place = open_lake_store(request.lake, request.star)
    engine = SparkLakeEngine(spark, request.limits)
    builder = LakeBuilder(
        compiled, open_bucket(request.bucket, request.options, progress), place, engine, progress
    )
    return (
        builder.load(request.scope, run_id=request.run_id)
        if request.scope
        else builder.refresh(request.run_id)
    )


def start() -> SparkSession:
    """The application that spark-submit has set up."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("scx_pipeline").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _writer() -> PipesMessageWriter[Any] | None:
    """Messages go where Dagster says: into S3, or else into a file."""
    from dagster_pipes import PipesEnvVarParamsLoader, PipesS3MessageWriter

    loader = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]
    if not loader.is_dagster_pipes_process() or "bucket" not in loader.load_messages_params():
        return None
    from scx_pipeline.aws import client

    return PipesS3MessageWriter(client("s3", LakeError))
