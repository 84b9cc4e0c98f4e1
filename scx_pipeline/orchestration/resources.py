"""The two resources that a run needs, configured apart from the assets: the warehouse and the bucket.
How an engine or a store works lives in `warehouse` and `engine.objects`."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from scx_pipeline.engine.objects import Bucket, open_bucket
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.base import Limits, Warehouse, open_warehouse


class WarehouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The database that stars are published in; a URL with a password comes from the environment."""

    url: str
    memory_limit: str = "400MB"
    threads: int = 0
    batch_files: int = 0
    lock_timeout: float = 300

    def open(
        self, notify: Callable[[str], None] = lambda message: None, lock_timeout: float | None = None
    ) -> Warehouse:
        """The warehouse; nothing is connected yet."""
        timeout = self.lock_timeout if lock_timeout is None else lock_timeout
        return open_warehouse(
            self.url, Limits(self.memory_limit, self.threads, self.batch_files, timeout), notify
        )


class BucketResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder or S3 bucket that raw files land in; credentials are AWS's own settings."""

    url: str

    def open(self) -> Bucket:
        """The bucket. Raises BucketError when it is absent."""
        return open_bucket(self.url)


def resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:  # type: ignore[type-arg]
    """The resources of these settings. What may hold a password is named, not shown, in the UI."""
    secret = bool(settings.warehouse_url.get_secret_value())
    return {
        "warehouse": WarehouseResource(
            url=dg.EnvVar("SCX_WAREHOUSE_URL") if secret else settings.warehouse,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            batch_files=settings.batch_files,
            lock_timeout=settings.lock_timeout,
        ),
        "bucket": BucketResource(url=settings.bucket),
    }
