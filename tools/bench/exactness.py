"""The scenario `exactness`: the cost of the independent count of records, and the memory of files that need much of it."""

from __future__ import annotations

import gzip
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from statistics import median

from scx_pipeline_tests.support.load_env import csv_text, job, line_of
from tools.bench.bench import Bench
from tools.bench.measure import Result, run, scx

# Runs `scx load scx --all`. With "note", it notes what is counted in each file; with "trust", it takes that instead.
LOAD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from scx_pipeline.cli.main import console
from scx_pipeline.parsing.csv import csv_parser
notes, mode = Path(sys.argv[1]), sys.argv[2]
count = csv_parser.count_records
known = dict(map(json.loads, notes.read_text().splitlines())) if mode == "trust" else {}
def noted(stream, *facts):
    found = count(stream, *facts)
    with notes.open("a") as file:
        file.write(json.dumps([stream.name, asdict(found)]) + "\\n")
    return found
if mode == "note":
    csv_parser.count_records = noted
elif mode == "trust":
    csv_parser.count_records = lambda stream, *facts: csv_parser.RecordCount(**known[stream.name])
sys.argv[1:] = ["load", "scx", "--all"]
console()
"""
ROWS = 2_000_000
MONTH = "2021-01"


def exactness(bench: Bench) -> Iterator[Result]:
    """A load on DuckDB that counts the records of every CSV file by their bytes, against one that is given the counts; and
    the peak memory of loads of files with millions of bad rows, long bad rows, and quoted texts that look like rows."""
    options = ("--to", "2022-12", "--months", "24", "--jobs", str(min(bench.rows, ROWS)))
    bucket, notes = bench.bucket("exact", *options), bench.folder / "counts.json"
    bench.files(bucket)

    def load(mode: str) -> float:
        return run([sys.executable, "-c", LOAD, str(notes), mode], bench.fresh_home(bucket)).seconds

    notes.unlink(missing_ok=True)
    load("note")
    pairs = [(load("count"), load("trust")) for _ in range(bench.repeats)]
    counting, trusting = (median(seconds) for seconds in zip(*pairs, strict=True))
    yield Result("a load that counts records / one that is given the counts", counting, trusting, 1.05)
    for name, content in FILES.items():
        yield Result(f"peak memory, {name}", _peak(bench, content), None, 1024, "MiB")


def _bad() -> Iterator[str]:
    yield from (
        line_of(job(number, "2021-01-05 10:00:00")).rsplit(",", 1)[0] + "\n" for number in range(2_000_000)
    )


def _wide() -> Iterator[str]:
    yield from ("1," + "x" * 200_000 + "\n" for _ in range(20_000))


def _inner() -> Iterator[str]:
    inner = (line_of(job(5, "2021-01-05 10:00:00")).replace('"', "") + "\n") * 3
    yield from (
        line_of(job(number, "2021-01-05 10:00:00", summary=inner)) + "\n" for number in range(200_000)
    )


def _unclosed() -> Iterator[str]:
    yield '1,"open\n'
    yield from (line_of(job(number, "2021-01-05 10:00:00")) + "\n" for number in range(500_000))


FILES: dict[str, Callable[[], Iterable[str]]] = {
    "2,000,000 bad rows": _bad,
    "20,000 bad rows of 200 kB": _wide,
    "quoted texts that look like rows": _inner,
    "a quote that is never closed": _unclosed,
}


def _peak(bench: Bench, content: Callable[[], Iterable[str]]) -> float:
    """Return the peak memory of a load of one compressed file, in MiB, whether the file is refused or not."""
    bucket = bench.folder / "odd" / "bucket"
    shutil.rmtree(bucket, ignore_errors=True)
    path = bucket / "auto_classify_jobs" / "2021" / "01" / "odd.csv.gz"
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8", newline="") as file:
        file.write(csv_text([]))
        file.writelines(content())
    return run(scx("load", "scx", "--month", MONTH), bench.fresh_home(bucket.as_uri()), codes=(0, 1)).peak_mb
