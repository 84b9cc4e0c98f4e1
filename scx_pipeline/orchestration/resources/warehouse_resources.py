"""The resources of a run, configured separately from the assets: the warehouse of each engine, and the bucket.

How an engine or a store works is not defined here.
"""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote

import dagster as dg
from pydantic import Field

from scx_pipeline.errors import WarehouseError
from scx_pipeline.settings import Settings, setting_field
from scx_pipeline.storage.bucket import Bucket, BucketOptions, open_bucket
from scx_pipeline.storage.compression import UnpackedLimits, parse_size
from scx_pipeline.warehouse.capabilities import Engine, Limits
from scx_pipeline.warehouse.open_warehouse import connection_info, engine_of, open_warehouse
from scx_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)
_URL = "SCX_WAREHOUSE_URL"


class WarehouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The database that stars are published in, of any engine."""

    memory_limit: str = setting_field("memory_limit")
    threads: int = setting_field("threads")
    batch_files: int = setting_field("batch_files")
    lock_timeout: float = setting_field("lock_timeout")

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the resource that the settings describe."""
        return cls(**cls._values(settings))

    @classmethod
    def _values(cls, settings: Settings) -> dict[str, Any]:
        """Return the resource's values by name: the parts of the URL that are not secret, and the limits."""
        limits = ("memory_limit", "threads", "batch_files", "lock_timeout")
        return {**connection_info(settings.warehouse), **{name: getattr(settings, name) for name in limits}}

    def open(
        self, notify: Callable[[str], None] = lambda message: None, lock_timeout: float | None = None
    ) -> Warehouse:
        """Return the warehouse; nothing is connected yet. Raises WarehouseError if its URL does not match the displayed settings."""
        timeout = self.lock_timeout if lock_timeout is None else lock_timeout
        limits = Limits(self.memory_limit, self.threads, self.batch_files, timeout, self.statement_seconds)
        return open_warehouse(self.address(), limits, notify)

    def query(self, sql: str) -> pd.DataFrame:
        """Run a query in the engine's SQL on what is published, and return a pandas frame, for the assets of your own project.

        Raises:
            WarehouseError: if the warehouse cannot be reached, or nothing was ever loaded.
        """
        with self.open(_log.info).open_loaded() as session:
            return session.read_frame(sql)

    @abstractmethod
    def address(self) -> str:
        """Return the URL to connect to. It includes secrets: never print it."""

    @property
    def statement_seconds(self) -> float:
        """The time limit of a statement on a server; 0: none."""
        return 0


class DuckDBResource(WarehouseResource):
    """A DuckDB file, which has no secrets."""

    path: str = Field(description="The path of the file.")
    database: str = Field(description="The name of the file's database in SQL.")

    def address(self) -> str:
        """Return the file's URL."""
        return f"duckdb://{quote(self.path)}"


class ServerResource(WarehouseResource):
    """A database of a server. The UI displays all of its settings but the password, which is in the URL.

    Each run reads the URL from its own environment. If it does not match the displayed settings, it is refused: what is
    displayed must be what is used, and a password must not be sent to another server.
    """

    engine: ClassVar[Engine]

    url: str = Field(
        description="Includes the password: each run reads it from its environment; it is never displayed."
    )
    statement_timeout: float = Field(
        0, description="Seconds that one statement may take; 0: as long as it takes."
    )
    database: str
    user: str | None = Field(None, description="The user to log in as; default: the one of the login.")

    @classmethod
    def _values(cls, settings: Settings) -> dict[str, Any]:
        url = dg.EnvVar(_URL)
        return {**super()._values(settings), "url": url, "statement_timeout": settings.statement_timeout}

    @property
    def statement_seconds(self) -> float:
        return self.statement_timeout

    def address(self) -> str:
        """Return the URL of the environment if it matches the displayed settings."""
        engine = engine_of(self.url)
        if engine != self.engine:
            raise WarehouseError(
                f"{_URL} is a URL of {engine}, but {self._displayed('the engine', self.engine)}"
            )
        for name, value in connection_info(self.url).items():
            if value != getattr(self, name):
                raise WarehouseError(
                    f"{_URL} has {name} {_or_none(value)}, but {self._displayed(name, _or_none(getattr(self, name)))}"
                )
        return self.url

    @staticmethod
    def _displayed(name: str, shown: str) -> str:
        return f"the resource shows {name} {shown}: {_URL} has changed since, so reload the code location; nothing was loaded"


class PostgresResource(ServerResource):
    """A PostgreSQL database."""

    engine = Engine.POSTGRESQL

    host: str
    port: int
    sslmode: str | None = Field(None, description="Default: the driver's, prefer.")


class RedshiftResource(ServerResource):
    """A database of a Redshift cluster or workgroup."""

    engine = Engine.REDSHIFT

    host: str | None = Field(None, description="Default: AWS returns it with the login.")
    port: int | None = None
    workgroup: str | None = Field(None, description="A workgroup of Redshift Serverless, to log in by IAM.")
    cluster: str | None = Field(None, description="A provisioned cluster, to log in by IAM.")
    secret: str | None = Field(None, description="The name or ARN of a secret of AWS Secrets Manager.")
    staging: str | None = Field(
        None, description="The S3 prefix for files that COPY reads; required for loads."
    )
    iam_role: str = Field(description="The role of COPY; default: the cluster's default role.")
    region: str | None = Field(None, description="The bucket's region, if it is not the cluster's.")
    region_staging: str | None = Field(None, description="An S3 prefix in that region, for manifests.")
    query_group: str = Field(description="The query group for workload management.")
    copy_from: str = Field(
        description="Megabytes of a table's objects from which the cluster reads them by COPY."
    )
    sslmode: str = Field(description="How the server's certificate is verified.")
    sslrootcert: str | None = Field(None, description="The file of trusted authorities; default: certifi's.")


_RESOURCES: Mapping[Engine, type[WarehouseResource]] = {
    Engine.DUCKDB: DuckDBResource,
    Engine.POSTGRESQL: PostgresResource,
    Engine.REDSHIFT: RedshiftResource,
}


class BucketResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder or S3 bucket of the raw files; credentials come from AWS's own settings."""

    url: str
    max_unpacked_size: str = setting_field("max_unpacked_size")
    max_unpacked_ratio: int = setting_field("max_unpacked_ratio")
    retry_seconds: float = setting_field("bucket_retry_seconds")

    @property
    def options(self) -> BucketOptions:
        """The limits as options of a bucket."""
        limits = UnpackedLimits(parse_size(self.max_unpacked_size), self.max_unpacked_ratio)
        return BucketOptions(limits, self.retry_seconds)

    def open(self, notify: Callable[[str], None] = _log.warning, retry_seconds: float = math.inf) -> Bucket:
        """Open the bucket. Requests are retried for at most `retry_seconds` while it is busy. Raises BucketError if it does not exist."""
        options = replace(self.options, retry_seconds=min(self.retry_seconds, retry_seconds))
        return open_bucket(self.url, options, notify)


def resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:  # type: ignore[type-arg]
    """Return the resources of the settings; a server's URL is given as the name of its environment variable."""
    bucket = BucketResource(
        url=settings.bucket,
        max_unpacked_size=settings.max_unpacked_size,
        max_unpacked_ratio=settings.max_unpacked_ratio,
        retry_seconds=settings.bucket_retry_seconds,
    )
    warehouse = _RESOURCES[engine_of(settings.warehouse)]
    return {"warehouse": warehouse.from_settings(settings), "bucket": bucket}


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)
