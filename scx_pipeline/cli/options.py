"""What several commands of `scx` have in common: the star and the months that are named, and the warehouse of the settings.
The commands themselves are in `cli` and the modules beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import Month, MonthRange

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.settings import Settings
    from scx_pipeline.storage.bucket import Bucket
    from scx_pipeline.warehouse.capabilities import Limits
    from scx_pipeline.warehouse.warehouse import Warehouse

StarName = Annotated[str, typer.Argument(metavar="STAR", help="The star's name, for example scx.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script instead of a table.")]
MonthOption = Annotated[str | None, typer.Option(metavar="YYYY-MM", help="One month.")]
FirstMonth = Annotated[
    str | None, typer.Option("--from", metavar="YYYY-MM", help="The first month of a span.")
]
LastMonth = Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="The last month of a span.")]


def find_star(name: str) -> CompiledStar:
    """The star of that name. Raises PipelineError where there is none, or a file of it is wrong."""
    import difflib

    from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder

    known = star_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise PipelineError(
            f"there is no star {name!r}; "
            + (f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}")
        )
    return load_star(stars_folder() / name)


def warehouse_of(settings: Settings) -> Warehouse:
    """The warehouse of the settings; what it waits for is told on standard error."""
    from scx_pipeline.warehouse.open_warehouse import open_warehouse

    return open_warehouse(
        settings.warehouse,
        limits_of(settings),
        lambda message: rendering.err.print(message, style="dim", markup=False),
    )


def bucket_of(settings: Settings) -> Bucket:
    """Open the bucket of the settings, and report waits for it on standard error. Raises BucketError."""
    from scx_pipeline.storage.bucket import BucketOptions, open_bucket
    from scx_pipeline.storage.compression import UnpackedLimits, bytes_of

    limits = UnpackedLimits(bytes_of(settings.max_unpacked_size), settings.max_unpacked_ratio)
    return open_bucket(
        settings.bucket,
        BucketOptions(limits, settings.bucket_retry_seconds),
        lambda message: rendering.err.print(message, style="dim", markup=False),
    )


def limits_of(settings: Settings) -> Limits:
    """What a run may take, as the settings say."""
    from scx_pipeline.warehouse.capabilities import Limits

    return Limits(
        settings.memory_limit,
        settings.threads,
        settings.batch_files,
        settings.lock_timeout,
        settings.statement_timeout,
    )


def months_named(month: str | None, first: str | None, last: str | None) -> tuple[str, str] | None:
    """The first and last month that the options name; None where they name none. Raises PipelineError for half a span."""
    if bool(first) != bool(last):
        raise PipelineError("--from and --to go together: --from 2021-01 --to 2021-12")
    if month or (first and last):
        return month or first or "", month or last or ""
    return None


def range_option(compiled: CompiledStar, first: str, last: str) -> MonthRange:
    """The months from the first to the last. Raises PipelineError for what are none, or none of the star."""
    from scx_pipeline.loading.loader import check_range

    try:
        scope = MonthRange(Month.parse(first), Month.parse(last))
    except ValueError as error:
        raise PipelineError(str(error)) from None
    check_range(compiled.star, scope)
    return scope
