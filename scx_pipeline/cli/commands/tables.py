"""`scx adopt`, `scx drop` and `scx reset`: tables of others, tables that no star declares any more, and starting a star again.

Which tables these are is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_warehouse, load_star_named
from scx_pipeline.cli.options import AsJson, StarName
from scx_pipeline.errors import PipelineError
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.loading.schema_drift import SchemaDrift
    from scx_pipeline.ownership.leftovers import Leftover
    from scx_pipeline.ownership.resets import Reset

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply the changes; without it, they are only shown.")]

app = typer.Typer()


@app.command(epilog="Example: scx adopt scx users   Example: scx adopt scx --all --yes")
def adopt(
    star: StarName,
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Tables of the star.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All tables with the star's names that others created.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take over tables that the pipeline did not create, but that have the names of a star's tables.

    The next load rebuilds them from the bucket, with the declared columns: their rows are replaced. Without --yes, this
    shows the tables with their columns and rows, and changes nothing.
    """
    from scx_pipeline.ownership import adoption

    if bool(tables) == all_:
        raise PipelineError("name tables of the star, or use --all; without --yes, they are only shown")
    compiled, warehouse = load_star_named(star), configured_warehouse(read_settings())
    adopted = adoption.adopt(compiled, warehouse, tables or [], yes)
    if as_json:
        rendering.print_json({"adopted": yes, "tables": [item.as_json() for item in adopted]})
        return
    columns = ["table", "kind", "owner", "rows", "columns"]
    rows = [(item.table, item.kind, item.owner, item.rows, ", ".join(item.columns)) for item in adopted]
    state = "adopted" if yes else "would be adopted"
    rendering.print_table(f"{star}: {_count_tables(len(rows))} {state}", columns, rows)
    if rows:
        note = f"the next load of {star} rebuilds them from the bucket and replaces their rows"
        how = "" if yes else "; to adopt them, run this again with --yes"
        rendering.out.print(note + how, markup=False)
    elif all_:
        note = f"none of the tables of {star} was created by others: nothing to adopt"
        rendering.out.print(note, markup=False)
    for reason in adoption.explain_not_adopted(compiled, warehouse, tables or [], adopted):
        rendering.print_line(reason)


@app.command(epilog="Example: scx drop   Example: scx drop scx --yes --json")
def drop(
    star: Annotated[
        str | None,
        typer.Argument(metavar="[STAR]", help="A star, or the name of a removed star; default: all."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Drop tables that the pipeline created and that no star declares any more: renamed, removed, or in an earlier schema.

    For a removed star, the load history is removed as well. Without --yes, this only shows what would be dropped. A table
    that others have changed since is not dropped; only its record is removed.
    """
    from scx_pipeline.declarations.declared_stars import star_names
    from scx_pipeline.ownership.leftovers import drop_leftovers

    settings, declared = read_settings(), star_names()
    found = [item for item in find_all_leftovers(settings) if star in (None, item.star)]
    if star is not None and not found and star not in declared:
        load_star_named(star)  # raises
    if yes:
        warehouse = configured_warehouse(settings)
        found = [
            item
            for name in dict.fromkeys(item.star for item in found)
            for item in drop_leftovers(warehouse, name, load_star_named(name) if name in declared else None)
        ]
    if as_json:
        rendering.print_json({"dropped": yes, "tables": [item.as_json() for item in found]})
        return
    rows = [(item.star, item.name, item.state) for item in found]
    count = sum(item.exists and not item.changed for item in found)
    title = f"{_count_tables(count)} {'dropped' if yes else 'would be dropped'}"
    rendering.print_table(title, ["star", "table", ""], rows)
    removed_stars = [name for name in dict.fromkeys(item.star for item in found) if name not in declared]
    note = _describe_drop(count, len(found) - count, removed_stars, yes)
    if note:
        rendering.print_line(note)


@app.command(epilog="Example: scx reset scx   Example: scx reset scx users --yes")
def reset(
    star: StarName,
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", help="Tables of the star; default: all, and the load history."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a star's tables and load history, so that it is loaded again from nothing. Shows what goes, and asks.

    All months that have objects are due again. With tables, only these are removed; the next load then rebuilds all monthly
    tables of the star, or all unpartitioned ones, since their rows must be of the same objects. It must cover every loaded month.

    Tables that others created or changed are left alone, as is the lake. Runs, materializations and check results in Dagster stay:
    they say what was loaded then. With --json and without --yes, this only shows what would be removed.
    """
    from scx_pipeline.ownership import resets

    compiled, warehouse, names = load_star_named(star), configured_warehouse(read_settings()), tables or []
    with warehouse.open_read_only() as session:
        found = resets.find_reset(session, compiled, names) if session else None
    if not as_json:
        _show_reset(star, found)
    if found and not found.is_empty:
        if not (yes or as_json):
            typer.confirm("Remove all of this?", abort=True)
        if yes or not as_json:
            found = resets.reset(warehouse, compiled, names)
            if not as_json:
                rendering.print_line(f"removed; `scx load {star}` loads it again")
    if as_json:
        rendering.print_json(
            {
                "removed": yes and found is not None and not found.is_empty,
                **(found.as_json() if found else {"tables": []}),
            }
        )


def _show_reset(star: str, found: Reset | None) -> None:
    """Print what a reset removes."""
    if found is None or found.is_empty:
        rendering.print_line(f"{star}: nothing was loaded or created: nothing to remove")
    else:
        rows = [(item.name, item.rows) for item in found.tables]
        rendering.print_table(f"{star}: {_count_tables(len(rows))} to remove", ["table", "rows"], rows)
        if found.records:
            listed = ", ".join(f"{count:,} of {name}" for name, count in found.records.items())
            rendering.print_line(f"and of the load history: {listed}")
    for name in found.kept if found else ():
        rendering.print_line(f"left alone: {name} was created or changed by others", "yellow")


def _describe_drop(dropped: int, kept: int, removed_stars: Sequence[str], yes: bool) -> str:
    """Describe how to drop the tables, and which records are removed with them."""
    record = ["the record of the other tables" if dropped else "their record"] if kept else []
    stars = f"the removed star{'s' if len(removed_stars) > 1 else ''} {', '.join(removed_stars)}"
    also = " and ".join([*record, *([f"the load history of {stars}"] if removed_stars else [])])
    if yes:
        return f"removed{' as well' if dropped else ''}: {also}" if also else ""
    if dropped:
        how = f"to drop {'it' if dropped == 1 else 'them'}, run this again with --yes"
        return f"{how}; this also removes {also}" if also else how
    verb = "are" if kept and removed_stars else "is"
    return f"none of them is dropped; with --yes, only {also} {verb} removed" if also else ""


def _count_tables(count: int) -> str:
    return "1 table" if count == 1 else f"{count} tables"


def find_all_leftovers(settings: Settings, *, declared: bool = True) -> list[Leftover]:
    """Return the leftovers of removed stars and, unless `declared` is false, of all declared stars."""
    from scx_pipeline.declarations.declared_stars import star_names
    from scx_pipeline.ownership.leftovers import find_leftovers

    with configured_warehouse(settings).open_if_loaded() as session:
        if session is None:
            return []
        names = star_names()
        stars = [load_star_named(name) for name in names] if declared else []
        found = [item for star in stars for item in find_leftovers(session, star)]
        return found + find_leftovers(session, None, names)


def readiness_json(readiness: SchemaDrift) -> dict[str, Any]:
    """Return what blocks a load, and the leftover tables, for JSON."""
    return {
        "blocked": [item.message() for item in readiness.foreign],
        "leftovers": [item.name for item in readiness.leftovers],
    }


def show_readiness(readiness: SchemaDrift) -> None:
    """Print what blocks a load, and the leftover tables."""
    for item in readiness.foreign:
        rendering.print_line(f"no load can start: {item.message()}", "red")
    show_leftovers(readiness.leftovers)


def show_leftovers(leftovers: Sequence[Leftover]) -> None:
    """Print the tables that are no longer declared."""
    for item in leftovers:
        note = f"no longer declared: {item.name} of {item.star} ({item.state}); see `scx drop {item.star}`"
        rendering.print_line(note, "yellow")
