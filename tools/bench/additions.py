"""The scenario `additions`: one more file of a month of tens of thousands, on DuckDB and PostgreSQL.

Loads of all files are not measured here.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from scx_pipeline_tests.support.servers.postgres import postgres_server
from tools.bench.bench import Bench
from tools.bench.measure import Result, Timing, run, scx
from tools.bench.sensor_files import readings

LOAD_MONTH = scx("load", "sensor_readings", "--month", "2023-01")
DAY = 1_440  # files
ADDED = 20  # files that are added one by one, of which the first is not counted: it imports
# Adds files to a bucket one by one, loads after each, and prints the median seconds and CPU seconds of a load.
ONE_BY_ONE = """
import os, statistics, sys, time
from scx_pipeline.cli.main import collect_garbage_less_often
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.orchestration.execute import open_runner
from scx_pipeline.settings import read_settings
collect_garbage_less_often()
month, seconds, cpu = Month(2023, 1), [], []
with open_runner(load_star(stars_folder() / "sensor_readings"), read_settings(), lambda message: None) as run:
    for file in sys.argv[2:]:
        os.link(file, os.path.join(sys.argv[1], os.path.basename(file)))
        started, used = time.monotonic(), time.process_time()
        assert run(MonthRange(month, month)).success
        seconds.append(time.monotonic() - started)
        cpu.append(time.process_time() - used)
print(statistics.median(seconds[1:]), statistics.median(cpu[1:]))
"""


@dataclass
class GrowingMonth:
    """A bucket to which the files of a month are added in their order, and the settings of its loads."""

    folder: Path
    files: Sequence[str]
    settings: dict[str, str]
    added: int = field(default=0, init=False)

    def add(self, total: int) -> None:
        """Add files until there are so many."""
        for file in self.files[self.added : total]:
            os.link(file, self.folder / Path(file).name)
        self.added = total

    def load(self, total: int) -> Timing:
        """Add files until there are so many, and load the month once."""
        self.add(total)
        return run(LOAD_MONTH, self.settings)

    def load_one_by_one(self) -> Timing:
        """Add some files, each with a load in the same process; return the median of these loads."""
        files = self.files[self.added : self.added + ADDED]
        done = run([sys.executable, "-c", ONE_BY_ONE, str(self.folder), *files], self.settings)
        self.added += len(files)
        seconds, cpu = map(float, done.output.split()[-2:])
        return Timing(seconds, done.peak_mb, cpu_seconds=cpu)


def additions(bench: Bench) -> Iterator[Result]:
    """One more file of a month with tens of thousands of files, published and checked, start to exit, against a load of a month
    with one file; and files that are published one by one, each by a load in the same process: the last of a day against the
    first of the day, and against those that follow the month's first day. What grows with the month is its listing."""
    files = bench.files(readings(bench), "data_sample/*.parquet")[: bench.file_count]
    with postgres_server(bench.folder) as server:
        for engine in ("DuckDB", "PostgreSQL"):
            months = []
            for name in ("small", "growing"):
                url = server.create_database(name) if engine == "PostgreSQL" else ""
                months.append(_empty_month(bench, name, files, url))
            yield from _measure(bench, engine, *months)


def _empty_month(bench: Bench, name: str, files: Sequence[str], warehouse_url: str) -> GrowingMonth:
    home = bench.folder / f"additions-{name}"
    shutil.rmtree(home, ignore_errors=True)
    folder = home / "bucket" / "data_sample"
    folder.mkdir(parents=True)
    settings = {"SCX_HOME": str(home / "home"), "SCX_BUCKET_URL": folder.parent.as_uri()}
    return GrowingMonth(
        folder, files, settings | ({"SCX_WAREHOUSE_URL": warehouse_url} if warehouse_url else {})
    )


def _measure(bench: Bench, engine: str, small: GrowingMonth, month: GrowingMonth) -> Iterator[Result]:
    total = len(month.files)
    day = min(DAY, total // 4)
    small.load(1)
    month.load(day)
    early = month.load_one_by_one()
    month.load(total - day)
    first = month.load_one_by_one()
    others = total - ADDED - bench.repeats
    month.load(others)
    pairs = [(month.load(others + number), small.load(1)) for number in range(1, bench.repeats + 1)]
    last = month.load_one_by_one()
    name = f"one more file after {others:,} others / a small month, {engine}"
    yield _compare(name, _median([one for one, _ in pairs]), _median([other for _, other in pairs]), 2.0)
    yield _compare(f"files one by one: the last of a day / its first, {engine}", last, first, 1.15)
    yield _compare(f"files one by one: after {others:,} others / after {day:,}, {engine}", last, early, None)


def _median(timings: Sequence[Timing]) -> Timing:
    return Timing(
        median(item.seconds for item in timings),
        max(item.peak_mb for item in timings),
        cpu_seconds=median(item.cpu_seconds for item in timings),
    )


def _compare(name: str, measured: Timing, other: Timing, promise: float | None) -> Result:
    """Return the seconds of a run as a multiple of those of another one, with the CPU seconds of the two."""
    seconds = f"{measured.seconds:.2f} s / {other.seconds:.2f} s"
    cpu = f"CPU without the server's: {measured.cpu_seconds:.2f} s / {other.cpu_seconds:.2f} s"
    return Result(name, measured.seconds, other.seconds, promise, note=f"{seconds}; {cpu}")
