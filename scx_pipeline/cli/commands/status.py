"""`scx status`: what is loaded of one star or of all, what is due, the last load, and the last failed run.

Nothing is changed in the warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_bucket, configured_warehouse, load_star_named
from scx_pipeline.cli.options import AsJson
from scx_pipeline.cli.runs import fail_orphaned_runs
from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline.model.calendar import UNPARTITIONED, Month, contiguous_ranges
from scx_pipeline.model.count_text import count_of
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.orchestration.runs.failed_runs import FailedRun
    from scx_pipeline.reporting.overview import LastLoad, StarOverview
    from scx_pipeline.reporting.status import StarStatus
    from scx_pipeline.storage.bucket import Bucket

MAX_RANGES = 3  # of months that are listed in a cell
LISTING_RETRY_SECONDS = 5.0  # of a bucket that does not answer: only one column needs it
# The work of runs, in words.
_WORK = {
    "lake_load": "lake build",
    "lake_refresh": "lake refresh",
    "assets": "run of assets",
    "checks": "run of checks",
}

app = typer.Typer()


@dataclass(frozen=True)
class FailedRuns:
    """The last failed run of each star that has not succeeded since, or why they cannot be read."""

    runs: Mapping[str, FailedRun] = field(default_factory=dict)
    error: str = ""

    def as_json(self, star: str) -> dict[str, Any] | None:
        return vars(self.runs[star]) if star in self.runs else None


@app.command(epilog="Example: scx status   Example: scx status scx --json")
def status(
    star: Annotated[
        str | None, typer.Argument(metavar="[STAR]", help="The star's name; default: all stars.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is loaded, what is due, the last load, held months, and the last failed run if nothing has succeeded since.

    Of a star: its months with the rows of each table, and the results of the last load's checks. Without a star: a line for
    each star, with the months between the first and the last that are not loaded (gaps), and the rows of its facts (of its
    staging tables, if it has no facts).
    """
    settings = read_settings()
    fail_orphaned_runs(settings)
    if star is None:
        _show_all(settings, as_json)
    else:
        _show_star(settings, load_star_named(star), as_json)


def _show_star(settings: Settings, compiled: CompiledStar, as_json: bool) -> None:
    from scx_pipeline.history.held_records import read_held_months
    from scx_pipeline.reporting.overview import read_last_load
    from scx_pipeline.reporting.status import read_status

    star = compiled.star.name
    try:
        with configured_warehouse(settings).open_loaded() as session:
            found, last = read_status(session, compiled), read_last_load(session, star)
            has_held_months = bool(read_held_months(session, star))
    except WarehouseError:
        _show_failed_runs(_read_failed_runs(settings, [compiled], {}), {})
        raise
    held = _find_held(settings, compiled) if has_held_months else {}
    failed = _read_failed_runs(settings, [compiled], {star: last.finished_at} if last else {})
    if as_json:
        shown = {
            "held": {str(month): reason for month, reason in held.items()},
            "last_load": vars(last) if last else None,
            "failed_run": failed.as_json(star),
        }
        rendering.print_json({**found.as_json(), **shown})
        return
    if found.months:
        _show_months(compiled, found, last)
    else:
        rendering.print_line(f"{star}: nothing is loaded yet; `scx load {star}` loads it")
    rendering.show_held(star, held)
    _show_failed_runs(failed, {star: held})


def _find_held(settings: Settings, compiled: CompiledStar) -> Mapping[Month, str]:
    """Return the months that are still held, since their objects have not changed, each with the reason."""
    from scx_pipeline.reporting.overview import read_overviews

    [found] = read_overviews([compiled], _open_bucket(settings), configured_warehouse(settings))
    return found.held


def _show_months(compiled: CompiledStar, found: StarStatus, last: LastLoad | None) -> None:
    columns = ["month", *(item.name for item in compiled.star.tables), "loaded (UTC)", ""]
    count = len([month for month in found.months if month != UNPARTITIONED.value])
    rendering.print_table(f"{compiled.star.name}: {count_of(count, 'month')}", columns, found.rows_by_month())
    failed = [check for check in found.checks if not check[2]]
    if last:
        rendering.print_line(
            f"last load: {_format_load(last)}; {count_of(last.rows_loaded, 'row')} loaded, {last.rows_rejected:,} rejected; "
            f"{count_of(len(found.checks), 'check')} of what was published, {len(failed)} not passed"
        )
    for name, check, _, message in failed:
        rendering.print_line(f"  {check} on {name}: {message}", "yellow")


def _show_all(settings: Settings, as_json: bool) -> None:
    """Show all stars. Raises an error at the end if a star's declaration is invalid."""
    from scx_pipeline.declarations.declared_stars import star_names
    from scx_pipeline.reporting.overview import read_overviews

    stars, errors = [], {}
    for name in star_names():
        try:
            stars.append(load_star_named(name))
        except PipelineError as error:
            errors[name] = str(error)
    found = read_overviews(stars, _open_bucket(settings), configured_warehouse(settings))
    loaded_at = {item.star: item.last_load.finished_at for item in found if item.last_load}
    failed = _read_failed_runs(settings, stars, loaded_at)
    if as_json:
        shown = {item.star: {**item.as_json(), "failed_run": failed.as_json(item.star)} for item in found}
        invalid = {name: {"error": message} for name, message in errors.items()}
        rendering.print_json({"stars": {**shown, **invalid}, "failed_runs_error": failed.error or None})
    else:
        columns = ["star", "months", "gaps", "due", "rows", "last load (UTC)", "loaded", "rejected"]
        rendering.print_table(count_of(len(found), "star"), columns, map(_overview_row, found))
        for message in dict.fromkeys(item.due_error for item in found if item.due_error):
            rendering.print_line(message, "yellow")
        for item in found:
            rendering.show_held(item.star, item.held)
        _show_failed_runs(failed, {item.star: item.held for item in found})
    for name, message in errors.items():
        rendering.print_error(f"{name}: {message}")
    if errors:
        raise typer.Exit(1)


def _open_bucket(settings: Settings) -> Bucket | PipelineError:
    """Return the bucket, or why it cannot be opened."""
    seconds = min(settings.bucket_retry_seconds, LISTING_RETRY_SECONDS)
    try:
        return configured_bucket(settings.model_copy(update={"bucket_retry_seconds": seconds}))
    except PipelineError as error:
        return error


def _read_failed_runs(
    settings: Settings, stars: Sequence[CompiledStar], loaded_at: Mapping[str, datetime]
) -> FailedRuns:
    """Read the failed runs; Dagster is imported only if it has an instance."""
    home = settings.dagster_home
    if not (home / "dagster.yaml").is_file():
        return FailedRuns()

    from scx_pipeline.orchestration.runs.failed_runs import find_failed_runs
    from scx_pipeline.orchestration.runs.instance import open_instance

    try:
        with open_instance(home) as instance:
            return FailedRuns(find_failed_runs(instance, stars, loaded_at))
    except (
        Exception
    ) as error:  # Dagster and its storage raise errors of many classes; what is loaded is still shown
        return FailedRuns(
            error=f"failed runs cannot be read from DAGSTER_HOME {home}: {type(error).__name__}"
        )


def _show_failed_runs(failed: FailedRuns, held: Mapping[str, Mapping[Month, str]]) -> None:
    """Print the failed runs, without the reason of held months, which are printed before, by star."""
    for star, run in failed.runs.items():
        what = run.work.replace("_", " ") + (f" of {_format_months(run.months)}" if run.months else "")
        is_printed = any(reason in run.message for reason in held.get(star, {}).values())
        why = ", because months are held" if is_printed else f": {run.message}"
        rendering.print_line(f"{star}: {what} failed on {run.ended_at:%Y-%m-%d %H:%M} UTC{why}", "red")
    if failed.error:
        rendering.print_line(failed.error, "yellow")


def _overview_row(item: StarOverview) -> tuple[object, ...]:
    """Return the star's cells of the table."""
    months, last = item.months, item.last_load
    return (
        item.star,
        f"{months[0]}…{months[-1]} ({len(months)})" if months else "none",
        (_format_months(item.gaps) or "none") if months else "",
        _format_due(item),
        sum(item.rows.values()),
        _format_load(last) if last else "",
        last.rows_loaded if last else None,
        last.rows_rejected if last else None,
    )


def _format_due(item: StarOverview) -> str:
    if item.due is None:
        return "bucket not listed"
    if not item.due.selection.objects and not item.months:
        return "no objects"
    months = [change.month for change in item.due.changed]
    units = [str(UNPARTITIONED)] if item.due.unpartitioned else []
    return "; ".join([*units, *([f"{len(months)}: {_format_months(months)}"] if months else [])]) or "none"


def _format_months(months: Sequence[Month]) -> str:
    """Format the first months, as ranges, and the number of the others."""
    ranges = contiguous_ranges(list(months))
    more = len(months) - sum(len(item.months) for item in ranges[:MAX_RANGES])
    return ", ".join(map(str, ranges[:MAX_RANGES])) + (f" and {more} more" if more else "")


def _format_load(last: LastLoad) -> str:
    return f"{last.finished_at:%Y-%m-%d %H:%M}, {last.seconds:,.1f} s"
