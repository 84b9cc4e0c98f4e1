"""`scx status`, `rejected`, `analyze` and `doctor`: what is loaded and rejected, results of queries, and checks.

Nothing is changed in the warehouse.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_warehouse, load_star_named
from scx_pipeline.cli.options import AsJson, StarName
from scx_pipeline.cli.runs import fail_orphaned_runs
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.settings import read_settings

MAX_RAW_WIDTH = 80

app = typer.Typer()


@app.command(epilog="Example: scx status scx")
def status(star: StarName, as_json: AsJson = False) -> None:
    """Show the months that are loaded: rows per table, when they were loaded, and the results of the last checks."""
    from scx_pipeline.reporting.status import read_status

    settings, compiled = read_settings(), load_star_named(star)
    fail_orphaned_runs(settings)
    with configured_warehouse(settings).open_loaded() as session:
        found = read_status(session, compiled)
    if as_json:
        rendering.print_json(found.as_json())
        return
    columns = ["month", *(item.name for item in compiled.star.tables), "loaded (UTC)", ""]
    count = len([month for month in found.months if month != UNPARTITIONED.value])
    rendering.print_table(f"{star}: {count} months", columns, found.rows_by_month())
    failed = [check for check in found.checks if not check[2]]
    rendering.out.print(f"last load: {len(found.checks)} checks, {len(failed)} not passed")
    for name, check, _, message in failed:
        rendering.out.print(f"  {check} on {name}: {message}", style="yellow", markup=False)


@app.command(epilog="Example: scx rejected scx --limit 50")
def rejected(
    star: StarName,
    limit: Annotated[int, typer.Option(min=1, help="The number of rows to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the rows that were rejected: file, line, column, reason and raw text."""
    from scx_pipeline.reporting.status import count_rejected_rows, read_rejected_rows

    compiled = load_star_named(star)
    with configured_warehouse(read_settings()).open_loaded() as session:
        stored, rows = read_rejected_rows(session, compiled.star.name, None if as_json else limit)
        not_stored = count_rejected_rows(session, compiled.star.name) - stored
    columns = ["file", "line", "column", "reason", "raw"]
    if as_json:
        rendering.print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    shown = [(*row[:4], str(row[4])[:MAX_RAW_WIDTH]) for row in rows]
    rendering.print_table(f"{star}: {stored:,} stored rejected rows", columns, shown)
    if len(rows) < stored:
        how = f"`scx rejected {star} --limit {stored}`"
        rendering.print_line(f"{stored - len(rows):,} more are stored; to see them all: {how}", "dim")
    if not_stored > 0:
        rendering.print_line(
            f"{not_stored:,} more were only counted: their file had more than max_stored_rejects, the load reached its limit for stored"
            " rows, or they are older than SCX_KEEP_REJECTED_DAYS",
            "dim",
        )


@app.command(epilog="Example: scx analyze scx ground_profile_by_month")
def analyze(
    star: StarName,
    query: Annotated[str | None, typer.Argument(help="One of the star's queries; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the analysts' queries, and show each result as a table and a chart."""
    from scx_pipeline.reporting.queries import find_query, run_query

    compiled = load_star_named(star)
    queries = [find_query(compiled, query)] if query else list(compiled.star.queries)
    results: dict[str, Any] = {}
    with configured_warehouse(read_settings()).open_loaded() as session:
        for item in queries:
            frame = run_query(session, compiled, item.name)
            results[item.name] = rendering.to_records(frame)
            if not as_json:
                rendering.show_frame(frame, item.title)
                if item.chart:
                    rendering.show_chart(frame, item)
                rendering.out.print()
    if as_json:
        rendering.print_json(results)
    elif not results:
        rendering.out.print(f"{star} has no queries: add them to its defs.yaml (docs/stars.md)")


@app.command(epilog="Example: scx doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check settings, versions, bucket, warehouse and permissions, and advise what to fix."""
    from scx_pipeline.services.check_list import report_checks

    outcomes = list(report_checks(read_settings()))
    if as_json:
        rendering.print_json([vars(item) for item in outcomes])
    else:
        for item in outcomes:
            label = "[green]ok  [/green]" if item.passed else "[red]fix [/red]"
            rendering.out.print(f"{label} [bold]{item.name}[/bold]  ", end="")
            rendering.print_line(item.found)
            if not item.passed:
                rendering.out.print(f"     → {item.advice}", markup=False)
    if not all(item.passed for item in outcomes):
        raise typer.Exit(1)
