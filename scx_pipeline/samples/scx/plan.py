"""The plan of a Scx log: the options and their limits, and which jobs are written to which file.

Generating and writing rows does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Literal, get_args

from scx_pipeline.samples.months import is_month, is_within_years, month_starts
from scx_pipeline.samples.options import require
from scx_pipeline.samples.scx.job_rows import JobRange, job_id

Layout = Literal["monthly", "concatenated", "both"]
Compression = Literal["none", "gzip", "zstd"]

PREFIX = "auto_classify_jobs"
SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
FIRST_YEAR = 2000
# Seconds of the log must fit the random numbers.
LAST_YEAR = 2059
HIGHEST_JOB_ID = 2**31 - 1
# How busy each calendar month is, from January: the field season lasts from May to October.
SEASONS = (60, 62, 80, 96, 120, 126, 118, 115, 128, 121, 90, 58)


@dataclass(frozen=True)
class ScxLogOptions:
    """What to generate.

    The same options give the same bytes on any machine and any version of NumPy: every block of a fixed number of rows
    has a PCG64 of its own, seeded from [seed, month, …], of which only the raw words are used. Compressed objects also
    depend on the version of the compressor.
    """

    to: str = "2021-12"
    """The last month, YYYY-MM, inclusive."""
    months: int = 12
    """How many months, ending with `to`."""
    jobs: int = 24_000
    """Clean jobs in total, spread over the months with growth and seasons."""
    seed: int = 1
    layout: Layout = "monthly"
    """monthly: one file per month, under YYYY/MM/; concatenated: one file; both: the first half of the months in the
    concatenated file, each of the others in its own. No job is in two files."""
    compression: Compression = "none"
    """gzip and zstd compress every object, and add .gz and .zst to its key."""
    bad_rows: int = 0
    """Additional rows that no loader may accept, of all INVALID_KINDS in turn."""
    duplicates: int = 0
    """Additional older versions (smaller updated_at) of this many jobs, in the file of the job."""
    late_rows: int = 0
    """The number of `jobs` that are created in the last hours of a month but written to the next month's file."""


@dataclass(frozen=True)
class LogFile:
    """A planned object: its key, and its jobs in order of created_at."""

    key: str
    job_ranges: list[JobRange]


def check_options(options: ScxLogOptions) -> None:
    """Raise ValueError, in one line that says what to do, for invalid options."""
    require(options, _list_limits(options))


def _list_limits(options: ScxLogOptions) -> Iterator[tuple[str, bool]]:
    """Yield (message, whether the rule holds); later rules rely on the earlier ones."""
    jobs, months = options.jobs, options.months
    yield "to must be a month as YYYY-MM, such as 2021-12", is_month(options.to)
    yield "months must be 1 or more", months >= 1
    fits = is_within_years(options.to, months, FIRST_YEAR, LAST_YEAR)
    yield f"to and months must keep the log within {FIRST_YEAR}-01 and {LAST_YEAR}-12", fits
    yield "jobs must be 1 or more", jobs >= 1
    yield "seed must be 0 or more", options.seed >= 0
    yield f"layout must be one of {', '.join(get_args(Layout))}", options.layout in get_args(Layout)
    yield "layout both needs months to be 2 or more", options.layout != "both" or months >= 2
    yield f"compression must be one of {', '.join(SUFFIXES)}", options.compression in SUFFIXES
    yield "bad_rows must be 0 or more", options.bad_rows >= 0
    yield f"duplicates must be from 0 to jobs ({jobs})", 0 <= options.duplicates <= jobs
    fits = job_id(jobs) + options.bad_rows <= HIGHEST_JOB_ID
    yield "jobs and bad_rows must be fewer: their job_id must fit in 32 bits", fits
    capacity = sum(_count_late_capacity(options))
    message = f"late_rows must be from 0 to the jobs of the months followed by a monthly file ({capacity})"
    yield message, 0 <= options.late_rows <= capacity


def plan_files(options: ScxLogOptions) -> list[LogFile]:
    """Return the log's objects in order of time. A month without jobs has a file with a header and no rows."""
    starts = month_starts(options.to, options.months)
    merged = _count_merged(options)
    own, late = _plan_job_ranges(options)
    suffix = ".csv" + SUFFIXES[options.compression]
    files = [LogFile(f"{PREFIX}/{PREFIX}_concatenated{suffix}", own[:merged])] if merged else []
    for index in range(merged, options.months):
        key = f"{PREFIX}/{starts[index]:%Y/%m}/{PREFIX}_{starts[index]:%Y-%m}{suffix}"
        files.append(LogFile(key, [late[index - 1], own[index]] if index else [own[index]]))
    return files


def _plan_job_ranges(options: ScxLogOptions) -> tuple[list[JobRange], list[JobRange]]:
    """Return each month's jobs for its own file, and for the next month's."""
    starts, counts = month_starts(options.to, options.months), _count_jobs(options)
    own, late = [], []
    spare = _distribute(options.late_rows, _count_late_capacity(options))
    firsts = list(accumulate(counts, initial=0))
    for index, (start, count) in enumerate(zip(starts[:-1], counts, strict=True)):
        spared, first = spare[index], firsts[index]
        offset = (start - starts[0]) // timedelta(seconds=1)
        own.append(JobRange(start, index, offset, first, count - spared, part=1 if spared else 0))
        late.append(JobRange(start, index, offset, first + count - spared, spared, part=2))
    return own, late


def _count_jobs(options: ScxLogOptions) -> list[int]:
    """Return the jobs by month: at least one if there are enough, the rest by season and growth."""
    starts = month_starts(options.to, options.months)[:-1]
    weights = [SEASONS[start.month - 1] * (100 + 3 * index) for index, start in enumerate(starts)]
    each = 1 if options.jobs >= options.months else 0
    return [each + more for more in _distribute(options.jobs - each * options.months, weights)]


def _count_late_capacity(options: ScxLogOptions) -> list[int]:
    """Return the jobs by month that can be late: only months followed by a month with a file of its own have any."""
    lenders = range(max(_count_merged(options) - 1, 0), options.months - 1)
    return [count if index in lenders else 0 for index, count in enumerate(_count_jobs(options))]


def _count_merged(options: ScxLogOptions) -> int:
    """Return the number of months in the concatenated file."""
    return {"monthly": 0, "both": options.months // 2, "concatenated": options.months}[options.layout]


def _distribute(amount: int, weights: Sequence[int]) -> list[int]:
    """Return integer shares in proportion to the weights, with the amount as their sum.

    No share exceeds its weight unless the amount exceeds the sum of the weights.
    """
    total = max(sum(weights), 1)
    bounds = [amount * upto // total for upto in accumulate(weights, initial=0)]
    return [end - start for start, end in pairwise(bounds)]
