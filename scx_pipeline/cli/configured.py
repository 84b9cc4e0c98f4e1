"""What the settings and arguments of a command name: the star, the bucket, the warehouse and its limits.

Waits for a bucket or a warehouse are reported on standard error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scx_pipeline.cli import rendering
from scx_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.settings import Settings
    from scx_pipeline.storage.bucket import Bucket
    from scx_pipeline.warehouse.capabilities import Limits
    from scx_pipeline.warehouse.warehouse import Warehouse


def load_star_named(name: str) -> CompiledStar:
    """Load the star of a name, and suggest another name if there is none.

    Raises:
        PipelineError: if there is no such star, or one of its files is invalid.
    """
    import difflib

    from scx_pipeline.declarations.declared_stars import declared_stars
    from scx_pipeline.declarations.star_folder import load_star

    known = declared_stars()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise PipelineError(
            f"there is no star {name!r}; "
            + (
                f"did you mean {near[0]}?"
                if near
                else f"the stars are: {', '.join(known)}; SCX_STARS names other folders"
            )
        )
    return load_star(known[name])


def configured_warehouse(settings: Settings) -> Warehouse:
    """Open the warehouse of the settings."""
    from scx_pipeline.warehouse.open_warehouse import open_warehouse

    return open_warehouse(settings.warehouse, configured_limits(settings), rendering.print_wait)


def configured_bucket(settings: Settings) -> Bucket:
    """Open the bucket of the settings. Raises BucketError."""
    from scx_pipeline.storage.bucket import BucketOptions, open_bucket
    from scx_pipeline.storage.compression import UnpackedLimits, parse_size

    limits = UnpackedLimits(parse_size(settings.max_unpacked_size), settings.max_unpacked_ratio)
    options = BucketOptions(limits, settings.bucket_retry_seconds)
    return open_bucket(settings.bucket, options, rendering.print_wait)


def configured_limits(settings: Settings) -> Limits:
    """Return the memory, threads and timeouts that the settings allow a run."""
    from scx_pipeline.warehouse.capabilities import Limits

    return Limits(
        settings.memory_limit,
        settings.threads,
        settings.batch_files,
        settings.lock_timeout,
        settings.statement_timeout,
    )


def with_lake_url(settings: Settings, url: str | None) -> Settings:
    """Return the settings with a URL of the lake: the given one, the configured one, or the default."""
    return settings.model_copy(update={"lake_url": url or settings.lake})
