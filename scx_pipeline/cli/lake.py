"""The `scx lake` commands: a star's tables as Parquet in a data lake.
What they do is in `lake`; the other commands are in `cli`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import (
    AsJson,
    FirstMonth,
    LastMonth,
    MonthOption,
    StarName,
    bucket_of,
    find_star,
    limits_of,
    months_named,
    range_option,
    warehouse_of,
)
from scx_pipeline.cli.runs import CHANGED, EVERYTHING, choose, outcome_json, run_parts, scopes_due
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, MonthRange
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.lake.build.unload import Unloaded, UnloadedTable
    from scx_pipeline.lake.inspect.lake_status import LakeStatus, Part
    from scx_pipeline.lake.inspect.verify import Verified
    from scx_pipeline.orchestration.runs.execute import RunOutcome

app = typer.Typer(
    no_args_is_help=True,
    help="Keep a star's tables as Parquet in a data lake, in folders by year and month.\n\n"
    "Settings: SCX_LAKE_URL (file:///folder or s3://bucket/prefix); SCX_SPARK and others that begin so.",
)

LakeUrl = Annotated[
    str | None,
    typer.Option(
        "--lake", metavar="URL", help="file:///folder or s3://bucket/prefix, instead of SCX_LAKE_URL."
    ),
]
Reader = Literal["duckdb", "athena", "redshift", "spark"]
Python = Literal["3.11", "3.12", "3.13"]
Architecture = Literal["x86_64", "arm64"]
SHOWN = 50  # findings


@app.command(
    epilog="Example: scx lake build songplays   Example: SCX_SPARK=local scx lake build scx --from 2021-01 --to 2021-12"
)
def build(
    star: StarName,
    month: MonthOption = None,
    from_: FirstMonth = None,
    to: LastMonth = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Every month whose objects changed (the default).")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every month that has objects or was built.")] = False,
    lake: LakeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Build a star's lake from the raw objects: a real Dagster run. Exit code 0 only if everything is published.

    DuckDB builds it in this process; with SCX_SPARK=local or emr-serverless, Spark does. Rows and files are the same.
    """
    settings, compiled = read_settings(), find_star(star)
    if lake:
        settings = settings.model_copy(update={"lake_url": lake})
    choice = choose(month, from_, to, changed, all_)
    outcomes = _build(compiled, settings, choice, quiet=as_json)
    stale = any("stale_months" in outcome.numbers for outcome in outcomes)
    if choice == CHANGED and stale and all(outcome.success for outcome in outcomes):
        outcomes += _build(compiled, settings, choice, quiet=as_json)  # no one knew of them before
    if as_json:
        print(json.dumps([outcome_json(outcome) for outcome in outcomes], indent=2, default=str))
    elif not outcomes:
        rendering.out.print(f"{star}: nothing to build, every month of the lake stands as its objects are")
    if not all(outcome.success for outcome in outcomes):
        raise typer.Exit(1)


def _build(
    compiled: CompiledStar, settings: Settings, choice: str | tuple[str, str], *, quiet: bool
) -> list[RunOutcome]:
    parts = _parts(compiled, settings, choice)
    if not parts:
        return []
    from scx_pipeline.orchestration.assets.lake_assets import lake_job_name
    from scx_pipeline.orchestration.resources.lake_resource import lake_resource

    lake_resource(settings).check(settings.bucket)
    return run_parts(
        compiled, settings, parts, quiet=quiet, job_of=lambda scope: lake_job_name(compiled.star, scope)
    )


def _parts(compiled: CompiledStar, settings: Settings, choice: str | tuple[str, str]) -> list[LoadScope]:
    """The builds that it takes, one after the other; the one of the unpartitioned tables comes first."""
    from scx_pipeline.lake.build.builder import plan_build

    planned = plan_build(compiled, bucket_of(settings), settings.lake)
    if not planned.selection.objects and not planned.loaded:
        prefixes = ", ".join(source.prefix for source in compiled.star.sources)
        raise PipelineError(
            f"the bucket {settings.bucket} has no objects under {prefixes}: upload some, or run `scx generate {compiled.star.name}`"
        )
    unpartitioned = planned.unpartitioned or (choice == EVERYTHING and compiled.star.unpartitioned)
    first: list[LoadScope] = [UNPARTITIONED] if unpartitioned else []
    named = (
        [range_option(compiled, *choice)]
        if isinstance(choice, tuple)
        else scopes_due(compiled, planned, choice)
    )
    return [*first, *named]


@app.command(
    epilog="Example: scx lake package   Example: scx lake package --python 3.12 --architecture arm64 --out environment.tar.gz"
)
def package(
    python: Annotated[Python, typer.Option(help="Of the workers; EMR 7 has 3.11.")] = "3.11",
    architecture: Annotated[
        Architecture, typer.Option(help="Their processor; arm64 is Graviton's.")
    ] = "x86_64",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the archive there, and put nothing into SCX_SPARK_CODE."),
    ] = None,
) -> None:
    """Make the archive that Spark jobs on EMR run from, and put it into SCX_SPARK_CODE unless it is there.

    It holds this version of the project and the packages that its workers import, fetched by pip for their Python and processor. Run it
    once for each version: a build says so where the archive is missing.
    """
    from scx_pipeline.lake.spark.code_archive import names_of, open_code
    from scx_pipeline.lake.spark.package import JOB, Target, make_archive

    target = Target(python, architecture)
    place = None if out else open_code(read_settings().spark_code)
    with rendering.err.status(f"{target}: fetching packages"):
        if place:
            made = place.put(target)
        elif out:
            make_archive(target, out)
    if place:
        _say(
            f"{made.archive}: {f'put there, {rendering.size(made.size)}' if made.size else 'is there already'}, for {target}"
        )
    elif out:
        archive, entry = names_of(target)
        _say(
            f"{out}: {rendering.size(out.stat().st_size)}, for {target}; put it into SCX_SPARK_CODE as {archive}, and {JOB} as {entry}"
        )


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
    from scx_pipeline.lake.build.unload import Unloader

    settings, compiled = read_settings(), find_star(star)
    if month and (from_ or to):
        raise PipelineError("choose one of --month and --from/--to")
    named = months_named(month, from_, to)
    scope = range_option(compiled, *named) if named else None
    line = rendering.err.status(f"{star}: starting")
    with nullcontext() if as_json else line:
        unloader = Unloader(
            compiled, warehouse_of(settings), scope, lambda message: line.update(f"{star}: {message}")
        )
        done = unloader.run(lake or settings.lake)
    if as_json:
        print(json.dumps(done.as_json(), indent=2))
    else:
        _show(done)


def _show(done: Unloaded) -> None:
    rows = [(table.name, _months(table), table.files, table.rows, table.bytes / 1e6) for table in done.tables]
    rendering.out.print(
        rendering.table(f"{done.url}: unloaded", ["table", "months", "files", "rows", "MB"], rows)
    )


def _months(table: UnloadedTable) -> str:
    if table.months is None:
        return "all in one"
    if not table.months:
        return "none"
    return f"{MonthRange(table.months[0], table.months[-1])} ({len(table.months)})"


@app.command(
    epilog="Example: scx lake status scx   Example: scx lake status scx --lake s3://scx-lake/stars --json"
)
def status(star: StarName, lake: LakeUrl = None, as_json: AsJson = False) -> None:
    """Show the months that stand in the lake: rows, files, by which run and when, and whether they are as their objects are.

    Nothing is changed, and no run is kept waiting.
    """
    from scx_pipeline.lake.inspect.lake_status import nothing_of, read_status

    settings, compiled = read_settings(), find_star(star)
    url = lake or settings.lake
    found = read_status(compiled, url, settings.bucket)
    if as_json:
        print(json.dumps(found and found.as_json(), indent=2))
    elif found is None:
        rendering.out.print(nothing_of(star, url), markup=False, soft_wrap=True)
    else:
        _show_status(found)


def _show_status(found: LakeStatus) -> None:
    from scx_pipeline.lake.inspect.lake_status import began

    columns = ["month", *found.tables, "files", "MB", "run", "made (UTC)", "state"]
    rows = [_status_row(part, found.tables) for part in found.parts]
    rendering.out.print(rendering.table(f"{found.url}: manifest {found.number}", columns, rows))
    last = f", the last run {found.run}" if found.run else ""
    _say(f"{found.files:,} files in all, {rendering.size(found.bytes)}{last}")
    if found.writer:
        _say(
            f"the run {found.writer} has had the turn since {began(found.writer):%Y-%m-%d %H:%M} (UTC): it writes, or was broken off",
            "yellow",
        )
    for left in found.left:
        whose = "is being written" if left.run == found.writer else "is left over: the next run removes it"
        _say(f"_writing/{left.run}/ ({left.files:,} files, {rendering.size(left.bytes)}) {whose}", "yellow")
    if found.unlisted:
        _say(f"which months are as their objects are is not known: {found.unlisted}", "yellow")


def _status_row(part: Part, tables: Sequence[str]) -> list[object]:
    rows = [part.rows.get(name) for name in tables]
    state = f"{part.state}: {part.why}" if part.why else part.state
    return [
        part.month, *rows, part.files, part.bytes / 1e6, part.run[-8:], part.at[:16].replace("T", " "), state
    ]  # fmt: skip


def _say(text: str, style: str | None = None) -> None:
    rendering.out.print(text, style=style, markup=False, soft_wrap=True)


@app.command(
    epilog="Example: scx lake verify scx   Example: scx lake verify scx --lake s3://scx-lake/stars --json"
)
def verify(star: StarName, lake: LakeUrl = None, as_json: AsJson = False) -> None:
    """Compare the lake with its manifest: files, folders, columns, rows and moments; keys that stand twice or point to nothing.

    The key columns of all files are read. Nothing is changed. Exit code 1 if anything is wrong.
    """
    from scx_pipeline.lake.inspect.verify import Verifier

    settings, compiled = read_settings(), find_star(star)
    line = rendering.err.status(f"{star}: starting")
    with nullcontext() if as_json else line:
        verifier = Verifier(compiled, limits_of(settings), lambda message: line.update(f"{star}: {message}"))
        found = verifier.run(lake or settings.lake)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        _show_verified(found)
    if found.findings:
        raise typer.Exit(1)


def _show_verified(found: Verified) -> None:
    read = f"{found.url}, manifest {found.number}: {found.files:,} files, {found.rows:,} rows"
    if not found.findings:
        _say(f"{read}: all is as the manifest says")
        return
    rows = [(item.table, item.month, item.file, item.what, item.advice) for item in found.findings[:SHOWN]]
    columns = ["table", "month", "file", "what is wrong", "what to do"]
    rendering.out.print(rendering.table(f"{read}: {len(found.findings):,} findings", columns, rows))
    if len(found.findings) > SHOWN:
        _say(f"… and {len(found.findings) - SHOWN:,} more (--json gives all)", "dim")


@app.command(
    epilog="Example: scx lake views scx --into analysts/dev.duckdb   Example: scx lake views scx --for athena --lake s3://scx-lake/stars"
)
def views(
    star: StarName,
    reader: Annotated[
        Reader | None, typer.Option("--for", help="Who is to read the lake; default: duckdb.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make the views in this DuckDB file instead of printing them."),
    ] = None,
    lake: LakeUrl = None,
) -> None:
    """Print the SQL by which an engine reads the lake's tables; docs/lake.md says what each of them sees.

    DuckDB's views read the newest manifest with each query. Nothing is changed in the lake.
    """
    from scx_pipeline.lake.inspect.lake_status import standing_lake
    from scx_pipeline.lake.views.views import make_views, views_for

    settings, compiled = read_settings(), find_star(star)
    if reader and into:
        raise PipelineError("choose one of --for and --into, which makes the views of DuckDB")
    place, manifest = standing_lake(lake or settings.lake, star)
    script = views_for(reader or "duckdb", compiled.star, place, manifest)
    if into is None:
        print(script, end="")
    else:
        make_views(into, script)
        _say(f"{into}: {len(compiled.star.tables)} views of {place.url}")
