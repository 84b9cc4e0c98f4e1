"""The settings, read from environment variables SCX_…, with their defaults, descriptions and examples.

This is the only reader of the environment. What a setting is used for does not belong here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from scx_pipeline.alerts.address import check_hook, check_mail, check_token, check_ui
from scx_pipeline.errors import SettingsError

_SECRET = re.compile("pass|secret|token|key", re.IGNORECASE)
_Size = Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$")]
_Days = Annotated[int, Field(ge=0, le=36500)]
_Seconds = Annotated[float, Field(ge=0, le=86400)]
_Count = Annotated[int, Field(ge=0)]


def _check_secret(check: Callable[[str], object]) -> AfterValidator:
    def validate(secret: SecretStr) -> SecretStr:
        check(secret.get_secret_value())
        return secret

    return AfterValidator(validate)


class _SettingGroup(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SCX_", env_ignore_empty=True, frozen=True)


class LocationSettings(_SettingGroup):
    """Where data is read from and written to."""

    home: Path = Field(
        Path(".scx"), description="the folder of the default bucket, dev.duckdb and Dagster's instance"
    )
    stars: str = Field(
        "",
        description="folders of your stars, separated by colons, which replace the samples scx, songplays and sensor_readings; the word samples names those",
    )
    bucket_url: str = Field(
        "",
        description="file:///folder or s3://bucket[/prefix]; default: $SCX_HOME/bucket",
        examples=["s3://scx-raw"],
    )
    warehouse_url: SecretStr = Field(
        SecretStr(""),
        description="duckdb:///…/dev.duckdb, postgresql://user:password@host/dev or redshift://…; default: $SCX_HOME/dev.duckdb",
        examples=[
            "redshift://host:5439/dev?iam_role=… or postgresql://scx_loader:password@host:5432/dev",
        ],
    )
    lake_url: str = Field(
        "",
        description="file:///folder or s3://bucket/prefix; default: $SCX_HOME/lake, which the UI does not show",
    )
    ui_url: Annotated[str, AfterValidator(check_ui)] = Field(
        "http://127.0.0.1:3000",
        description="the base URL of the UI, for the links in alerts, such as https://dagster.example.com",
    )

    @property
    def bucket(self) -> str:
        """The URL of the bucket; the default is absolute."""
        return self.bucket_url or (self.home.absolute() / "bucket").as_uri()

    @property
    def warehouse(self) -> str:
        """The URL of the warehouse with its secrets: never print it, use `redact`."""
        return (
            self.warehouse_url.get_secret_value()
            or f"duckdb://{quote(str(self.home.absolute() / 'dev.duckdb'))}"
        )

    @property
    def lake(self) -> str:
        """The URL of the lake; the default is absolute."""
        return self.lake_url or (self.home.absolute() / "lake").as_uri()

    @property
    def dagster_home(self) -> Path:
        """The folder of Dagster's instance: DAGSTER_HOME, or $SCX_HOME/dagster."""
        return Path(os.environ.get("DAGSTER_HOME") or self.home.absolute() / "dagster").absolute()


class SparkSettings(_SettingGroup):
    """Which engine builds the lake, and how Spark runs."""

    spark: Literal["", "local", "emr-serverless"] = Field(
        "",
        description="the engine that builds the lake: local (spark-submit on this machine) or emr-serverless; default: DuckDB in the process of the run",
    )
    spark_conf: str = Field(
        "",
        pattern=r"^(spark\.[\w.-]+=[^\s,]+(,spark\.[\w.-]+=[^\s,]+)*)?$",
        description="properties of Spark, such as spark.executor.memory=4g,spark.executor.cores=2",
    )
    spark_master: str = Field(
        "local[*]",
        description="with SCX_SPARK=local: the master of spark-submit, such as local[*], spark://host:7077 or yarn",
    )
    spark_application: str = Field(
        "",
        description="with SCX_SPARK=emr-serverless: the id of the application",
        examples=["00f1abcdefghijkl (scx cloud create emr-serverless prints it)"],
    )
    spark_role: str = Field(
        "",
        description="with SCX_SPARK=emr-serverless: the ARN of the role that a job assumes",
        examples=["arn:aws:iam::123456789012:role/scx-spark-eu-west-1"],
    )
    spark_code: str = Field(
        "",
        description="with SCX_SPARK=emr-serverless: s3://bucket/prefix for the code and the messages of jobs",
        examples=["s3://scx-logs/_scx_pipeline/code"],
    )


class AlertSettings(_SettingGroup):
    """Where alerts are sent, and which conditions are problems."""

    alert_slack_url: Annotated[SecretStr, _check_secret(check_hook)] = Field(
        SecretStr(""),
        description="a Slack incoming webhook for alerts, such as https://hooks.slack.com/services/T000/B000/XXXX",
    )
    alert_smtp_url: Annotated[SecretStr, _check_secret(check_mail)] = Field(
        SecretStr(""),
        description="a mail server for alerts, such as smtp://user:password@mail.example.com:587?from=scx@example.com&to=data@example.com; smtps:// for TLS from the start",
    )
    alert_webhook_url: Annotated[SecretStr, _check_secret(check_hook)] = Field(
        SecretStr(""),
        description="a webhook for alerts as JSON (docs/alerts.md), such as https://alerts.example.com/scx",
    )
    alert_webhook_token: Annotated[SecretStr, _check_secret(check_token)] = Field(
        SecretStr(""), description="sent to the webhook as Authorization: Bearer, such as 3f9c…"
    )
    alert_overdue_hours: float = Field(
        6,
        gt=0,
        le=8760,
        description="hours after which a month that is due but not loaded is a problem, such as 6",
    )
    alert_rejected: float = Field(
        0.01,
        ge=0,
        le=1,
        description="the share of a load's rows from which rejected rows are a problem, such as 0.01 for 1%",
    )


class RetentionSettings(_SettingGroup):
    """How long rows, loads and runs are kept."""

    keep_staging_months: int = Field(
        0,
        ge=0,
        le=1200,
        description="the number of newest months that keep their staging rows in the warehouse, such as 24; 0: all",
    )
    keep_rejected_days: _Days = Field(0, description="days to keep rejected rows, such as 90; 0: forever")
    keep_loads_days: _Days = Field(
        0,
        description="days to keep loads whose rows were all replaced, such as 400; 0: forever",
    )
    keep_runs_days: _Days = Field(
        0,
        description="days to keep finished runs that built no current data, such as 60; 0: forever",
    )


class RunSettings(_SettingGroup):
    """Limits of runs, and the sensors."""

    lock_timeout: _Seconds = Field(
        300, description="seconds to wait for a warehouse that another run is writing"
    )
    statement_timeout: _Seconds = Field(
        0, description="seconds that one statement may take on PostgreSQL or Redshift; 0: no limit"
    )
    memory_limit: _Size = Field("400MB", description="the memory of a run for parsing and for DuckDB")
    threads: _Count = Field(0, description="threads for parsing and for DuckDB; 0: one per core")
    batch_files: _Count = Field(
        0,
        description="source files read at a time, which affects only memory; 0: as suits the warehouse",
    )
    max_unpacked_size: _Size = Field(
        "20GB",
        description="the maximum size of a source file after decompression; larger files are rejected",
    )
    max_unpacked_ratio: int = Field(
        1000,
        ge=1,
        description="the maximum ratio of a source file's decompressed to its compressed size, applied above 256 MiB",
    )
    bucket_retry_seconds: _Seconds = Field(
        180,
        description="seconds for which requests are retried if the bucket answers 429, 500, 502, 503 or 504, or drops the connection",
    )
    sensors: Literal["stopped", "running"] = Field(
        "stopped",
        description="the state of sensors that were never started or stopped in the UI: running in a deployment",
    )
    sensor_seconds: int = Field(
        30, ge=5, le=86400, description="seconds between two checks of the bucket by a sensor, such as 300"
    )
    follower: Literal["", "lake", "warehouse"] = Field(
        "",
        description="which one follows the other, with SCX_LAKE_URL set: lake (it is built for the months that a load has published in the warehouse) or warehouse (it is loaded with the months that a build has published in the lake); empty: neither",
    )
    lake_seconds: _Count = Field(900, description="seconds that a lake that follows waits after each build")


class Settings(RunSettings, RetentionSettings, AlertSettings, SparkSettings, LocationSettings):
    """All settings, read once from the environment."""

    @field_validator("follower")
    @classmethod
    def _check_follower(cls, name: str, info: ValidationInfo) -> str:
        if name and not info.data.get("lake_url"):
            raise ValueError(f"{name} needs SCX_LAKE_URL, which is not set: set it, or unset SCX_FOLLOWER")
        return name


# The groups in the order of the documentation, by title.
GROUPS: Mapping[str, type[_SettingGroup]] = {
    "Locations": LocationSettings,
    "Spark": SparkSettings,
    "Alerts": AlertSettings,
    "Retention": RetentionSettings,
    "Runs and sensors": RunSettings,
}


def example_of(variable: str) -> str:
    """Return an example of a setting; empty if there is none."""
    field = Settings.model_fields.get(variable.removeprefix("SCX_").lower())
    return str(field.examples[0]) if field and field.examples else ""


def setting_field(name: str) -> Any:
    """Return a pydantic field with the default and the description of a setting, for another model that has it."""
    field = Settings.model_fields[name]
    return Field(field.default, description=field.description)


def read_settings() -> Settings:
    """Read the environment. Raises SettingsError with the name of a malformed setting and what it must be."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
        description = Settings.model_fields[field].description
        raise SettingsError(f"SCX_{field.upper()}: {message} ({description})") from None


def environment() -> Mapping[str, str]:
    """Return the environment, for the variables that are not settings."""
    return os.environ


def redact(url: str) -> str:
    """Return the URL with its password, and query values that may be secrets, replaced by ***."""
    # Not with urlsplit: an unquoted password would be split into host, path or fragment. The scheme may be missing.
    login = r"^([^:/?#]*://[^:/]*:|[^:/]*:(?!//)).*@"
    address, _, query = re.sub(login, r"\1***@", url, flags=re.DOTALL).partition("?")
    items = [
        f"{item.partition('=')[0]}=***" if _SECRET.search(item.partition("=")[0]) else item
        for item in query.split("&")
    ]
    return address + ("?" + "&".join(items) if query else "")
