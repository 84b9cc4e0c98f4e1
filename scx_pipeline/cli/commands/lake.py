"""`scx lake`: a star's tables as Parquet in a data lake: build, package and unload.

Reading the lake without changing it does not belong here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_warehouse, load_star_named, with_lake_url
from scx_pipeline.cli.options import (
    AsJson,
    LakeUrl,
    MonthOptions,
    RangeOptions,
    StarName,
    expand_option_groups,
)
from scx_pipeline.cli.row_sources import build_source
from scx_pipeline.cli.runs import run_and_report
from scx_pipeline.model.calendar import MonthRange
from scx_pipeline.settings import read_settings

if TYPE_CHECKING:
    from scx_pipeline.lake.build.unload import UnloadedTable, UnloadReport

app = typer.Typer(
    no_args_is_help=True,
    help="Keep a star's tables as Parquet in a data lake, in folders by year and month.\n\n"
    "Settings: SCX_LAKE_URL (file:///folder or s3://bucket/prefix); SCX_SPARK and the other settings with that prefix.",
)

PythonVersion = Literal["3.11", "3.12", "3.13"]
Architecture = Literal["x86_64", "arm64"]


@app.command(
    epilog="Example: scx lake build songplays   Example: SCX_SPARK=local scx lake build scx --from 2021-01 --to 2021-12"
)
@expand_option_groups
def build(star: StarName, months: MonthOptions, lake: LakeUrl = None, as_json: AsJson = False) -> None:
    """Build a star's lake from the raw objects in a Dagster run. The exit code is 0 only if everything is published.

    DuckDB builds it in this process; with SCX_SPARK=local or emr-serverless, Spark does. Rows and files are the same.
    """
    settings, compiled = with_lake_url(read_settings(), lake), load_star_named(star)
    run_and_report(compiled, build_source(settings), months.select(compiled), as_json=as_json)


@app.command(
    epilog="Example: scx lake package   Example: scx lake package --python 3.12 --architecture arm64 --out environment.tar.gz"
)
def package(
    python: Annotated[PythonVersion, typer.Option(help="The workers' Python; EMR 7 has 3.11.")] = "3.11",
    architecture: Annotated[
        Architecture, typer.Option(help="The workers' processor; arm64 is Graviton.")
    ] = "x86_64",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the archive to this file, and upload nothing."),
    ] = None,
) -> None:
    """Create the archive that Spark jobs on EMR run from, and upload it to SCX_SPARK_CODE unless it exists there.

    It contains this version of the project and the packages that its workers import, fetched by pip for their Python and
    processor. Run it once for each version: a build reports if the archive is missing.
    """
    from scx_pipeline.lake.spark.code_archive import names_of, open_code
    from scx_pipeline.lake.spark.package import JOB, WorkerPlatform, build_archive

    target = WorkerPlatform(python, architecture)
    if out is None:
        code = open_code(read_settings().spark_code)
        with rendering.err.status(f"{target}: fetching packages"):
            uploaded = code.put(target)
        state = f"uploaded, {rendering.format_bytes(uploaded.size)}" if uploaded.size else "exists already"
        rendering.print_line(f"{uploaded.archive}: {state}, for {target}")
        return
    with rendering.err.status(f"{target}: fetching packages"):
        build_archive(target, out)
    archive, entry = names_of(target)
    size = rendering.format_bytes(out.stat().st_size)
    rendering.print_line(
        f"{out}: {size}, for {target}; upload it to SCX_SPARK_CODE as {archive}, and {JOB} as {entry}"
    )


@app.command(
    epilog="Example: scx lake unload scx --lake s3://scx-lake/stars   Example: scx lake unload scx --from 2021-03 --to 2021-04"
)
@expand_option_groups
def unload(star: StarName, months: RangeOptions, lake: LakeUrl = None, as_json: AsJson = False) -> None:
    """Write a star's facts and dimensions from the warehouse to the lake, replacing their files.

    Months limit the partitioned tables; the other tables are always written in full. The exit code is 0 only if all tables
    are written.
    """
    from scx_pipeline.lake.build.unload import Unloader

    settings, compiled = read_settings(), load_star_named(star)
    scope = months.parse_range(compiled)
    with rendering.show_progress(star, quiet=as_json) as progress:
        unloader = Unloader(compiled, configured_warehouse(settings), scope, progress)
        unloaded = unloader.run(lake or settings.lake)
    if as_json:
        rendering.print_json(unloaded.as_json())
    else:
        _show_unloaded(unloaded)


def _show_unloaded(unloaded: UnloadReport) -> None:
    rows = [
        (table.name, _describe_months(table), table.files, table.rows, table.bytes / 1e6)
        for table in unloaded.tables
    ]
    columns = ["table", "months", "files", "rows", "MB"]
    rendering.print_table(f"{unloaded.url}: unloaded", columns, rows)


def _describe_months(table: UnloadedTable) -> str:
    if table.months is None:
        return "unpartitioned"
    if not table.months:
        return "none"
    return f"{MonthRange(table.months[0], table.months[-1])} ({len(table.months)})"
