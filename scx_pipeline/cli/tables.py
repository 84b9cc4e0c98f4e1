"""The commands about whose a table is: `scx adopt` and `scx drop`, and what `scx plan` says of it.
What is ours is decided in `engine.ownership`; the other commands are in `cli`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import AsJson, StarName, find_star, warehouse_of
from scx_pipeline.errors import PipelineError
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.loading.prepare import Readiness
    from scx_pipeline.ownership.table_ownership import Leftover

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it; without it, only show what would be done.")]


def adopt(
    star: StarName,
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Tables of the star.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All tables of the star that others made.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take over tables that the pipeline did not make, but that have the names of a star's tables.

    The next load rebuilds them from the bucket, with the declared columns: their rows are replaced. Without --yes, this
    shows which tables, columns and rows these are, and changes nothing.
    """
    from scx_pipeline.ownership import table_ownership

    if bool(tables) == all_:
        raise PipelineError("give either tables of the star or --all; without --yes, they are only shown")
    compiled, warehouse = find_star(star), warehouse_of(read_settings())
    adopted = table_ownership.adopt(compiled, warehouse, tables or [], yes)
    if as_json:
        print(json.dumps({"adopted": yes, "tables": [item.as_json() for item in adopted]}, indent=2))
        return
    columns = ["table", "kind", "owner", "rows", "columns"]
    rows = [(item.table, item.kind, item.owner, item.rows, ", ".join(item.columns)) for item in adopted]
    what = "adopted" if yes else "would be adopted"
    rendering.out.print(rendering.table(f"{star}: {_tables(len(rows))} {what}", columns, rows))
    if rows:
        told = f"the next load of {star} rebuilds them from the bucket and replaces their rows"
        rendering.out.print(
            told if yes else f"{told}; to adopt them, run this again with --yes", markup=False
        )
    elif all_:
        rendering.out.print(
            f"none of the tables of {star} was made by others: nothing to adopt", markup=False
        )
    for why in table_ownership.not_adopted(compiled, warehouse, tables or [], adopted):
        rendering.out.print(why, markup=False, soft_wrap=True)


def drop(
    star: Annotated[
        str | None, typer.Argument(metavar="[STAR]", help="A star, also one that was removed; default: all.")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Drop tables that the pipeline made and that no star declares any more: renamed, removed, or in an earlier schema.

    Of a star that was removed, the load history is removed as well. Without --yes, this only shows what would be dropped. A
    table that others have changed since is left alone; only its record is removed.
    """
    from scx_pipeline.declarations.star_folder import star_names
    from scx_pipeline.ownership.table_ownership import drop_leftovers

    settings, declared = read_settings(), star_names()
    found = [item for item in _leftovers(settings) if star in (None, item.star)]
    if star is not None and not found and star not in declared:
        find_star(star)  # raises
    if yes:
        warehouse, stars = warehouse_of(settings), dict.fromkeys(item.star for item in found)
        found = [
            item
            for name in stars
            for item in drop_leftovers(warehouse, name, find_star(name) if name in declared else None)
        ]
    if as_json:
        print(json.dumps({"dropped": yes, "tables": [item.as_json() for item in found]}, indent=2))
        return
    rows = [(item.star, item.name, item.state) for item in found]
    count = sum(item.exists and not item.changed for item in found)
    title = f"{_tables(count)} {'dropped' if yes else 'would be dropped'}"
    rendering.out.print(rendering.table(title, ["star", "table", ""], rows))
    removed = [name for name in dict.fromkeys(item.star for item in found) if name not in declared]
    told = _told_of_drop(count, len(found) - count, removed, yes)
    if told:
        rendering.out.print(told, markup=False, soft_wrap=True)


def _told_of_drop(dropped: int, left: int, removed: Sequence[str], yes: bool) -> str:
    """What is to be known beside the tables: how to drop them, and what else goes, of those left alone and of removed stars."""
    record = ["the record of the other tables" if dropped else "their record"] if left else []
    stars = f"the removed star{'s' if len(removed) > 1 else ''} {', '.join(removed)}"
    also = " and ".join([*record, *([f"the load history of {stars}"] if removed else [])])
    if yes:
        return f"removed{' as well' if dropped else ''}: {also}" if also else ""
    if dropped:
        how = f"to drop {'it' if dropped == 1 else 'them'}, run this again with --yes"
        return f"{how}; this also removes {also}" if also else how
    verb = "are" if left and removed else "is"
    return f"none of them is dropped; with --yes, only {also} {verb} removed" if also else ""


def _tables(count: int) -> str:
    return "1 table" if count == 1 else f"{count} tables"


def _leftovers(settings: Settings) -> list[Leftover]:
    """Those of all stars, declared or removed."""
    from scx_pipeline.declarations.star_folder import star_names
    from scx_pipeline.ownership.table_ownership import find_leftovers

    with warehouse_of(settings).reader() as session:
        if session is None:
            return []
        names = star_names()
        found = [item for name in names for item in find_leftovers(session, find_star(name))]
        return found + find_leftovers(session, None, names)


def removed_stars(settings: Settings) -> list[Leftover]:
    """The tables of stars that are not declared any more."""
    from scx_pipeline.declarations.star_folder import star_names
    from scx_pipeline.ownership.table_ownership import find_leftovers

    with warehouse_of(settings).reader() as session:
        return find_leftovers(session, None, star_names()) if session else []


def as_json(readiness: Readiness) -> dict[str, Any]:
    """What keeps a load from starting, and what is left over, for a script."""
    return {
        "blocked": [item.message() for item in readiness.foreign],
        "leftovers": [item.name for item in readiness.leftovers],
    }


def show_readiness(readiness: Readiness) -> None:
    """Say what keeps a load from starting, and what is left over."""
    for item in readiness.foreign:
        rendering.out.print(f"no load can start: {item.message()}", style="red", markup=False, soft_wrap=True)
    show_leftovers(readiness.leftovers)


def show_leftovers(leftovers: Sequence[Leftover]) -> None:
    """Name tables that are not declared any more."""
    for item in leftovers:
        told = f"no longer declared: {item.name} of {item.star} ({item.state}); see `scx drop {item.star}`"
        rendering.out.print(told, style="yellow", markup=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Give the commands to the app."""
    app.command(epilog="Example: scx adopt scx users   Example: scx adopt scx --all --yes")(adopt)
    app.command(epilog="Example: scx drop   Example: scx drop scx --yes --json")(drop)
