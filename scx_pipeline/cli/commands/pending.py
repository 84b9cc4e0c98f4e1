"""`scx plan`: which months a load is due for, and why, for one star or for all.

Nothing is changed.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.commands.tables import (
    find_all_leftovers,
    readiness_json,
    show_leftovers,
    show_readiness,
)
from scx_pipeline.cli.configured import configured_bucket, configured_warehouse, load_star_named
from scx_pipeline.cli.options import AsJson
from scx_pipeline.cli.row_sources import describe_prefixes, describe_unmatched, find_load_plan, is_empty
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import UNPARTITIONED, MonthRange, contiguous_ranges
from scx_pipeline.model.count_text import count_of
from scx_pipeline.settings import Settings, read_settings, redact

if TYPE_CHECKING:
    from scx_pipeline.loading.changes import PendingChanges
    from scx_pipeline.planning.selection import SelectedObject

MAX_IGNORED = 5  # ignored objects that are listed

app = typer.Typer()


@app.command(epilog="Example: scx plan scx --json   Example: scx plan")
def plan(
    star: Annotated[
        str | None, typer.Argument(metavar="[STAR]", help="The star's name; default: all stars.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which months a load is due for, why, and their objects; nothing is changed.

    Of a month to which objects were only added, a load reads these only.

    Due months that are held keep their previous rows: the last load of the same objects could not publish them, for the
    reason that is shown.

    Also lists tables that block a load because the pipeline did not create them, and tables that are no longer declared:
    those of the star or, without a star, those of all stars, including removed ones.
    """
    settings = read_settings()
    if star is None:
        _plan_all(settings, as_json)
        return
    planned = find_load_plan(load_star_named(star), settings)
    held = _held_months(planned)
    ignored = [key for _, key in planned.selection.ignored]
    if as_json:
        names = ("month", "reason", "objects", "bytes")
        rows = [(str(month), *values) for months, *values in _due_rows(planned) for month in months]
        due = [{**dict(zip(names, row, strict=True)), "held": held.get(str(row[0]))} for row in rows]
        rendering.print_json({"due": due, "ignored": ignored, **readiness_json(planned.schema_drift)})
        return
    shown = [
        (scope, reason, count, rendering.format_bytes(size))
        for months, reason, count, size in _due_rows(planned)
        for scope in (months if UNPARTITIONED in months else contiguous_ranges(months))
    ]
    columns = ["month", "reason", "objects", "size"]
    rendering.print_table(f"{star}: {count_of(len(planned.changed), 'month')} due", columns, shown)
    rendering.show_held(star, held)
    for key in ignored[:MAX_IGNORED]:
        rendering.print_line(
            f"ignored: {key} (matches no pattern of its source, or is a sidecar file)", "dim"
        )
    if len(ignored) > MAX_IGNORED:
        rendering.out.print(f"and {len(ignored) - MAX_IGNORED:,} more: --json prints all", style="dim")
    show_readiness(planned.schema_drift)
    total = f"{count_of(len(planned.selection.objects), 'object')} in total, {count_of(len(planned.loaded), 'month')} loaded"
    rendering.out.print(total, style="dim")


def _due_rows(planned: PendingChanges) -> list[tuple[list[Any], str, int, int]]:
    """Return what is due: months that have the same objects, the reason, and the objects' number and bytes."""
    due: list[tuple[list[Any], str, list[SelectedObject]]] = []
    if planned.unpartitioned:
        due.append(([UNPARTITIONED], planned.unpartitioned, planned.selection.unpartitioned_objects))
    fingerprint = planned.selection.fingerprint
    for (reason, _), found in groupby(planned.changed, lambda item: (item.reason, fingerprint(item.month))):
        months = [item.month for item in found]
        due.append((months, reason, planned.selection.objects_of(MonthRange(months[0], months[0]))))
    return [
        (months, reason, len(objects), sum(item.info.size for item in objects))
        for months, reason, objects in due
    ]


def _held_months(planned: PendingChanges) -> dict[str, str]:
    """Return the due months that the last load of the same objects could not publish, each with the reason."""
    return {str(item.month): item.held for item in planned.changed if item.held}


def _plan_all(settings: Settings, as_json: bool) -> None:
    """Show what is due for each star, and the tables of removed stars. Raises an error if anything cannot be determined."""
    from scx_pipeline.declarations.declared_stars import star_names

    found: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}  # message → stars, as most failures affect all of them
    for name in star_names():
        try:
            found[name] = _plan_one(name, settings, as_json)
        except PipelineError as error:
            found[name] = {"error": str(error)}
            errors.setdefault(str(error), []).append(name)
    removed = None
    try:
        removed = find_all_leftovers(settings, declared=False)
    except PipelineError as error:
        errors.setdefault(str(error), [])
    if as_json:
        leftovers = None if removed is None else [item.as_json() for item in removed]
        rendering.print_json({"stars": found, "leftovers_of_removed_stars": leftovers})
    else:
        show_leftovers(removed or [])
    for message, names in errors.items():
        rendering.print_error(f"{', '.join(names)}: {message}" if names else message)
    if errors:
        raise typer.Exit(1)
    if found and all("note" in item for item in found.values()):
        raise PipelineError(
            f"the bucket {redact(settings.bucket)} has no objects of any star: set SCX_BUCKET_URL, or upload some"
        )


def _plan_one(name: str, settings: Settings, as_json: bool) -> dict[str, Any]:
    """Show what is due for one star, unless it is for a script, and return the same for JSON."""
    from scx_pipeline.loading.changes import find_pending_changes

    compiled = load_star_named(name)
    planned = find_pending_changes(compiled, configured_bucket(settings), configured_warehouse(settings))
    note = ""
    if is_empty(planned):
        unmatched = describe_unmatched(compiled, planned.selection)
        note = "; ".join(unmatched) or f"the bucket has no objects under {describe_prefixes(compiled)}"
    if not as_json:
        suffix = f", and {UNPARTITIONED}" if planned.unpartitioned else note and f"; {note}"
        rendering.print_line(f"{name}: {count_of(len(planned.changed), 'month')} due{suffix}")
        rendering.show_held(name, _held_months(planned))
        show_readiness(planned.schema_drift)
    return {
        "due": [str(item.month) for item in planned.changed],
        "held": _held_months(planned),
        "unpartitioned": planned.unpartitioned,
        **({"note": note} if note else {}),
        **readiness_json(planned.schema_drift),
    }
