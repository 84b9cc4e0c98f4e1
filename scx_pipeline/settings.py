"""The settings: SCX_HOME, SCX_BUCKET_URL, SCX_WAREHOUSE_URL and a few limits, with their defaults.
The only reader of the environment; what the settings are used for lives elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from scx_pipeline.errors import SettingsError

_SECRET = re.compile("pass|secret|token|key", re.IGNORECASE)


class Settings(BaseSettings):
    """What a person may set, read once from the environment (SCX_…)."""

    model_config = SettingsConfigDict(env_prefix="SCX_", env_ignore_empty=True, frozen=True)

    home: Path = Field(
        Path(".scx"), description="where the bucket, dev.duckdb and Dagster's records are kept"
    )
    bucket_url: str = Field(
        "", description="file:///folder or s3://bucket[/prefix]; default: $SCX_HOME/bucket"
    )
    warehouse_url: SecretStr = Field(
        SecretStr(""),
        description="duckdb:///…/dev.duckdb, postgresql://user:password@host/dev or redshift://…; default: $SCX_HOME/dev.duckdb",
    )
    lake_url: str = Field("", description="file:///folder or s3://bucket/prefix; default: $SCX_HOME/lake")
    spark: Literal["", "local", "emr-serverless", "emr"] = Field(
        "",
        description="what builds the lake: local (spark-submit on this machine), emr-serverless or emr; default: DuckDB in the run's own process",
    )
    spark_conf: str = Field(
        "",
        pattern=r"^(spark\.[\w.-]+=[^\s,]+(,spark\.[\w.-]+=[^\s,]+)*)?$",
        description="settings of Spark's, such as spark.executor.memory=4g,spark.executor.cores=2",
    )
    spark_master: str = Field(
        "local[*]", description="with SCX_SPARK=local: where the job runs, local[*] or spark://host:7077"
    )
    spark_application: str = Field("", description="with SCX_SPARK=emr-serverless: the application's id")
    spark_cluster: str = Field(
        "",
        description="with SCX_SPARK=emr: a YAML file with the request of a cluster, which lives for one job",
    )
    spark_role: str = Field(
        "", description="with SCX_SPARK=emr-serverless: the ARN of the role that a job runs with"
    )
    spark_code: str = Field(
        "",
        description="with SCX_SPARK=emr-serverless or emr: s3://bucket/prefix for the job's code and its messages",
    )
    lock_timeout: float = Field(
        300, ge=0, le=86400, description="seconds to wait for a warehouse that another run is writing"
    )
    statement_timeout: float = Field(
        0,
        ge=0,
        le=86400,
        description="seconds that one statement may take on PostgreSQL or Redshift; 0: as long as it takes",
    )
    memory_limit: str = Field(
        "400MB",
        pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$",
        description="memory for parsing and for DuckDB, of a run",
    )
    threads: int = Field(0, ge=0, description="threads for parsing and for DuckDB; 0: one per core")
    batch_files: int = Field(
        0,
        ge=0,
        description="source files read at a time, which is a matter of memory only; 0: as many as suits the warehouse",
    )
    sensors: Literal["stopped", "running"] = Field(
        "stopped",
        description="whether the sensors of objects and reports run where nobody has started or stopped them in the UI: running in a deployment",
    )
    sensor_seconds: int = Field(
        30, ge=5, le=86400, description="seconds between two looks of a sensor at the bucket, such as 300"
    )

    @property
    def bucket(self) -> str:
        """The bucket's URL, the default resolved to an absolute one."""
        return self.bucket_url or (self.home.absolute() / "bucket").as_uri()

    @property
    def warehouse(self) -> str:
        """The warehouse's URL, secrets included: never print it (see `redact`)."""
        return (
            self.warehouse_url.get_secret_value()
            or f"duckdb://{quote(str(self.home.absolute() / 'dev.duckdb'))}"
        )

    @property
    def lake(self) -> str:
        """The lake's URL, the default resolved to an absolute one."""
        return self.lake_url or (self.home.absolute() / "lake").as_uri()

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its instance: DAGSTER_HOME, or $SCX_HOME/dagster."""
        return Path(os.environ.get("DAGSTER_HOME") or self.home.absolute() / "dagster").absolute()


def read_settings() -> Settings:
    """Read the environment; a malformed setting raises SettingsError with its name and what it must be."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = f"SCX_{first['loc'][0]}".upper()
        field = Settings.model_fields[str(first["loc"][0])]
        raise SettingsError(f"{name}: {first['msg']} ({field.description})") from None


def environment() -> Mapping[str, str]:
    """The environment, for what of it belongs to others: the variables that Dagster's own files name."""
    return os.environ


def redact(url: str) -> str:
    """The URL with its password, and the values of its query that could be one, replaced by ***."""
    # Not by urlsplit: a password that should have been quoted, and was not, would count as host, path or fragment.
    address, _, query = re.sub(r"^([^:/?#]*://[^:/]*:).*@", r"\1***@", url, flags=re.DOTALL).partition("?")
    items = [
        f"{item.partition('=')[0]}=***" if _SECRET.search(item.partition("=")[0]) else item
        for item in query.split("&")
    ]
    return address + ("?" + "&".join(items) if query else "")
