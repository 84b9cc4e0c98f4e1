"""`scx lake status`, `verify` and `views`: what is published in a data lake, whether it is intact, and how to query it.

Nothing is changed in the lake.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_limits, load_star_named
from scx_pipeline.cli.options import AsJson, LakeUrl, StarName
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.count_text import count_of
from scx_pipeline.settings import read_settings

if TYPE_CHECKING:
    from scx_pipeline.lake.inspect.lake_status import LakeStatus, PartitionStatus
    from scx_pipeline.lake.inspect.verify import VerifyReport

Reader = Literal["duckdb", "athena", "redshift", "spark"]
MAX_FINDINGS = 50

app = typer.Typer()


@app.command(
    epilog="Example: scx lake status scx   Example: scx lake status scx --lake s3://scx-lake/stars --json"
)
def status(star: StarName, lake: LakeUrl = None, as_json: AsJson = False) -> None:
    """Show the months that are published in the lake: rows, files, the run that built them, and whether they are up to date.

    Nothing is changed, and no run has to wait.
    """
    from scx_pipeline.lake.inspect.lake_status import empty_lake_message, read_status

    settings, compiled = read_settings(), load_star_named(star)
    url = lake or settings.lake
    found = read_status(compiled, url, settings.bucket)
    if as_json:
        rendering.print_json(found and found.as_json())
    elif found is None:
        rendering.print_line(empty_lake_message(star, url))
    else:
        _show_status(found)


def _show_status(found: LakeStatus) -> None:
    from scx_pipeline.lake.format.layout import run_started_at

    columns = ["month", *found.tables, "files", "MB", "run", "built (UTC)", "state"]
    rows = [_status_row(part, found.tables) for part in found.partitions]
    rendering.print_table(f"{found.url}: manifest {found.number}", columns, rows)
    last = f", the last run {found.run}" if found.run else ""
    rendering.print_line(
        f"{count_of(found.files, 'file')} in total, {rendering.format_bytes(found.bytes)}{last}"
    )
    if found.writer:
        since = f"{run_started_at(found.writer):%Y-%m-%d %H:%M}"
        rendering.print_line(
            f"the run {found.writer} has held the write lock since {since} (UTC): it is writing, or was interrupted",
            "yellow",
        )
    for left in found.unfinished_runs:
        state = "is being written" if left.run == found.writer else "is left over: the next run removes it"
        size = rendering.format_bytes(left.bytes)
        rendering.print_line(
            f"_writing/{left.run}/ ({count_of(left.files, 'file')}, {size}) {state}", "yellow"
        )
    if found.bucket_error:
        rendering.print_line(f"it is not known which months are up to date: {found.bucket_error}", "yellow")


def _status_row(part: PartitionStatus, tables: Sequence[str]) -> list[object]:
    rows = [part.rows.get(name) for name in tables]
    state = f"{part.state}: {part.reason}" if part.reason else part.state
    return [
        part.month, *rows, part.files, part.bytes / 1e6, part.run[-8:], part.written_at[:16].replace("T", " "), state
    ]  # fmt: skip


@app.command(
    epilog="Example: scx lake verify scx   Example: scx lake verify scx --lake s3://scx-lake/stars --json"
)
def verify(star: StarName, lake: LakeUrl = None, as_json: AsJson = False) -> None:
    """Compare the lake with its manifest: files, folders, columns, rows, event times, duplicate keys and broken references.

    The key columns of all files are read. Nothing is changed. The exit code is 1 if anything is wrong.
    """
    from scx_pipeline.lake.inspect.verify import Verifier

    settings, compiled = read_settings(), load_star_named(star)
    with rendering.show_progress(star, quiet=as_json) as progress:
        verified = Verifier(compiled, configured_limits(settings), progress).run(lake or settings.lake)
    if as_json:
        rendering.print_json(verified.as_json())
    else:
        _show_verified(verified)
    if verified.findings:
        raise typer.Exit(1)


def _show_verified(verified: VerifyReport) -> None:
    title = f"{verified.url}, manifest {verified.number}: {count_of(verified.files, 'file')}, {count_of(verified.rows, 'row')}"
    if not verified.findings:
        rendering.print_line(f"{title}: everything matches the manifest")
        return
    shown = verified.findings[:MAX_FINDINGS]
    rows = [(item.table, item.month, item.file, item.problem, item.advice) for item in shown]
    columns = ["table", "month", "file", "what is wrong", "what to do"]
    title = f"{title}: {len(verified.findings):,} findings"
    rendering.print_table(title, columns, rows)
    if len(verified.findings) > MAX_FINDINGS:
        rendering.print_line(
            f"… and {len(verified.findings) - MAX_FINDINGS:,} more (--json prints all)", "dim"
        )


@app.command(
    epilog="Example: scx lake views scx --into analysts/dev.duckdb   Example: scx lake views scx --for athena --lake s3://scx-lake/stars"
)
def views(
    star: StarName,
    reader: Annotated[
        Reader | None, typer.Option("--for", help="The engine that will read the lake; default: duckdb.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Create the views in this DuckDB file instead of printing them."),
    ] = None,
    lake: LakeUrl = None,
) -> None:
    """Print the SQL that lets an engine query the lake's tables; docs/lake.md says what each engine sees.

    DuckDB's views read the newest manifest with each query. Nothing is changed in the lake.
    """
    from scx_pipeline.lake.inspect.lake_status import open_existing_lake
    from scx_pipeline.lake.views.views import create_views, views_script

    settings, compiled = read_settings(), load_star_named(star)
    if reader and into:
        raise PipelineError("choose one of --for and --into: --into creates DuckDB's views")
    store, manifest = open_existing_lake(lake or settings.lake, star)
    script = views_script(reader or "duckdb", compiled.star, store, manifest)
    if into is None:
        print(script, end="")
    else:
        create_views(into, script)
        rendering.print_line(f"{into}: {len(compiled.star.tables)} views of {store.url}")
