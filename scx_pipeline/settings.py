"""The settings: SCX_HOME, SCX_BUCKET_URL, SCX_WAREHOUSE_URL and a few limits, with their defaults.
The only reader of the environment; what the settings are used for lives elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from scx_pipeline.alerts.address import check_hook, check_mail, check_token, check_ui
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
    spark: Literal["", "local", "emr-serverless"] = Field(
        "",
        description="what builds the lake: local (spark-submit on this machine) or emr-serverless; default: DuckDB in the run's own process",
    )
    spark_conf: str = Field(
        "",
        pattern=r"^(spark\.[\w.-]+=[^\s,]+(,spark\.[\w.-]+=[^\s,]+)*)?$",
        description="settings of Spark's, such as spark.executor.memory=4g,spark.executor.cores=2",
    )
    spark_master: str = Field(
        "local[*]",
        description="with SCX_SPARK=local: the master that spark-submit is given, such as local[*], spark://host:7077 or yarn",
    )
    spark_application: str = Field("", description="with SCX_SPARK=emr-serverless: the application's id")
    spark_role: str = Field(
        "", description="with SCX_SPARK=emr-serverless: the ARN of the role that a job runs with"
    )
    spark_code: str = Field(
        "",
        description="with SCX_SPARK=emr-serverless: s3://bucket/prefix for the job's code and its messages",
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
    max_unpacked_size: str = Field(
        "20GB",
        pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$",
        description="what a compressed source file may unpack to; a larger one is refused",
    )
    max_unpacked_ratio: int = Field(
        1000,
        ge=1,
        description="how many times its own size a compressed source file may unpack to; this applies beyond 256 MiB",
    )
    bucket_retry_seconds: float = Field(
        180,
        ge=0,
        le=86400,
        description="seconds for which requests are retried if the bucket answers 429, 500, 502, 503 or 504, or drops the connection",
    )
    sensors: Literal["stopped", "running"] = Field(
        "stopped",
        description="whether the sensors of objects and reports run where nobody has started or stopped them in the UI: running in a deployment",
    )
    sensor_seconds: int = Field(
        30, ge=5, le=86400, description="seconds between two looks of a sensor at the bucket, such as 300"
    )

    keep_staging_months: int = Field(
        0,
        ge=0,
        le=1200,
        description="how many of the newest months keep their staging rows in the warehouse, such as 24; 0: all of them",
    )
    keep_rejected_days: int = Field(
        0, ge=0, le=36500, description="days for which rejected rows are kept, such as 90; 0: for ever"
    )
    keep_loads_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="days for which the history keeps loads of which nothing stands any more, such as 400; 0: for ever",
    )
    keep_runs_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="days for which Dagster keeps runs that have ended, but for those that made what stands, such as 60; 0: for ever",
    )

    ui_url: str = Field(
        "http://127.0.0.1:3000",
        description="the base of the UI's address, for the links of alerts, such as https://dagster.example.com",
    )
    alert_slack_url: SecretStr = Field(
        SecretStr(""),
        description="a Slack incoming webhook that is told of problems, such as https://hooks.slack.com/services/T000/B000/XXXX",
    )
    alert_smtp_url: SecretStr = Field(
        SecretStr(""),
        description="a mail server that tells of problems, such as smtp://user:password@mail.example.com:587?from=scx@example.com&to=data@example.com; smtps:// for TLS from the start",
    )
    alert_webhook_url: SecretStr = Field(
        SecretStr(""),
        description="a webhook that is told of problems as JSON (docs/alerts.md), such as https://alerts.example.com/scx",
    )
    alert_webhook_token: SecretStr = Field(
        SecretStr(""), description="sent to the webhook as Authorization: Bearer, such as 3f9c…"
    )
    alert_stale_hours: float = Field(
        6,
        gt=0,
        le=8760,
        description="hours after which a month that is due and not loaded is a problem, such as 6",
    )
    alert_rejected: float = Field(
        0.01,
        ge=0,
        le=1,
        description="the share of a load's rows from which on rejected rows are a problem, such as 0.01 for 1%",
    )

    @field_validator("alert_slack_url", "alert_webhook_url")
    @classmethod
    def _hook(cls, url: SecretStr) -> SecretStr:
        check_hook(url.get_secret_value())
        return url

    @field_validator("alert_smtp_url")
    @classmethod
    def _mail(cls, url: SecretStr) -> SecretStr:
        check_mail(url.get_secret_value())
        return url

    @field_validator("alert_webhook_token")
    @classmethod
    def _token(cls, token: SecretStr) -> SecretStr:
        check_token(token.get_secret_value())
        return token

    @field_validator("ui_url")
    @classmethod
    def _ui(cls, url: str) -> str:
        return check_ui(url)

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
        what = first["msg"].removeprefix("Value error, ")  # of our own
        raise SettingsError(f"{name}: {what} ({field.description})") from None


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
