"""The `scx` command: its groups of commands, and how the process starts and ends.

The commands themselves do not belong here.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.commands import (
    alerts,
    cloud,
    demo,
    generate,
    lake,
    lake_inspection,
    load,
    pending,
    reports,
    serve,
    status,
    tables,
    warehouse,
)
from scx_pipeline.cli.commands.stars import declaration, new
from scx_pipeline.errors import PipelineError

app = typer.Typer(
    name="scx",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Raw log files land in a bucket; a trustworthy star schema comes out.\n\n"
    "Settings: SCX_HOME (default .scx), SCX_BUCKET_URL, SCX_WAREHOUSE_URL, DAGSTER_HOME. Start with [bold]scx demo[/bold].",
)
for module in (load, pending, status, reports, demo, new, declaration, warehouse, tables):
    app.add_typer(module.app)
app.add_typer(serve.ui_app)
lake.app.add_typer(lake_inspection.app)
app.add_typer(generate.app, name="generate")
app.add_typer(lake.app, name="lake")
app.add_typer(cloud.app, name="cloud")
app.add_typer(alerts.app, name="alerts")
app.add_typer(serve.app, name="serve")


def collect_garbage_less_often() -> None:
    """Raise the collector's thresholds: importing Dagster creates a million objects, and collecting them takes a sixth of a small load."""
    gc.set_threshold(50_000, 20, 50)


def main(run: Callable[[], Any] = app) -> None:
    """Run the command, and print a user's mistake as one message instead of a traceback."""
    collect_garbage_less_often()
    try:
        run()
    except PipelineError as error:
        rendering.print_error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        rendering.print_error("interrupted; months that were not published yet are unchanged")
        sys.exit(130)


def console() -> None:
    """Run the command as the console script does, and exit without tearing the interpreter down.

    Freeing a million objects takes a quarter of a small load's time. `gc.freeze` saves as much, but then DuckDB's binding reports
    on stderr every object that is left. Exit handlers run, and output is flushed.
    """
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    if code is not None and not isinstance(code, int):
        sys.exit(code)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # the output's reader has gone
        code = code or 1
    os._exit(code or 0)


if __name__ == "__main__":
    console()
