"""The scenario `lake`: builds of the lake of songplays by DuckDB, by Spark, and by Spark as in the original project.

Each build runs in its own process, on two cores.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from scx_pipeline.cli.rendering import out
from scx_pipeline.errors import LakeError
from tools.bench.bench import Bench
from tools.bench.measure import Result, Timing, run

TO = "2019-12"
BUILD, ORIGINAL = "tools.bench.lake_build", "tools.bench.original_lake"
DUCKDB, SPARK, ORIGINAL_BUILD = "DuckDB", "Spark", "the original project"
BUILDS = {DUCKDB: (BUILD, "duckdb"), SPARK: (BUILD, "spark"), ORIGINAL_BUILD: (ORIGINAL,)}
PAIRS = ((SPARK, DUCKDB), (ORIGINAL_BUILD, DUCKDB), (SPARK, ORIGINAL_BUILD))
TABLES = ("songplays", "time", "users", "songs", "artists")


@dataclass(frozen=True)
class Size:
    """A multiple of the public music data, which has 8,056 events in the files of a month, and 71 songs."""

    times: int
    months: int
    rounds: int

    @property
    def name(self) -> str:
        return f"{self.times}×"


SIZES = (Size(1, 1, 3), Size(10, 10, 1), Size(100, 24, 1))


@dataclass
class BuildTimings:
    """The timings of a build in each round: of the whole lake, and after the file of a day has changed."""

    whole: list[Timing] = field(default_factory=list)
    day: list[Timing] = field(default_factory=list)


def lakes(bench: Bench) -> Iterator[Result]:
    """Builds of the songplays lake from the raw log, at 1, 10 and 100 times the public music data, by three builds, each in
    new processes on two cores: the embedded DuckDB, Spark with the same builder (`local[2]`, one application), and Spark
    as in the original project, which reads and rewrites everything and has no checks, rejected rows or row counts.
    Then one day's file of the latest month changes: this project rebuilds that month, the original project rebuilds all.

    Times are from the start of a process to its exit, including the JVM's; at 1 times, the median of three. Memory is that
    of all processes of a build together. Songs are stored in one folder per year and artist, as in the original: at 100
    times, the original project spends almost half of its time on writing these thousands of files.
    The time per further event is the slope between the two largest sizes. As long as Spark's is not below DuckDB's, Spark
    is not faster at any size on one machine; it is meant for several machines.
    """
    reason = find_obstacle()
    if reason is not None:
        out.print(f"lake: skipped: {reason}", markup=False)
        return
    slopes: dict[str, list[float]] = {}
    events: list[int] = []
    for size in SIZES:
        comparison = LakeComparison(bench.folder / f"lake-{size.times}", size)
        timings = {build: BuildTimings() for build in BUILDS}
        for number in range(size.rounds):
            comparison.measure(timings, backwards=number % 2 == 1)
        yield from comparison.results(timings)
        events.append(comparison.expected["staging_events"])
        for build in BUILDS:
            slopes.setdefault(build, []).append(_seconds(timings[build].whole))
    yield from _further(events, slopes)


def find_obstacle() -> str | None:
    """Return why Spark cannot run on this machine; None if it can."""
    from scx_pipeline.orchestration.spark.pipes import check_java

    if find_spec("pyspark") is None:
        return "needs PySpark: pip install 'scx_pipeline[spark]'"
    try:
        check_java()
    except LakeError as error:
        return str(error)
    return None


class LakeComparison:
    """A generated bucket of a size, and the lake that each build makes from it."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size
        self.bucket = folder / "bucket"
        self.wrong = 0  # missing and surplus rows, in the lakes of this project
        self.written: dict[str, int] = {}
        self.expected = self._generate()
        self.day = self.bucket / f"log_data/{TO.replace('-', '/')}/{TO}-15-events.json"

    def _generate(self) -> dict[str, int]:
        """Rewrite the bucket, and return the expected row count of each table."""
        import obstore.store

        from scx_pipeline.samples.songplays.songplays_bucket import SongplaysOptions, generate

        shutil.rmtree(self.bucket, ignore_errors=True)
        self.bucket.mkdir(parents=True)
        times = self.size.times
        options = SongplaysOptions(TO, self.size.months, 8_056 * times, 71 * times, matching=times)
        made = generate(options, obstore.store.LocalStore(str(self.bucket)))
        return {
            "staging_events": made.events,
            "staging_songs": made.songs,
            "songplays": made.songplays,
            "time": made.times,
            "users": made.users,
            "songs": made.songs,
            "artists": made.artists,
        }

    def measure(self, timings: Mapping[str, BuildTimings], backwards: bool) -> None:
        """Measure a round: each build makes its lake, and again after the file of a day has changed.

        Args:
            timings: the lists of each build to append to.
            backwards: whether the last build is the first of the round.
        """
        builds = list(reversed(BUILDS)) if backwards else list(BUILDS)
        for build in builds:
            shutil.rmtree(self._lake(build), ignore_errors=True)
            timings[build].whole.append(self._run(build))
        self._compare({})
        with self._changed():
            for build in builds:
                timings[build].day.append(self._run(build))
            self._compare({"staging_events": 1, "songplays": 1})

    def _run(self, build: str) -> Timing:
        module, *kind = BUILDS[build]
        command = [sys.executable, "-m", module, *kind, self.bucket.as_uri(), self._lake(build).as_uri()]
        timing = run(command, {}, watch=True)
        times = f"{self.size.name}, {build}: {timing.seconds:.1f} s, of which {_start_seconds(timing):.1f} s to start"
        out.print(f"{times}; {timing.peak_mb:,.0f} MB", markup=False, highlight=False)
        return timing

    def _lake(self, build: str) -> Path:
        return self.folder / f"lake-{list(BUILDS).index(build)}"

    @contextmanager
    def _changed(self) -> Iterator[None]:
        """Remove the last play of a song from the file of a day of the newest month during the block."""
        before = self.day.read_bytes()
        lines = before.splitlines(keepends=True)
        last = max(number for number, line in enumerate(lines) if json.loads(line)["page"] == "NextSong")
        self.day.write_bytes(b"".join(lines[:last] + lines[last + 1 :]))
        try:
            yield
        finally:
            self.day.write_bytes(before)

    def _compare(self, fewer: Mapping[str, int]) -> None:
        """Count the missing and surplus rows in the lakes of this project; after a change, in the changed tables only."""
        for build in (DUCKDB, SPARK):
            found = _rows_by_table(self._lake(build))
            for table, rows in self.expected.items():
                if table in fewer or not fewer:
                    self.wrong += abs(found[table] - (rows - fewer.get(table, 0)))
            if not fewer:
                self.written[build] = sum(found.values())
        if not fewer:
            self.written[ORIGINAL_BUILD] = sum(_rows(self._lake(ORIGINAL_BUILD) / table) for table in TABLES)

    def results(self, timings: Mapping[str, BuildTimings]) -> Iterator[Result]:
        """Yield the ratios of this size."""
        head, events = self.size.name, f"{self.expected['staging_events']:,} events"
        for what, of in (
            (events, {build: item.whole for build, item in timings.items()}),
            ("a day's file changed", {build: item.day for build, item in timings.items()}),
        ):
            for build, other in PAIRS:
                yield _ratio(f"{head}, {what}: {build} / {other}", of[build], of[other])
        rows = ", ".join(f"{build} {count:,}" for build, count in self.written.items())
        note = f"rows written: {rows} (no staging tables)"
        yield Result(
            f"{head}: rows of this project that differ from the generated ones",
            self.wrong,
            None,
            0,
            "rows",
            note,
        )


def _rows_by_table(lake: Path) -> dict[str, int]:
    """Return the number of rows of each table by the manifest of a lake."""
    from scx_pipeline.lake.format.lake_store import open_lake_store
    from scx_pipeline.lake.format.manifest import read_manifest

    manifest = read_manifest(open_lake_store(lake.as_uri(), "songplays"), "songplays")
    names = (*TABLES, "staging_events", "staging_songs")
    return {name: sum(item.rows for item in manifest.select_files(name)) for name in names}


def _rows(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))


def _ratio(name: str, timings: Sequence[Timing], other: Sequence[Timing]) -> Result:
    return Result(
        name, _seconds(timings), _seconds(other), None, note=f"{_describe(timings)} / {_describe(other)}"
    )


def _describe(timings: Sequence[Timing]) -> str:
    """Return the seconds, in total and to start, and the memory."""
    start = median(_start_seconds(item) for item in timings)
    peak = max(item.peak_mb for item in timings)
    return f"{_seconds(timings):.1f} s ({start:.1f} s to start; {peak:,.0f} MB)"


def _seconds(timings: Sequence[Timing]) -> float:
    return median(item.seconds for item in timings)


def _start_seconds(timing: Timing) -> float:
    """Return the seconds that a process needed to start, from its output."""
    line = next(line for line in timing.output.splitlines() if line.startswith('{"started"'))
    return float(json.loads(line)["started"])


def _further(events: Sequence[int], seconds: Mapping[str, Sequence[float]]) -> Iterator[Result]:
    """Yield the time per further event, between the two largest sizes, of each pair of builds."""
    if len(events) < 2:
        return
    slopes = {build: (times[-1] - times[-2]) / (events[-1] - events[-2]) for build, times in seconds.items()}
    for build, other in PAIRS:
        note = f"{slopes[build] * 1e6:,.0f} µs / {slopes[other] * 1e6:,.0f} µs"
        yield Result(f"a further event: {build} / {other}", slopes[build], slopes[other], None, note=note)
