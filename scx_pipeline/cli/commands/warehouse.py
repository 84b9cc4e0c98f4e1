"""`scx roles` and `scx maintain`: the privileges of a warehouse's roles, and its maintenance and retention.

What statements are run, and what a health report contains, is not decided here.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_warehouse, load_star_named
from scx_pipeline.cli.options import AsJson
from scx_pipeline.errors import PipelineError
from scx_pipeline.settings import Settings, read_settings
from scx_pipeline.warehouse.capabilities import Engine

if TYPE_CHECKING:
    from scx_pipeline.maintenance.maintain import MaintenanceResult

app = typer.Typer()


@app.command(
    epilog="Example: scx roles --engine postgresql > roles.sql   Example: scx roles --loader IAMR:loader"
)
def roles(
    engine: Annotated[
        Engine | None,
        typer.Option(help="The engine to print statements for; default: the warehouse's engine."),
    ] = None,
    loader: Annotated[str, typer.Option(help="The role that loads.")] = "scx_loader",
    analyst: Annotated[str, typer.Option(help="The role that only reads.")] = "scx_analyst",
    database: Annotated[str, typer.Option(help="The database that the roles are for.")] = "dev",
) -> None:
    """Print the statements that create two roles: one may only load, the other may only read the stars' tables.

    An administrator runs them in the database, once, and again after a star is added. The roles have no passwords.
    """
    from scx_pipeline.declarations.declared_stars import load_declared_stars
    from scx_pipeline.warehouse.open_warehouse import engine_of, roles_sql
    from scx_pipeline.warehouse.roles import Roles

    schemas = tuple(sorted({compiled.star.schema_name for compiled in load_declared_stars()}))
    print(
        roles_sql(engine or engine_of(read_settings().warehouse), Roles(schemas, loader, analyst, database)),
        end="",
    )


@app.command(epilog="Example: scx maintain   Example: scx maintain scx --dry-run --json")
def maintain(
    stars: Annotated[
        list[str] | None, typer.Argument(metavar="[STAR]...", help="Stars; default: all.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Vacuum, analyze or checkpoint the warehouse, advise what else to do, and remove expired rows. Waits for loads.

    Everything is kept unless SCX_KEEP_STAGING_MONTHS, SCX_KEEP_REJECTED_DAYS, SCX_KEEP_LOADS_DAYS or SCX_KEEP_RUNS_DAYS
    is set (docs/maintain.md). If maintenance fails for one star, the others still run; the exit code is 1.
    """
    from scx_pipeline.declarations.declared_stars import star_names

    settings, names = read_settings(), stars or star_names()
    results = []
    for name in names:
        try:
            results.append(_maintain_star(name, settings, dry_run=dry_run, quiet=as_json))
        except PipelineError as error:
            rendering.print_error(f"{name}: {error}")
        else:
            if not as_json:
                _show_result(results[-1], dry_run)
    runs = _remove_old_runs(settings, dry_run) if settings.keep_runs_days else 0
    if as_json:
        report = {"dry_run": dry_run, "stars": [item.as_json() for item in results], "runs": runs}
        rendering.print_json(report)
    elif runs:
        rendering.out.print(f"Dagster: {runs:,} runs {'would be removed' if dry_run else 'removed'}")
    if len(results) < len(names):
        raise typer.Exit(1)


def _maintain_star(name: str, settings: Settings, *, dry_run: bool, quiet: bool) -> MaintenanceResult:
    from scx_pipeline.maintenance import maintain
    from scx_pipeline.maintenance.retention import retention_policy

    policy = retention_policy(settings)
    compiled, warehouse = load_star_named(name), configured_warehouse(settings)
    if dry_run:
        return maintain.preview_maintenance(compiled, warehouse, policy)
    status = rendering.err.status(f"{name}: inspecting")
    with nullcontext() if quiet else status:
        return maintain.maintain(compiled, warehouse, policy, status.update)


def _remove_old_runs(settings: Settings, dry_run: bool) -> int:
    """Remove Dagster's old runs unless it is a dry run, and return their number."""
    from scx_pipeline.orchestration.runs.instance import open_instance
    from scx_pipeline.orchestration.runs.old_runs import old_runs, remove_runs

    with open_instance(settings.dagster_home) as instance:
        found = old_runs(instance, settings.keep_runs_days)
        return len(found) if dry_run else remove_runs(instance, found)


def _show_result(result: MaintenanceResult, dry_run: bool) -> None:
    found = result.found
    if found is None:
        rendering.out.print(f"{result.star}: never loaded, nothing to do")
        return
    columns, rows = found.as_rows()
    shown = [
        (name, count, rendering.format_bytes(size) if isinstance(size, int) else None, *rest)
        for name, count, size, *rest in rows
    ]
    action = "would run" if dry_run else f"ran in {result.seconds:.1f} s"
    title = f"{result.star}: {len(result.statements)} statements {action}"
    rendering.print_table(title, columns, shown)
    for name, value in found.facts.items():
        before = result.before.facts[name] if result.before else value
        after = "" if dry_run else f" → {rendering.format_value(value)}"
        rendering.out.print(f"{name}: {rendering.format_value(before)}{after}")
    for line in result.expired.describe():
        rendering.out.print(f"{'expired' if dry_run else 'removed'}: {line}")
    for line in found.all_advice:
        rendering.print_line(f"→ {line}", "yellow")
