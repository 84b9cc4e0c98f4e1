"""The commands by which a warehouse is looked after: `scx roles` and `scx maintain`.
What they do is in `warehouse` and `engine.upkeep`; the other commands are in `cli`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import AsJson, find_star, warehouse_of
from scx_pipeline.errors import PipelineError
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.maintenance.maintain import MaintenanceResult, RetentionPolicy

Engine = Literal["postgresql", "redshift", "duckdb"]


def roles(
    engine: Annotated[
        Engine | None,
        typer.Option(help="Whose statements to print; default: those of the warehouse's engine."),
    ] = None,
    loader: Annotated[str, typer.Option(help="The role that loads.")] = "scx_loader",
    analyst: Annotated[str, typer.Option(help="The role that only reads.")] = "scx_analyst",
    database: Annotated[str, typer.Option(help="The database that they are for.")] = "dev",
) -> None:
    """Print the statements that make two roles: one may load and no more, the other only read the stars' tables.

    An administrator runs them in the database, once, and again after a star was added. They have no passwords.
    """
    from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder
    from scx_pipeline.warehouse.open_warehouse import roles_sql
    from scx_pipeline.warehouse.roles import Roles

    stars = [load_star(stars_folder() / name).star for name in star_names()]
    schemas = tuple(sorted({star.schema_name for star in stars}))
    url = f"{engine}://" if engine else read_settings().warehouse
    print(roles_sql(url, Roles(schemas, loader, analyst, database)), end="")


def maintain(
    stars: Annotated[
        list[str] | None, typer.Argument(metavar="[STAR]...", help="Stars; default: all.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Vacuum, analyze or checkpoint the warehouse, say what else to do, and remove what is not kept. Waits for loads.

    Everything is kept unless SCX_KEEP_STAGING_MONTHS, SCX_KEEP_REJECTED_DAYS, SCX_KEEP_LOADS_DAYS or SCX_KEEP_RUNS_DAYS
    says otherwise (docs/maintain.md).
    """
    from scx_pipeline.declarations.star_folder import star_names

    settings, named = read_settings(), stars or star_names()
    outcomes = []
    for name in named:
        try:
            outcomes.append(_foreseen(name, settings) if dry_run else _maintained(name, settings, as_json))
        except PipelineError as error:
            rendering.error(f"{name}: {error}")
        else:
            if not as_json:
                _show(outcomes[-1], dry_run)
    runs = _runs(settings, dry_run) if settings.keep_runs_days else 0
    if as_json:
        found = {"dry_run": dry_run, "stars": [item.as_json() for item in outcomes], "runs": runs}
        print(json.dumps(found, indent=2, default=str))
    elif runs:
        rendering.out.print(f"Dagster: {runs:,} runs {'would be removed' if dry_run else 'removed'}")
    if len(outcomes) < len(named):
        raise typer.Exit(1)


def retention_policy(settings: Settings) -> RetentionPolicy:
    """What is kept, as the settings say."""
    from scx_pipeline.maintenance.maintain import RetentionPolicy

    return RetentionPolicy(
        settings.keep_staging_months, settings.keep_rejected_days, settings.keep_loads_days
    )


def _foreseen(name: str, settings: Settings) -> MaintenanceResult:
    from scx_pipeline.maintenance.maintain import preview_maintenance

    return preview_maintenance(find_star(name), warehouse_of(settings), retention_policy(settings))


def _maintained(name: str, settings: Settings, quiet: bool) -> MaintenanceResult:
    from scx_pipeline.maintenance.maintain import maintain as upkeep

    line = rendering.err.status(f"{name}: looking")
    with nullcontext() if quiet else line:
        return upkeep(find_star(name), warehouse_of(settings), retention_policy(settings), line.update)


def _runs(settings: Settings, dry_run: bool) -> int:
    """How many of Dagster's old runs are removed, or would be."""
    from scx_pipeline.orchestration.automation.maintenance import old_runs, remove_runs
    from scx_pipeline.orchestration.runs.instance import open_instance

    with open_instance(settings.dagster_home) as instance:
        found = old_runs(instance, settings.keep_runs_days)
        return len(found) if dry_run else remove_runs(instance, found)


def _show(upkept: MaintenanceResult, dry_run: bool) -> None:
    found = upkept.found
    if found is None:
        rendering.out.print(f"{upkept.star}: never loaded, nothing to do")
        return
    columns, rows = found.as_rows()
    shown = [
        (name, count, rendering.size(size) if isinstance(size, int) else None, *rest)
        for name, count, size, *rest in rows
    ]
    did = "would run" if dry_run else f"ran in {upkept.seconds:.1f} s"
    rendering.out.print(
        rendering.table(f"{upkept.star}: {len(upkept.statements)} statements {did}", columns, shown)
    )
    for name, value in found.facts.items():
        before = upkept.before.facts[name] if upkept.before else value
        rendering.out.print(
            f"{name}: {rendering.plain(before)}{'' if dry_run else f' → {rendering.plain(value)}'}"
        )
    for line in upkept.expired.told():
        rendering.out.print(f"{'not kept' if dry_run else 'removed'}: {line}")
    for line in found.all_advice:
        rendering.out.print(f"→ {line}", style="yellow", markup=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Give the commands to the app."""
    app.command(
        epilog="Example: scx roles --engine postgresql > roles.sql   Example: scx roles --loader IAMR:loader"
    )(roles)
    app.command(epilog="Example: scx maintain   Example: scx maintain scx --dry-run --json")(maintain)
