"""The `scx lake` commands: a star's tables as Parquet in a data lake.
What they do is in `lake`; the other commands are in `cli`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from scx_pipeline import show
from scx_pipeline.cli_options import (
    AsJson,
    FirstMonth,
    LastMonth,
    MonthOption,
    StarName,
    find_star,
    months_named,
    span_of,
    warehouse_of,
)
from scx_pipeline.errors import PipelineError
from scx_pipeline.settings import read_settings
from scx_pipeline.spec import Span

if TYPE_CHECKING:
    from scx_pipeline.lake.unload import Unloaded, UnloadedTable

app = typer.Typer(
    no_args_is_help=True,
    help="Keep a star's tables as Parquet in a data lake, in folders by year and month.\n\n"
    "Settings: SCX_LAKE_URL (file:///folder or s3://bucket/prefix).",
)

LakeUrl = Annotated[
    str | None,
    typer.Option(
        "--lake", metavar="URL", help="file:///folder or s3://bucket/prefix, instead of SCX_LAKE_URL."
    ),
]


@app.command(
    epilog="Example: scx lake unload scx --lake s3://scx-lake/stars   Example: scx lake unload scx --from 2021-03 --to 2021-04"
)
def unload(
    star: StarName,
    month: MonthOption = None,
    from_: FirstMonth = None,
    to: LastMonth = None,
    lake: LakeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write a star's facts and dimensions into the lake, in the place of what is there of them.

    Months narrow the tables that are kept by month; the others are always written whole. Exit code 0 only if all is written.
    """
    from scx_pipeline.lake.unload import Unloader

    settings, compiled = read_settings(), find_star(star)
    if month and (from_ or to):
        raise PipelineError("choose one of --month and --from/--to")
    named = months_named(month, from_, to)
    span = span_of(compiled, *named) if named else None
    line = show.err.status(f"{star}: starting")
    with nullcontext() if as_json else line:
        unloader = Unloader(
            compiled, warehouse_of(settings), span, lambda message: line.update(f"{star}: {message}")
        )
        done = unloader.run(lake or settings.lake)
    if as_json:
        print(json.dumps(done.as_json(), indent=2))
    else:
        _show(done)


def _show(done: Unloaded) -> None:
    rows = [(table.name, _months(table), table.files, table.rows, table.bytes / 1e6) for table in done.tables]
    show.out.print(show.table(f"{done.url}: unloaded", ["table", "months", "files", "rows", "MB"], rows))


def _months(table: UnloadedTable) -> str:
    if table.months is None:
        return "all in one"
    if not table.months:
        return "none"
    return f"{Span(table.months[0], table.months[-1])} ({len(table.months)})"
