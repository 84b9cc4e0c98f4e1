"""The resources that a run needs, configured apart from the assets: the warehouse, of any engine, and the bucket.
How an engine or a store works lives in `warehouse` and `engine.objects`; what of a URL may be shown, in `warehouse` too."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

import dagster as dg
from pydantic import Field

from scx_pipeline.errors import WarehouseError
from scx_pipeline.settings import Settings
from scx_pipeline.storage.bucket import Bucket, BucketOptions, open_bucket
from scx_pipeline.storage.compression import UnpackedLimits, bytes_of
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import connection_info, open_warehouse
from scx_pipeline.warehouse.warehouse import Warehouse

_log = logging.getLogger(__name__)
_URL = "SCX_WAREHOUSE_URL"


class WarehouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The database that stars are published in: what assets ask for, whichever engine it is of."""

    memory_limit: str = Field("400MB", description="Memory for parsing and for DuckDB, of a run.")
    threads: int = Field(0, description="Threads for the same; 0: one per core.")
    batch_files: int = Field(0, description="Source files read at a time; 0: as many as suits the warehouse.")
    lock_timeout: float = Field(300, description="Seconds to wait for another run's lock.")

    def open(
        self, notify: Callable[[str], None] = lambda message: None, lock_timeout: float | None = None
    ) -> Warehouse:
        """The warehouse; nothing is connected yet. Raises WarehouseError where it is another than is shown."""
        timeout = self.lock_timeout if lock_timeout is None else lock_timeout
        limits = Limits(self.memory_limit, self.threads, self.batch_files, timeout, self.statement_seconds)
        return open_warehouse(self.address(), limits, notify)

    @abstractmethod
    def address(self) -> str:
        """The URL that is connected to, secrets included: never print it."""

    @property
    def statement_seconds(self) -> float:
        """How long a server may take for a statement; 0: as long as it takes."""
        return 0


class DuckDBResource(WarehouseResource):
    """A DuckDB file, which has no secrets."""

    path: str = Field(description="The file.")

    def address(self) -> str:
        """The file's URL."""
        return f"duckdb://{quote(self.path)}"


class ServerResource(WarehouseResource):
    """A database of a server. Its settings are shown, all but the password, which is in the URL.

    Whoever runs it reads the URL from its own environment. What is shown must be what is used, so a URL that says otherwise
    is refused: its password belongs to what it names itself, and must not be sent elsewhere.
    """

    engine: ClassVar[str]

    url: str = Field(description="With the password: read from the environment by a run, never shown.")
    statement_timeout: float = Field(
        0, description="Seconds that one statement may take; 0: as long as it takes."
    )
    database: str
    user: str | None = Field(None, description="Whom to log in as; default: whom the login gives.")

    @property
    def statement_seconds(self) -> float:
        return self.statement_timeout

    def address(self) -> str:
        """The URL of the environment, once it is found to be the one that is shown."""
        engine, facts = connection_info(self.url)
        if engine != self.engine:
            raise WarehouseError(f"{_URL} is of {engine}, but {self._changed('the engine', self.engine)}")
        for name, value in facts.items():
            if value != getattr(self, name):
                raise WarehouseError(
                    f"{_URL} has {name} {_told(value)}, but {self._changed(name, _told(getattr(self, name)))}"
                )
        return self.url

    @staticmethod
    def _changed(name: str, shown: str) -> str:
        return f"the resource shows {name} {shown}: it was changed, so reload the code location; nothing was changed"


class PostgresResource(ServerResource):
    """A PostgreSQL database."""

    engine = "postgres"

    host: str
    port: int
    sslmode: str | None = Field(None, description="Default: the driver's, prefer.")


class RedshiftResource(ServerResource):
    """A database of a Redshift cluster or workgroup."""

    engine = "redshift"

    host: str | None = Field(None, description="Without one, AWS gives it with the login.")
    port: int | None = None
    workgroup: str | None = Field(None, description="Of Redshift Serverless, to log in by IAM.")
    cluster: str | None = Field(None, description="To log in by IAM.")
    secret: str | None = Field(None, description="The name or ARN of a secret of AWS Secrets Manager.")
    staging: str | None = Field(None, description="Where what COPY reads is put; needed for loads.")
    iam_role: str = Field(description="By which COPY reads; default: the cluster's default role.")
    region: str | None = Field(None, description="Of the logs, if it is not the cluster's.")
    region_staging: str | None = Field(None, description="A place in that region, for manifests.")
    query_group: str = Field(description="For workload management.")
    copy_from: str = Field(description="Megabytes of a table's objects from which on the cluster reads them.")
    sslmode: str = Field(description="How the server's certificate is checked.")
    sslrootcert: str | None = Field(None, description="Who vouches for it; default: certifi's authorities.")


class BucketResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder or S3 bucket that raw files land in; credentials are AWS's own settings."""

    url: str
    max_unpacked_size: str = Field("20GB", description="What a compressed source file may unpack to.")
    max_unpacked_ratio: int = Field(
        1000, description="How many times its own size that may be, beyond 256 MiB."
    )
    retry_seconds: float = Field(180, description="Seconds for which requests to a busy bucket are retried.")

    @property
    def options(self) -> BucketOptions:
        """The same, as a bucket takes it."""
        limits = UnpackedLimits(bytes_of(self.max_unpacked_size), self.max_unpacked_ratio)
        return BucketOptions(limits, self.retry_seconds)

    def open(self, notify: Callable[[str], None] = _log.warning, retry_seconds: float = math.inf) -> Bucket:
        """The bucket, asked again for at most so long where it is busy. Raises BucketError when it is absent."""
        options = replace(self.options, retry_seconds=min(self.retry_seconds, retry_seconds))
        return open_bucket(self.url, options, notify)


def resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:  # type: ignore[type-arg]
    """The resources of these settings. Of a server's URL, the environment variable is named, and what is no secret shown."""
    bucket = BucketResource(
        url=settings.bucket,
        max_unpacked_size=settings.max_unpacked_size,
        max_unpacked_ratio=settings.max_unpacked_ratio,
        retry_seconds=settings.bucket_retry_seconds,
    )
    return {"warehouse": _warehouse(settings), "bucket": bucket}


def _warehouse(settings: Settings) -> WarehouseResource:
    engine, facts = connection_info(settings.warehouse)
    limits = ("memory_limit", "threads", "batch_files", "lock_timeout")
    values: dict[str, Any] = {**facts, **{name: getattr(settings, name) for name in limits}}
    servers = {item.engine: item for item in (PostgresResource, RedshiftResource)}
    if engine not in servers:
        return DuckDBResource(**values)
    return servers[engine](url=dg.EnvVar(_URL), statement_timeout=settings.statement_timeout, **values)


def _told(value: object) -> str:
    return "none" if value is None else str(value)
