"""The `scx` command: what a person types, with help, examples and exit codes.
Every command is a thin one: it reads settings and options, calls the engine or Dagster, and shows what came back."""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from scx_pipeline.cli import alerts, cloud, lake, maintenance, rendering, serve, tables
from scx_pipeline.cli.options import (
    AsJson,
    LastMonth,
    MonthOption,
    StarName,
    bucket_of,
    find_star,
    range_option,
    warehouse_of,
)
from scx_pipeline.cli.runs import (
    CHANGED,
    EVERYTHING,
    choose,
    outcome_json,
    report_lost_runs,
    run_parts,
    scopes_due,
)
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange, contiguous_ranges
from scx_pipeline.settings import Settings, read_settings, redact
from scx_pipeline.storage.temporary_folder import make_private

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.loading.changes import Plan
    from scx_pipeline.orchestration.runs.execute import RunOutcome

app = typer.Typer(
    name="scx",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Raw log files land in a bucket; a trustworthy star schema comes out.\n\n"
    "Settings: SCX_HOME (default .scx), SCX_BUCKET_URL, SCX_WAREHOUSE_URL, DAGSTER_HOME. Start with [bold]scx demo[/bold].",
)
generate = typer.Typer(no_args_is_help=True, help="Generate a realistic sample bucket for a star.")
app.add_typer(generate, name="generate")
app.add_typer(lake.app, name="lake")
app.add_typer(cloud.app, name="cloud")
app.add_typer(alerts.app, name="alerts")
app.add_typer(serve.app, name="serve")
maintenance.register(app)
tables.register(app)

FROM_LAKE = "lake"  # the one word that --from takes beside months
SHOWN = 5  # of the objects that a plan ignores
Layout = Literal["monthly", "concatenated", "both"]
Compression = Literal["none", "gzip", "zstd"]


@app.command(
    epilog="Example: scx load scx --from 2021-01 --to 2021-12   Example: scx load scx --from lake --month 2021-04"
)
def load(
    star: StarName,
    month: MonthOption = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="YYYY-MM|lake",
            help="The first month of a span; or the word lake: from the data lake.",
        ),
    ] = None,
    to: LastMonth = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Every month whose objects changed (the default).")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every month that has objects or was loaded.")] = False,
    lake: lake.LakeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Load months of a star: a real Dagster run. Exit code 0 only if everything is published.

    Tables without months are made anew first: with --changed if what they are made from has changed, with --all in any
    case, and for months that are named only if they were never made.

    With --from lake, the rows come out of the lake's files instead of the raw objects, with the same checks: of one
    --month, of every month that stands otherwise than in the lake (--changed), or of all that the lake has (--all).
    """
    settings, compiled = read_settings(), find_star(star)
    way = _lake_way(settings, to, lake) if from_ == FROM_LAKE else _raw_way(settings, lake)
    choice = choose(month, None if from_ == FROM_LAKE else from_, to, changed, all_)
    outcomes = way.run(compiled, choice, quiet=as_json)
    made_stale = any("stale_months" in outcome.numbers for outcome in outcomes)
    if choice == CHANGED and made_stale and all(outcome.success for outcome in outcomes):
        # No one knew of them before. A look that found nothing would list the whole bucket a second time.
        outcomes += way.run(compiled, choice, quiet=as_json)
    if as_json:
        print(json.dumps([outcome_json(outcome) for outcome in outcomes], indent=2, default=str))
    elif not outcomes:
        rendering.out.print(f"{star}: nothing to load, every month stands as {way.standing}")
    if not all(outcome.success for outcome in outcomes):
        raise typer.Exit(1)


@app.command(epilog="Example: scx plan scx --json   Example: scx plan")
def plan(
    star: Annotated[
        str | None, typer.Argument(metavar="[STAR]", help="The star's name; all of them if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which months a load is due for, why, and what it would read; nothing is changed.

    It also names tables that keep a load from starting because others made them, and tables that are no longer declared:
    those of the star or, without a star, those of all stars, including removed ones.
    """
    settings = read_settings()
    if star is None:
        _plan_all(settings, as_json)
        return
    compiled = find_star(star)
    planned = _plan(compiled, settings)
    ignored = [key for _, key in planned.selection.ignored]
    rows = []
    if planned.unpartitioned:
        objects = planned.selection.unpartitioned_objects
        rows.append(
            (rendering.WHOLE, planned.unpartitioned, len(objects), sum(entry.info.size for entry in objects))
        )
    for item in planned.changed:
        objects = planned.selection.of(MonthRange(item.month, item.month))
        rows.append((str(item.month), item.reason, len(objects), sum(entry.info.size for entry in objects)))
    if as_json:
        names = ("month", "reason", "objects", "bytes")
        print(
            json.dumps(
                {
                    "due": [dict(zip(names, row, strict=True)) for row in rows],
                    "ignored": ignored,
                    **tables.as_json(planned.readiness),
                },
                indent=2,
            )
        )
        return
    shown = [(month, why, count, rendering.size(total)) for month, why, count, total in rows]
    rendering.out.print(
        rendering.table(
            f"{star}: {len(planned.changed)} months are due", ["month", "why", "objects", "size"], shown
        )
    )
    for key in ignored[:SHOWN]:
        why = "matches no pattern of its source, or is a sidecar file"
        rendering.out.print(f"ignored: {key} ({why})", style="dim", markup=False, soft_wrap=True)
    if len(ignored) > SHOWN:
        rendering.out.print(f"and {len(ignored) - SHOWN:,} more: --json shows all", style="dim")
    tables.show_readiness(planned.readiness)
    rendering.out.print(
        f"{len(planned.selection.objects):,} objects in all, {len(planned.loaded)} months stand", style="dim"
    )


def _plan_all(settings: Settings, as_json: bool) -> None:
    """Show how many months of each star are due, and the tables of stars that were removed; fail if any cannot be told."""
    from scx_pipeline.declarations.star_folder import star_names
    from scx_pipeline.loading.changes import plan_star

    found: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}  # the stars of each, as what fails is mostly what they have in common
    for name in star_names():
        try:
            compiled = find_star(name)
            planned = plan_star(compiled, bucket_of(settings), warehouse_of(settings))
        except PipelineError as error:
            found[name] = {"error": str(error)}
            errors.setdefault(str(error), []).append(name)
            continue
        months = [str(item.month) for item in planned.changed]
        empty = _prefixes(compiled) if _is_empty(planned) else ""
        note = {"note": f"the bucket has no objects under {empty}"} if empty else {}
        found[name] = {
            "due": months,
            "whole": planned.unpartitioned,
            **note,
            **tables.as_json(planned.readiness),
        }
        if not as_json:
            more = (
                f", and {rendering.WHOLE}" if planned.unpartitioned else f"; {note['note']}" if empty else ""
            )
            rendering.out.print(f"{name}: {len(months)} months are due{more}", markup=False, soft_wrap=True)
            tables.show_readiness(planned.readiness)
    removed = None
    try:
        removed = tables.removed_stars(settings)
    except PipelineError as error:
        errors.setdefault(str(error), [])
    if as_json:
        left = None if removed is None else [item.as_json() for item in removed]
        print(json.dumps({"stars": found, "leftovers_of_removed_stars": left}, indent=2))
    else:
        tables.show_leftovers(removed or [])
    for message, names in errors.items():
        rendering.error(f"{', '.join(names)}: {message}" if names else message)
    if errors:
        raise typer.Exit(1)
    if found and all("note" in item for item in found.values()):
        raise PipelineError(
            f"the bucket {redact(settings.bucket)} has no objects of any star: set SCX_BUCKET_URL, or upload some"
        )


@app.command(epilog="Example: scx status scx")
def status(star: StarName, as_json: AsJson = False) -> None:
    """Show the months that stand: rows per table, when they were loaded, and how the last checks came out."""
    from scx_pipeline.reporting.status import read_status

    settings, compiled = read_settings(), find_star(star)
    report_lost_runs(settings)
    with warehouse_of(settings).reading() as session:
        found = read_status(session, compiled)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, default=str))
        return
    columns = ["month", *(item.name for item in compiled.star.tables), "loaded (UTC)", ""]
    count = len([month for month in found.months if month != UNPARTITIONED.value])
    rendering.out.print(rendering.table(f"{star}: {count} months", columns, found.month_rows()))
    failed = [check for check in found.checks if not check[2]]
    rendering.out.print(f"last load: {len(found.checks)} checks, {len(failed)} not passed")
    for name, check, _, message in failed:
        rendering.out.print(f"  {check} on {name}: {message}", style="yellow", markup=False)


@app.command(epilog="Example: scx rejected scx --limit 50")
def rejected(
    star: StarName,
    limit: Annotated[int, typer.Option(min=1, help="How many rows to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the rows that were not loaded: file, line, column, reason and raw text."""
    from scx_pipeline.reporting.status import count_rejected, read_rejected

    compiled = find_star(star)
    with warehouse_of(read_settings()).reading() as session:
        count, rows = read_rejected(session, compiled.star.name, None if as_json else limit)
        gone = count_rejected(session, compiled.star.name) - count
    names = ["file", "line", "column", "reason", "raw"]
    if as_json:
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    rendering.out.print(
        rendering.table(
            f"{star}: {count:,} stored rejected rows", names, [(*row[:4], str(row[4])[:80]) for row in rows]
        )
    )
    if len(rows) < count:
        rendering.out.print(
            f"{count - len(rows):,} more are stored; to see them all: `scx rejected {star} --limit {count}`",
            style="dim",
            soft_wrap=True,
        )
    if gone > 0:
        rendering.out.print(
            f"{gone:,} more were only counted: their file had more than max_stored_rejects, the load reached its limit for stored"
            " rows, or they are older than SCX_KEEP_REJECTED_DAYS",
            style="dim",
            soft_wrap=True,
        )


@app.command(epilog="Example: scx analyze scx ground_profile_by_month")
def analyze(
    star: StarName,
    query: Annotated[
        str | None, typer.Argument(help="One of the star's queries; all of them if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer the analysts' questions: each query's result as a table and a chart."""
    from scx_pipeline.reporting.queries import find_query, run_query

    compiled = find_star(star)
    queries = [find_query(compiled, query)] if query else list(compiled.star.queries)
    answers: dict[str, Any] = {}
    with warehouse_of(read_settings()).reading() as session:
        for item in queries:
            frame = run_query(session, compiled, item.name)
            answers[item.name] = rendering.records(frame)
            if not as_json:
                rendering.show_frame(frame, item.title)
                if item.chart:
                    rendering.show_chart(frame, item)
                rendering.out.print()
    if as_json:
        print(json.dumps(answers, indent=2, default=str))


@app.command(epilog="Example: scx doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Look at settings, versions, bucket, warehouse and permissions, and say what to mend."""
    from scx_pipeline.services.doctor import examine

    findings = list(examine(read_settings()))
    if as_json:
        print(json.dumps([vars(item) for item in findings], indent=2))
    else:
        for item in findings:
            mark = "[green]ok  [/green]" if item.well else "[red]mend[/red]"
            rendering.out.print(f"{mark} [bold]{item.name}[/bold]  ", end="")
            rendering.out.print(item.found, markup=False, soft_wrap=True)
            if not item.well:
                rendering.out.print(f"     → {item.advice}", markup=False)
    if not all(item.well for item in findings):
        raise typer.Exit(1)


@generate.command(
    "songplays", epilog="Example: scx generate songplays --to 2018-11 --events 8056 --songs 71 --seed 7"
)
def generate_songplays(
    to: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The last month; default: this month.")
    ] = None,
    months: Annotated[int, typer.Option(help="How many months, ending with --to.")] = 12,
    events: Annotated[int, typer.Option(help="Events in total.")] = 24_000,
    songs: Annotated[int, typer.Option(help="Songs with metadata, a file each.")] = 500,
    matching: Annotated[int, typer.Option(help="How many of these songs are played.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    bad_lines: Annotated[int, typer.Option(help="Lines to add that no load may accept.")] = 0,
    duplicates: Annotated[int, typer.Option(help="Events to write twice.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Generate the music app's events and songs into the bucket, and say what a right load of it must find."""
    from scx_pipeline.samples.songplays.songplays_bucket import SongplaysOptions

    options = SongplaysOptions(
        to=to or str(Month.current()),
        months=months,
        events=events,
        songs=songs,
        matching=matching,
        seed=seed,
        bad_lines=bad_lines,
        duplicates=duplicates,
    )
    _tell_generated("songplays", options, as_json)


@generate.command("scx", epilog="Example: scx generate scx --to 2021-12 --months 24 --jobs 1000000 --seed 7")
def generate_scx(
    to: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The last month; default: this month.")
    ] = None,
    months: Annotated[int, typer.Option(help="How many months, ending with --to.")] = 12,
    jobs: Annotated[int, typer.Option(help="Jobs in total.")] = 24_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    layout: Annotated[
        Layout, typer.Option(help="Files by month, one concatenated file, or half and half.")
    ] = "monthly",
    compression: Annotated[Compression, typer.Option(help="Of the monthly files.")] = "none",
    bad_rows: Annotated[int, typer.Option(help="Rows to add that no load may accept.")] = 0,
    duplicates: Annotated[int, typer.Option(help="Older versions of jobs to add.")] = 0,
    late_rows: Annotated[int, typer.Option(help="Jobs to write a month late.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Generate Scx's job log into the bucket, and say what a right load of it must find."""
    from scx_pipeline.samples.scx.scx_bucket import ScxLogOptions

    options = ScxLogOptions(
        to or str(Month.current()),
        months,
        jobs,
        seed,
        layout,
        compression,
        bad_rows,
        duplicates,
        late_rows,
    )
    _tell_generated("scx", options, as_json)


@generate.command(
    "sensor_readings", epilog="Example: scx generate sensor_readings --start '2023-01-01 00:00' --files 43201"
)
def generate_sensor_readings(
    start: Annotated[
        str | None,
        typer.Option(
            metavar="'YYYY-MM-DD HH:MM'", help="The minute of the first file; default: of this month."
        ),
    ] = None,
    files: Annotated[int, typer.Option(help="How many files, one a minute.")] = 1_440,
    rows: Annotated[int, typer.Option(help="Rows of each file.")] = 1_914,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Generate the sensors' small Parquet files into the bucket, and say what a right load of them must find."""
    from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions

    options = SensorOptions(start or f"{Month.current()}-01 00:00", files, rows, seed)
    _tell_generated("sensor_readings", options, as_json)


@app.command(epilog="Example: SCX_HOME=/tmp/try scx demo")
def demo() -> None:
    """Generate a bucket, load every star, and show the report and the analysts' answer."""
    from scx_pipeline.cli.demo import DEMO, explore
    from scx_pipeline.declarations.star_folder import star_names
    from scx_pipeline.storage.bucket import create_bucket

    settings = read_settings()
    _make_home(settings)
    for name in star_names():
        compiled = find_star(name)
        if not any(
            create_bucket(settings.bucket).list_objects(source.prefix) for source in compiled.star.sources
        ):
            rendering.out.print(f"[bold]1. generate[/bold]  a sample bucket in {settings.bucket}")
            _generate(name, DEMO[name](), settings, quiet=False)
        rendering.out.print(f"[bold]2. load[/bold]  {name} into {warehouse_of(settings).url}")
        outcomes = run_parts(compiled, settings, _parts(compiled, settings, CHANGED), quiet=False)
        if not all(outcome.success for outcome in outcomes):
            raise typer.Exit(1)
        rendering.out.print("[bold]3. ask[/bold]")
        with warehouse_of(settings).reading() as session:
            explore(session, compiled)
    rendering.out.print("Next: [bold]make ui[/bold], or scx status scx, scx analyze scx, scx rejected scx")


def _plan(compiled: CompiledStar, settings: Settings) -> Plan:
    from scx_pipeline.loading.changes import plan_star

    planned = plan_star(compiled, bucket_of(settings), warehouse_of(settings))
    if _is_empty(planned):
        raise PipelineError(
            f"the bucket {settings.bucket} has no objects under {_prefixes(compiled)}: upload some, or run `scx generate {compiled.star.name}`"
        )
    return planned


def _is_empty(planned: Plan) -> bool:
    """Whether a star has no objects, and nothing was ever loaded."""
    return not planned.selection.objects and not planned.loaded


def _prefixes(compiled: CompiledStar) -> str:
    return ", ".join(source.prefix for source in compiled.star.sources)


@dataclass(frozen=True)
class _Way:
    """Where a load's rows come from: what is due, and the tags of its runs."""

    settings: Settings
    parts: Callable[[CompiledStar, Settings, str | tuple[str, str]], list[LoadScope]]
    tags: Callable[[], Mapping[str, str]]
    standing: str  # how a month stands that is not due

    def run(self, compiled: CompiledStar, choice: str | tuple[str, str], *, quiet: bool) -> list[RunOutcome]:
        parts = self.parts(compiled, self.settings, choice)
        return run_parts(compiled, self.settings, parts, quiet=quiet, tags=self.tags)


def _raw_way(settings: Settings, lake: str | None) -> _Way:
    if lake:
        raise PipelineError("--lake says where --from lake loads from: add --from lake, or leave it out")
    return _Way(settings, _parts, dict, "its objects are")


def _lake_way(settings: Settings, last: str | None, lake: str | None) -> _Way:
    if last:
        raise PipelineError(
            "--from lake goes without --to: name a month with --month, or load all that the lake has with --all"
        )
    if lake:
        settings = settings.model_copy(update={"lake_url": lake})

    def tags() -> Mapping[str, str]:
        from scx_pipeline.orchestration.runs.execute import lake_tags

        return lake_tags(settings.lake)

    return _Way(settings, _parts_of_lake, tags, "the lake has it")


def _parts_of_lake(
    compiled: CompiledStar, settings: Settings, choice: str | tuple[str, str]
) -> list[LoadScope]:
    """The loads from the lake that it takes. Raises PipelineError for what the lake has not, or of another make."""
    from scx_pipeline.lake.load.load_plan import plan_loading

    named = range_option(compiled, *choice) if isinstance(choice, tuple) else None
    planned = plan_loading(compiled, settings.lake, warehouse_of(settings))
    unpartitioned = planned.unpartitioned or (
        choice == EVERYTHING and planned.manifest.unpartitioned is not None
    )
    months = named.months if named else planned.all_months if choice == EVERYTHING else planned.months
    planned.check(unpartitioned, months)
    first: list[LoadScope] = [UNPARTITIONED] if unpartitioned else []
    return [*first, *contiguous_ranges(list(months))]


def _parts(compiled: CompiledStar, settings: Settings, choice: str | tuple[str, str]) -> list[LoadScope]:
    """The loads that it takes, one after the other; the one of the unpartitioned tables comes first."""
    if isinstance(choice, tuple):  # loaded without a look at what has changed
        scope = range_option(compiled, *choice)
        return (
            [UNPARTITIONED, scope]
            if compiled.star.unpartitioned and not _unpartitioned_is_current(compiled, settings)
            else [scope]
        )
    planned = _plan(compiled, settings)
    unpartitioned = planned.unpartitioned or (choice == EVERYTHING and compiled.star.unpartitioned)
    first: list[LoadScope] = [UNPARTITIONED] if unpartitioned else []
    return [*first, *scopes_due(compiled, planned, choice)]


def _unpartitioned_is_current(compiled: CompiledStar, settings: Settings) -> bool:
    """Whether the tables without months were made before."""
    from scx_pipeline.history.load_history import read_unpartitioned

    with warehouse_of(settings).reader() as session:
        return session is not None and read_unpartitioned(session, compiled.star.name) is not None


def _tell_generated(star: str, options: Any, as_json: bool) -> None:
    """Generate, and print what is in the bucket now: the numbers of each month as JSON only."""
    from dataclasses import asdict

    report = asdict(_generate(star, options, read_settings(), quiet=as_json))
    if as_json:
        print(json.dumps(report, indent=2))
        return
    report["bytes"] = rendering.size(report["bytes"])
    rendering.out.print(
        ", ".join(
            f"{name.replace('_', ' ')} {rendering.plain(value)}"
            for name, value in report.items()
            if not isinstance(value, dict)
        )
    )


def _make_home(settings: Settings) -> None:
    """Make SCX_HOME for its owner alone, if the bucket is to be in it; whether it can be made, the bucket says."""
    if not settings.bucket_url:
        with suppress(OSError):
            make_private(settings.home)


def _generate(star: str, options: Any, settings: Settings, *, quiet: bool) -> Any:
    from importlib import import_module

    from scx_pipeline.storage.bucket import create_bucket

    write = import_module(f"scx_pipeline.samples.{star}.{star}_bucket").generate
    _make_home(settings)
    bucket = create_bucket(settings.bucket)
    bucket.list_objects(f"{star}-is-not-here/")  # one that is absent or refuses us says so at once
    try:
        if quiet:
            return write(options, bucket.store)
        with rendering.err.status("generating") as line:
            return write(options, bucket.store, line.update)
    except ValueError as error:
        raise PipelineError(str(error)) from None


def be_quick() -> None:
    """Look for garbage less often: importing Dagster makes objects by the hundred thousand, none of them garbage."""
    gc.set_threshold(50_000, 20, 50)


def main(run: Callable[[], Any] = app) -> None:
    """The command: a user's mistake is told as one message, and never as a traceback."""
    be_quick()
    try:
        run()
    except PipelineError as error:
        rendering.error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        rendering.error("interrupted; what was not published yet is as it was before")
        sys.exit(130)


def console() -> None:
    """The console script: `main`, and out at once: freeing a million objects would take a quarter of a small load's time.

    What the interpreter does for others at its end is still done: exit handlers, and output written to its end.
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
    except BrokenPipeError:  # whoever read the output has enough of it
        code = code or 1
    os._exit(code or 0)


if __name__ == "__main__":
    console()
