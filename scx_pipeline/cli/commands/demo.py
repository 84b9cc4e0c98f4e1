"""`scx demo`: a generated bucket, a load of every star, its first report and the analysts' query.

Everything it does, the other commands do as well.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.commands.generate import create_home, generate_sample
from scx_pipeline.cli.configured import configured_warehouse, load_star_named
from scx_pipeline.cli.options import DueMonths
from scx_pipeline.cli.row_sources import object_source
from scx_pipeline.cli.runs import run_due_scopes
from scx_pipeline.model.calendar import Month
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar

MAX_BARS = 60
MAX_ROWS = 12

app = typer.Typer()


@app.command(epilog="Example: SCX_HOME=/tmp/try scx demo")
def demo() -> None:
    """Generate a bucket, load the stars that have samples, and show the report and the result of the analysts' query."""
    from scx_pipeline.loading.changes import list_selection
    from scx_pipeline.storage.bucket import create_bucket

    settings = read_settings()
    create_home(settings)
    for name in _stars_with_samples():
        compiled, bucket = load_star_named(name), create_bucket(settings.bucket)
        if not list_selection(compiled.star, bucket).objects:
            rendering.out.print(f"[bold]1. generate[/bold]  a sample bucket in {settings.bucket}")
            generate_sample(name, _sample_options(name), settings, quiet=False)
        rendering.out.print(f"[bold]2. load[/bold]  {name} into {configured_warehouse(settings).url}")
        outcomes = run_due_scopes(compiled, object_source(settings), DueMonths.CHANGED, quiet=False)
        if not all(outcome.success for outcome in outcomes):
            raise typer.Exit(1)
        rendering.out.print("[bold]3. query[/bold]")
        _show_queries(compiled, settings)
    scx = sys.argv[0]
    rendering.out.print(
        f"Next: [bold]{scx} ui[/bold], or {scx} status scx, {scx} analyze scx, {scx} rejected scx"
    )


def _stars_with_samples() -> list[str]:
    """Return the stars that a sample can be generated for; a user's own star has none."""
    from scx_pipeline.declarations.declared_stars import star_names

    return [name for name in star_names() if find_spec(f"scx_pipeline.samples.{name}")]


def _sample_options(star: str) -> Any:
    """Return the options of a star's sample; some rows are invalid, so that rejected and deduplicated rows can be seen."""
    now = Month.current()
    if star == "scx":
        from scx_pipeline.samples.scx.plan import ScxLogOptions

        months = (now.year - 2020) * 12 + now.month  # since 2020-01
        return ScxLogOptions(
            to=str(now), months=months, jobs=months * 1500, bad_rows=40, duplicates=60, late_rows=30
        )
    if star == "songplays":
        from scx_pipeline.samples.songplays.songplays_bucket import SongplaysOptions

        return SongplaysOptions(
            to=str(now), months=24, events=60_000, songs=400, matching=40, bad_lines=27, duplicates=50
        )
    from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions

    return SensorOptions(start=f"{now}-01 00:00")


def _show_queries(compiled: CompiledStar, settings: Settings) -> None:
    """Show the star's first report, and the query that the analysts wrote, verbatim, with its result."""
    from scx_pipeline.reporting.queries import run_query

    with configured_warehouse(settings).open_loaded() as session:
        for query in compiled.star.queries:
            if query.chart and query is compiled.star.queries[0]:
                rendering.out.print(query.title, style="bold")
                rendering.show_chart(run_query(session, compiled, query.name).tail(MAX_BARS), query)
                rendering.out.print()
            if query.as_written:
                rendering.out.print(compiled.queries[query.name].text.strip(), style="cyan", markup=False)
                frame = run_query(session, compiled, query.name)
                rendering.show_frame(frame, query.title, limit=MAX_ROWS)
