"""The lake as a resource: its URL, and whether DuckDB in the run's process or a Spark job builds it.

How a build works is not defined here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, LakeError, SettingsError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource
from scx_pipeline.orchestration.spark.pipes import check_java, find_spark_submit, run_locally
from scx_pipeline.settings import Settings, example_of, redact, setting_field
from scx_pipeline.warehouse.capabilities import Limits

if TYPE_CHECKING:
    from scx_pipeline.orchestration.spark.emr_serverless import EMRServerless

_NEEDED_BY_EMR_SERVERLESS = ("spark_application", "spark_role", "spark_code")


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A data lake and its engine; credentials come from AWS's own settings."""

    url: str
    spark: str = setting_field("spark")
    spark_conf: str = setting_field("spark_conf")
    spark_master: str = setting_field("spark_master")
    spark_application: str = setting_field("spark_application")
    spark_role: str = setting_field("spark_role")
    spark_code: str = setting_field("spark_code")
    memory_limit: str = setting_field("memory_limit")
    threads: int = setting_field("threads")
    batch_files: int = setting_field("batch_files")

    def build(
        self,
        context: dg.AssetExecutionContext,
        compiled: CompiledStar,
        bucket: BucketResource,
        scope: LoadScope,
    ) -> LoadReport:
        """Build months of the star, or its unpartitioned tables. Raises PipelineError if the lake was not changed."""
        self.check(bucket.url)
        limits = Limits(self.memory_limit, self.threads, self.batch_files)
        if not self.spark:
            store = open_lake_store(self.url, compiled.star.name)
            opened = bucket.open(context.log.info)
            builder = LakeBuilder(compiled, opened, store, DuckDBLakeEngine(limits), context.log.info)
            if scope is UNPARTITIONED:
                return builder.refresh(context.run_id)
            return builder.load(scope, run_id=context.run_id)
        request = BuildRequest(compiled, scope, bucket.url, self.url, context.run_id, limits, bucket.options)
        result = self._build_with_spark(context, request)
        if result.error is None and result.report is not None:
            return result.report
        if result.report is not None:
            raise CheckFailedError(str(result.error), result.report)
        raise LakeError(str(result.error))

    def _build_with_spark(self, context: dg.AssetExecutionContext, request: BuildRequest) -> BuildResult:
        if self.spark == "local":
            return run_locally(context, request, self.spark_master, self.conf)
        return self._emr_serverless().run(context, request)

    def _emr_serverless(self) -> EMRServerless:
        from scx_pipeline.orchestration.spark.emr_serverless import EMRServerless

        return EMRServerless(self.spark_application, self.spark_role, self.spark_code, self.conf)

    def check(self, bucket: str) -> None:
        """Raise SettingsError if a setting is missing or contradicts another one. No request is sent."""
        if self.spark != "emr-serverless":
            return
        for name in _NEEDED_BY_EMR_SERVERLESS:
            if not getattr(self, name):
                raise SettingsError(
                    f"SCX_SPARK=emr-serverless needs SCX_{name.upper()}, such as {example_of(name)}"
                )
        for setting, url in (
            ("SCX_BUCKET_URL", bucket),
            ("SCX_LAKE_URL (or --lake)", self.url),
            ("SCX_SPARK_CODE", self.spark_code),
        ):
            if urlsplit(url).scheme != "s3":
                raise SettingsError(
                    f"{setting} is {redact(url)!r}, which a job of SCX_SPARK=emr-serverless cannot reach: write s3://bucket/prefix"
                )
        if not self.spark_role.startswith("arn:"):
            raise SettingsError(
                f"SCX_SPARK_ROLE is {self.spark_role!r}: write its ARN, such as {example_of('spark_role')}"
            )

    def examine(self, bucket: str) -> str:
        """Describe where Spark jobs would run, without starting one. Raises PipelineError if they could not run."""
        self.check(bucket)
        if self.spark == "local":
            submit = find_spark_submit()
            check_java()
            return f"{submit}, on {self.spark_master}"
        return self._emr_serverless().examine()

    @property
    def conf(self) -> dict[str, str]:
        """The Spark settings, by name."""
        pairs = [item.partition("=") for item in self.spark_conf.split(",") if item]
        return {name.strip(): value for name, _, value in pairs}


def lake_resource(settings: Settings) -> LakeResource:
    """Return the lake of the settings."""
    names = [name for name in LakeResource.model_fields if name != "url"]
    return LakeResource(url=settings.lake, **{name: getattr(settings, name) for name in names})
