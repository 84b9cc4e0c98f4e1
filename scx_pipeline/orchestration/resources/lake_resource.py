"""The lake as a resource: where it is, and what builds it: DuckDB in the run's process, or Spark somewhere else.
How a Spark job is started is in `spark`; what a build does, in the lake package."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import dagster as dg
from pydantic import Field

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, LakeError, SettingsError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource
from scx_pipeline.orchestration.spark.pipes import check_java, find_submit, run_here
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.capabilities import Limits

# What each way to run Spark needs beside it, and what these settings look like.
_NEEDED = {
    "emr-serverless": ("spark_application", "spark_role", "spark_code"),
    "emr": ("spark_cluster", "spark_code"),
}
_EXAMPLES = {
    "spark_application": "00f1abcdefghijkl (scx cloud create emr-serverless prints it)",
    "spark_role": "arn:aws:iam::123456789012:role/scx-spark-eu-west-1",
    "spark_code": "s3://scx-logs/_scx_pipeline/code",
    "spark_cluster": "emr.yaml (docs/emr.md has an example)",
}


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A data lake, and what builds it; credentials are AWS's own settings."""

    url: str
    spark: str = Field("", description="local, emr-serverless or emr; without it, DuckDB builds the lake.")
    spark_conf: str = Field("", description="Settings of Spark's, name=value, with commas between them.")
    spark_master: str = Field("local[*]", description="Of spark-submit on this machine.")
    spark_application: str = Field("", description="Of EMR Serverless.")
    spark_cluster: str = Field("", description="Of EMR: the file with the request of a cluster.")
    spark_role: str = Field("", description="With which a job of EMR Serverless runs.")
    spark_code: str = Field("", description="Where a job's code lies, and its messages come in.")
    memory_limit: str = Field(
        "400MB", description="Memory for parsing and for DuckDB, of a run or a Spark task."
    )
    threads: int = Field(0, description="Threads for the same; 0: one per core.")
    batch_files: int = Field(0, description="Source files read at a time; 0: as many as suits.")

    def build(
        self,
        context: dg.AssetExecutionContext,
        compiled: CompiledStar,
        bucket: BucketResource,
        scope: LoadScope,
    ) -> LoadReport:
        """Build months of the star, or its tables without months. Raises PipelineError, and the lake is as it was."""
        self.check(bucket.url)
        limits = Limits(self.memory_limit, self.threads, self.batch_files)
        if not self.spark:
            place = open_lake_store(self.url, compiled.star.name)
            opened = bucket.open(context.log.info)
            builder = LakeBuilder(compiled, opened, place, DuckDBLakeEngine(limits), context.log.info)
            return builder.load(scope, run_id=context.run_id) if scope else builder.refresh(context.run_id)
        order = BuildRequest(
            compiled.star.name, scope, bucket.url, self.url, context.run_id, limits, bucket.options
        )
        answer = self._spark(context, order)
        if answer.error is None and answer.report is not None:
            return answer.report
        if answer.report is not None:
            raise CheckFailedError(str(answer.error), answer.report)
        raise LakeError(str(answer.error))

    def _spark(self, context: dg.AssetExecutionContext, order: BuildRequest) -> BuildResult:
        if self.spark == "local":
            return run_here(context, order, self.spark_master, self.conf)
        answer: BuildResult = self._on_aws().run(context, order)
        return answer

    def _on_aws(self) -> Any:
        """What runs jobs on AWS."""
        if self.spark == "emr":
            from scx_pipeline.orchestration.spark.emr import EMR

            return EMR(self.spark_cluster, self.spark_code, self.conf)
        from scx_pipeline.orchestration.spark.emr_serverless import EMRServerless

        return EMRServerless(self.spark_application, self.spark_role, self.spark_code, self.conf)

    def check(self, bucket: str) -> None:
        """Raise SettingsError where a setting is missing or does not go with another; nothing is asked or started."""
        for name in _NEEDED.get(self.spark, ()):
            if not getattr(self, name):
                raise SettingsError(
                    f"SCX_SPARK={self.spark} needs SCX_{name.upper()}, such as {_EXAMPLES[name]}"
                )
        if self.spark in _NEEDED:
            for setting, url in (
                ("SCX_BUCKET_URL", bucket),
                ("SCX_LAKE_URL (or --lake)", self.url),
                ("SCX_SPARK_CODE", self.spark_code),
            ):
                if urlsplit(url).scheme != "s3":
                    raise SettingsError(
                        f"{setting} is {url!r}, which a job of SCX_SPARK={self.spark} cannot reach: write s3://bucket/prefix"
                    )
        if self.spark == "emr-serverless" and not self.spark_role.startswith("arn:"):
            raise SettingsError(
                f"SCX_SPARK_ROLE is {self.spark_role!r}: write its ARN, such as {_EXAMPLES['spark_role']}"
            )

    def examine(self, bucket: str) -> str:
        """What Spark jobs would run on, if any would. Raises PipelineError where they could not; nothing is started."""
        self.check(bucket)
        if self.spark == "local":
            submit = find_submit()
            check_java()
            return f"{submit}, on {self.spark_master}"
        examined: str = self._on_aws().examine()
        return examined

    @property
    def conf(self) -> dict[str, str]:
        """The settings of Spark's, by name."""
        pairs = [item.partition("=") for item in self.spark_conf.split(",") if item]
        return {name.strip(): value for name, _, value in pairs}


def lake_resource(settings: Settings) -> LakeResource:
    """The lake of the settings."""
    names = [name for name in LakeResource.model_fields if name != "url"]
    return LakeResource(url=settings.lake, **{name: getattr(settings, name) for name in names})
