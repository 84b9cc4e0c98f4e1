"""`scx generate`: realistic sample buckets, and what a correct load of them must find.

How samples are generated does not belong here.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Annotated, Any, Literal

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import AsJson, expand_option_groups
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import Month
from scx_pipeline.settings import Settings, read_settings
from scx_pipeline.storage.temporary_folder import create_private_folder

Layout = Literal["monthly", "concatenated", "both"]
Compression = Literal["none", "gzip", "zstd"]

app = typer.Typer(no_args_is_help=True, help="Generate a realistic sample bucket for a star.")


@dataclass(frozen=True)
class MonthlyOptions:
    """The options of samples by month."""

    to: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The last month; default: this month.")
    ] = None
    months: Annotated[int, typer.Option(help="The number of months, ending with --to.")] = 12
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1

    def values(self) -> dict[str, Any]:
        """Return the options by name, with the default of the last month."""
        return {**asdict(self), "to": self.to or str(Month.current())}


@dataclass(frozen=True)
class SongplaysSampleOptions(MonthlyOptions):
    """The options of `scx generate songplays`."""

    events: Annotated[int, typer.Option(help="The total number of events.")] = 24_000
    songs: Annotated[int, typer.Option(help="Songs with metadata, one file each.")] = 500
    matching: Annotated[int, typer.Option(help="How many of these songs are played.")] = 50
    bad_lines: Annotated[int, typer.Option(help="Invalid lines to add, which a load must reject.")] = 0
    duplicates: Annotated[int, typer.Option(help="Events to write twice.")] = 0


@dataclass(frozen=True)
class ScxSampleOptions(MonthlyOptions):
    """The options of `scx generate scx`."""

    jobs: Annotated[int, typer.Option(help="The total number of jobs.")] = 24_000
    layout: Annotated[
        Layout, typer.Option(help="One file per month, one concatenated file, or half of each.")
    ] = "monthly"
    compression: Annotated[Compression, typer.Option(help="The compression of monthly files.")] = "none"
    bad_rows: Annotated[int, typer.Option(help="Invalid rows to add, which a load must reject.")] = 0
    duplicates: Annotated[int, typer.Option(help="Older versions of jobs to add.")] = 0
    late_rows: Annotated[int, typer.Option(help="Jobs to write a month late.")] = 0


@app.command(
    "songplays", epilog="Example: scx generate songplays --to 2018-11 --events 8056 --songs 71 --seed 7"
)
@expand_option_groups
def generate_songplays(options: SongplaysSampleOptions, as_json: AsJson = False) -> None:
    """Generate the music app's events and songs into the bucket, and report what a correct load must find."""
    from scx_pipeline.samples.songplays.songplays_bucket import SongplaysOptions

    _generate_and_report("songplays", SongplaysOptions(**options.values()), as_json)


@app.command("scx", epilog="Example: scx generate scx --to 2021-12 --months 24 --jobs 1000000 --seed 7")
@expand_option_groups
def generate_scx(options: ScxSampleOptions, as_json: AsJson = False) -> None:
    """Generate Scx's job log into the bucket, and report what a correct load must find."""
    from scx_pipeline.samples.scx.plan import ScxLogOptions

    _generate_and_report("scx", ScxLogOptions(**options.values()), as_json)


@app.command(
    "sensor_readings", epilog="Example: scx generate sensor_readings --start '2023-01-01 00:00' --files 43201"
)
def generate_sensor_readings(
    start: Annotated[
        str | None,
        typer.Option(
            metavar="'YYYY-MM-DD HH:MM'",
            help="The minute of the first file; default: the first minute of this month.",
        ),
    ] = None,
    files: Annotated[int, typer.Option(help="The number of files, one per minute.")] = 1_440,
    rows: Annotated[int, typer.Option(help="Rows per file.")] = 1_914,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Generate the sensors' small Parquet files into the bucket, and report what a correct load must find."""
    from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions

    options = SensorOptions(start or f"{Month.current()}-01 00:00", files, rows, seed)
    _generate_and_report("sensor_readings", options, as_json)


def _generate_and_report(star: str, options: Any, as_json: bool) -> None:
    """Generate a sample, and print what the bucket has now; the numbers of each month only as JSON."""
    report = asdict(generate_sample(star, options, read_settings(), quiet=as_json))
    if as_json:
        rendering.print_json(report)
        return
    report["bytes"] = rendering.format_bytes(report["bytes"])
    totals = {name.replace("_", " "): value for name, value in report.items() if not isinstance(value, dict)}
    rendering.out.print(
        ", ".join(f"{name} {rendering.format_value(value)}" for name, value in totals.items())
    )


def generate_sample(star: str, options: Any, settings: Settings, *, quiet: bool) -> Any:
    """Generate a star's sample into the bucket of the settings.

    Args:
        star: the star's name.
        options: the options of the star's sample.
        settings: the settings that name the bucket.
        quiet: whether to show no progress.

    Returns:
        What a correct load must find, as a dataclass of the sample.

    Raises:
        PipelineError: if the bucket refuses, or an option is out of range.
    """
    from scx_pipeline.storage.bucket import create_bucket

    write = import_module(f"scx_pipeline.samples.{star}.{star}_bucket").generate
    create_home(settings)
    bucket = create_bucket(settings.bucket)
    bucket.list_objects(f"{star}-access-check/")  # fails at once if the bucket is missing or refuses access
    try:
        if quiet:
            return write(options, bucket.store)
        with rendering.err.status("generating") as status:
            return write(options, bucket.store, status.update)
    except ValueError as error:
        raise PipelineError(str(error)) from None


def create_home(settings: Settings) -> None:
    """Create SCX_HOME, readable only by its owner, if the bucket is inside it; an error is left to the bucket."""
    if not settings.bucket_url:
        with suppress(OSError):
            create_private_folder(settings.home)
