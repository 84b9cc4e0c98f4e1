"""The scenario `lake`: the lake of songplays by DuckDB, by Spark, and as the original made it by Spark; on two cores each.
Each build runs in its own process."""

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
DUCKDB, SPARK, BEFORE = "DuckDB", "Spark", "the original's way"
WAYS = {DUCKDB: (BUILD, "duckdb"), SPARK: (BUILD, "spark"), BEFORE: (ORIGINAL,)}
PAIRS = ((SPARK, DUCKDB), (BEFORE, DUCKDB), (SPARK, BEFORE))
TABLES = ("songplays", "time", "users", "songs", "artists")


@dataclass(frozen=True)
class Size:
    """How many times the public music data: 8,056 events in a month's files, and 71 songs. The larger ones take minutes, once."""

    times: int
    months: int
    rounds: int

    @property
    def name(self) -> str:
        return f"{self.times}×"


SIZES = (Size(1, 1, 3), Size(10, 10, 1), Size(100, 24, 1))


@dataclass
class Taken:
    """What a way took, in each round: for all of the lake, and after a day's file had changed."""

    unpartitioned: list[Timing] = field(default_factory=list)
    day: list[Timing] = field(default_factory=list)


def lakes(bench: Bench) -> Iterator[Result]:
    """Builds of the songplays lake from the raw log, at 1, 10 and 100 times the public music data, in three ways, each in
    new processes on two cores: the embedded DuckDB, Spark with the same builder (`local[2]`, one application), and Spark
    as in the original project, which reads and rewrites everything and has no checks, rejected rows or row counts.
    Then one day's file of the latest month changes: this project rebuilds that month, the original's way rebuilds all.

    Times are from the start of a process to its exit, including the JVM's; at 1 times, the median of three. Memory is that
    of all processes of a way together. Songs are stored in one folder per year and artist, as in the original: at 100
    times, the original's way spends almost half of its time on writing these thousands of files.
    The time of a further event is the slope between the two largest sizes. As long as Spark's is not below DuckDB's, Spark
    is not faster at any size on one machine; it is meant for several machines.
    """
    reason = absent()
    if reason is not None:
        out.print(f"lake: skipped: {reason}", markup=False)
        return
    slopes: dict[str, list[float]] = {}
    events: list[int] = []
    for size in SIZES:
        world = World(bench.folder / f"lake-{size.times}", size)
        taken = {way: Taken() for way in WAYS}
        for number in range(size.rounds):
            world.measure(taken, backwards=number % 2 == 1)
        yield from world.results(taken)
        events.append(world.expected["staging_events"])
        for way in WAYS:
            slopes.setdefault(way, []).append(_seconds(taken[way].unpartitioned))
    yield from _further(events, slopes)


def absent() -> str | None:
    """Why there is no Spark here; None where there is one."""
    from scx_pipeline.orchestration.spark.pipes import check_java

    if find_spec("pyspark") is None:
        return "needs PySpark: pip install 'scx_pipeline[spark]'"
    try:
        check_java()
    except LakeError as error:
        return str(error)
    return None


class World:
    """A generated bucket of a size, and the lakes that the ways make of it."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size
        self.bucket = folder / "bucket"
        self.wrong = 0  # rows more or fewer than were generated, in all of our lakes
        self.written: dict[str, int] = {}
        self.expected = self._generate()
        self.day = self.bucket / f"log_data/{TO.replace('-', '/')}/{TO}-15-events.json"

    def _generate(self) -> dict[str, int]:
        """Rewrite the bucket, and return the row counts that its lake must have, by table."""
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

    def measure(self, taken: Mapping[str, Taken], backwards: bool) -> None:
        """A round: every way makes its lake, and again after a day's file has changed; in turns from either end."""
        ways = list(reversed(WAYS)) if backwards else list(WAYS)
        for way in ways:
            shutil.rmtree(self._lake(way), ignore_errors=True)
            taken[way].unpartitioned.append(self._run(way))
        self._compare({})
        with self._changed():
            for way in ways:
                taken[way].day.append(self._run(way))
            self._compare({"staging_events": 1, "songplays": 1})

    def _run(self, way: str) -> Timing:
        module, *kind = WAYS[way]
        command = [sys.executable, "-m", module, *kind, self.bucket.as_uri(), self._lake(way).as_uri()]
        timing = run(command, {}, watch=True)
        times = f"{self.size.name}, {way}: {timing.seconds:.1f} s, of which {_start_seconds(timing):.1f} s to start"
        out.print(f"{times}; {timing.peak_mb:,.0f} MB", markup=False, highlight=False)
        return timing

    def _lake(self, way: str) -> Path:
        return self.folder / f"lake-{list(WAYS).index(way)}"

    @contextmanager
    def _changed(self) -> Iterator[None]:
        """A day's file of the newest month without its last play of a song."""
        before = self.day.read_bytes()
        lines = before.splitlines(keepends=True)
        last = max(number for number, line in enumerate(lines) if json.loads(line)["page"] == "NextSong")
        self.day.write_bytes(b"".join(lines[:last] + lines[last + 1 :]))
        try:
            yield
        finally:
            self.day.write_bytes(before)

    def _compare(self, fewer: Mapping[str, int]) -> None:
        """Count the missing and the surplus rows of our lakes; after a change, of the changed tables only."""
        for way in (DUCKDB, SPARK):
            found = _rows_by_table(self._lake(way))
            for table, rows in self.expected.items():
                if table in fewer or not fewer:
                    self.wrong += abs(found[table] - (rows - fewer.get(table, 0)))
            if not fewer:
                self.written[way] = sum(found.values())
        if not fewer:
            self.written[BEFORE] = sum(_rows(self._lake(BEFORE) / table) for table in TABLES)

    def results(self, taken: Mapping[str, Taken]) -> Iterator[Result]:
        """The ratios of this size."""
        head, events = self.size.name, f"{self.expected['staging_events']:,} events"
        for what, of in (
            (events, {way: item.unpartitioned for way, item in taken.items()}),
            ("a day's file changed", {way: item.day for way, item in taken.items()}),
        ):
            for way, other in PAIRS:
                yield _ratio(f"{head}, {what}: {way} / {other}", of[way], of[other])
        rows = ", ".join(f"{way} {count:,}" for way, count in self.written.items())
        note = f"rows written: {rows} (no staging tables)"
        yield Result(
            f"{head}: rows of ours that differ from the generated", self.wrong, None, 0, "rows", note
        )


def _rows_by_table(lake: Path) -> dict[str, int]:
    """The rows of each table that a lake's manifest lists."""
    from scx_pipeline.lake.format.lake_store import open_lake_store
    from scx_pipeline.lake.format.manifest import read_manifest

    manifest = read_manifest(open_lake_store(lake.as_uri(), "songplays"), "songplays")
    names = (*TABLES, "staging_events", "staging_songs")
    return {name: sum(item.rows for item in manifest.select_files(name)) for name in names}


def _rows(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))


def _ratio(name: str, ours: Sequence[Timing], other: Sequence[Timing]) -> Result:
    return Result(name, _seconds(ours), _seconds(other), None, note=f"{_describe(ours)} / {_describe(other)}")


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
    """What an event more takes, between the two largest sizes, by one way and the other."""
    if len(events) < 2:
        return
    slopes = {way: (taken[-1] - taken[-2]) / (events[-1] - events[-2]) for way, taken in seconds.items()}
    for way, other in PAIRS:
        note = f"{slopes[way] * 1e6:,.0f} µs / {slopes[other] * 1e6:,.0f} µs"
        yield Result(f"a further event: {way} / {other}", slopes[way], slopes[other], None, note=note)
