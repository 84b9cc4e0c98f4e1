"""What a Scx log is to be: the options and their limits, and which jobs go to which file.
No row is made here and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Literal, get_args

from scx_pipeline.samples.months import is_month, month_starts
from scx_pipeline.samples.options import require
from scx_pipeline.samples.scx.job_rows import Stretch, job_id

Layout = Literal["monthly", "concatenated", "both"]
Compression = Literal["none", "gzip", "zstd"]

PREFIX = "auto_classify_jobs"
SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
FIRST_YEAR = 2000
LAST_YEAR = 2059  # so that seconds of the log fit the dice
HIGHEST_JOB_ID = 2**31 - 1
# How busy each calendar month is, from January: the field season lasts from May to October.
SEASONS = (60, 62, 80, 96, 120, 126, 118, 115, 128, 121, 90, 58)


@dataclass(frozen=True)
class ScxLogOptions:
    """What to generate. The same options give the same bytes on any machine and numpy: every month, and in it
    every block of a fixed number of rows, has a PCG64 of its own, seeded from [seed, month, …], of which only
    the raw words are used, in whole numbers. (Compressed objects also depend on the compressor's version.)"""

    to: str = "2021-12"
    """The last month, YYYY-MM, inclusive."""
    months: int = 12
    """How many months, ending with `to`."""
    jobs: int = 24_000
    """Clean jobs in total, spread over the months with growth and seasons."""
    seed: int = 1
    layout: Layout = "monthly"
    """monthly: one file a month, under YYYY/MM/; concatenated: one file for all; both: the first half of the
    months in the concatenated file and each of the others in its own. No job is in two files."""
    compression: Compression = "none"
    """gzip and zstd compress every object, and add .gz and .zst to its key."""
    bad_rows: int = 0
    """Rows added which no loader may accept: the kinds of scx_dirt.BAD_KINDS in turn."""
    duplicates: int = 0
    """Older versions (smaller updated_at) of that many jobs, added to the file that holds the job."""
    late_rows: int = 0
    """How many of `jobs` are created in the last hours of a month but written to the next month's file."""


@dataclass(frozen=True)
class LogFile:
    """An object to be: its key, and the jobs it holds, in order of created_at."""

    key: str
    stretches: list[Stretch]


def check_options(options: ScxLogOptions) -> None:
    """Raises ValueError, in one line that says what to do, for options that make no log."""
    require(options, _list_limits(options))


def _list_limits(options: ScxLogOptions) -> Iterator[tuple[str, bool]]:
    """(what is asked, whether it is kept), one by one: later ones rely on the earlier."""
    jobs, months = options.jobs, options.months
    yield "to must be a month as YYYY-MM, such as 2021-12", is_month(options.to)
    yield "months must be 1 or more", months >= 1
    end = 12 * int(options.to[:4]) + int(options.to[5:])
    fits = end - months >= 12 * FIRST_YEAR and end <= 12 * (LAST_YEAR + 1)
    yield f"to and months must keep the log within {FIRST_YEAR}-01 and {LAST_YEAR}-12", fits
    yield "jobs must be 1 or more", jobs >= 1
    yield "seed must be 0 or more", options.seed >= 0
    yield f"layout must be one of {', '.join(get_args(Layout))}", options.layout in get_args(Layout)
    yield "layout both needs months to be 2 or more", options.layout != "both" or months >= 2
    yield f"compression must be one of {', '.join(SUFFIXES)}", options.compression in SUFFIXES
    yield "bad_rows must be 0 or more", options.bad_rows >= 0
    yield f"duplicates must be from 0 to jobs ({jobs})", 0 <= options.duplicates <= jobs
    fits = job_id(jobs) + options.bad_rows <= HIGHEST_JOB_ID
    yield "jobs and bad_rows must be fewer, their job_id has to fit in 32 bits", fits
    room = sum(_count_room(options))
    told = f"late_rows must be from 0 to the jobs of the months followed by a monthly file ({room})"
    yield told, 0 <= options.late_rows <= room


def plan_files(options: ScxLogOptions) -> list[LogFile]:
    """The log's objects in order of time. A month without jobs still has its file: a header and no rows."""
    starts = month_starts(options.to, options.months)
    merged = _count_merged(options)
    own, late = _plan_stretches(options)
    suffix = ".csv" + SUFFIXES[options.compression]
    files = [LogFile(f"{PREFIX}/{PREFIX}_concatenated{suffix}", own[:merged])] if merged else []
    for index in range(merged, options.months):
        key = f"{PREFIX}/{starts[index]:%Y/%m}/{PREFIX}_{starts[index]:%Y-%m}{suffix}"
        files.append(LogFile(key, [late[index - 1], own[index]] if index else [own[index]]))
    return files


def _plan_stretches(options: ScxLogOptions) -> tuple[list[Stretch], list[Stretch]]:
    """Each month's jobs for its own file, and for the next month's."""
    starts, counts = month_starts(options.to, options.months), _count_jobs(options)
    own, late = [], []
    spare = _share_out(options.late_rows, _count_room(options))
    firsts = list(accumulate(counts, initial=0))
    for index, (start, count) in enumerate(zip(starts[:-1], counts, strict=True)):
        spared, first = spare[index], firsts[index]
        offset = (start - starts[0]) // timedelta(seconds=1)
        own.append(Stretch(start, index, offset, first, count - spared, part=1 if spared else 0))
        late.append(Stretch(start, index, offset, first + count - spared, spared, part=2))
    return own, late


def _count_jobs(options: ScxLogOptions) -> list[int]:
    """Jobs by month: one each while they last, the rest by season and growth."""
    starts = month_starts(options.to, options.months)[:-1]
    weights = [SEASONS[start.month - 1] * (100 + 3 * index) for index, start in enumerate(starts)]
    each = 1 if options.jobs >= options.months else 0
    return [each + more for more in _share_out(options.jobs - each * options.months, weights)]


def _count_room(options: ScxLogOptions) -> list[int]:
    """Jobs by month that could be late: only a month whose next one has a file of its own has any."""
    givers = range(max(_count_merged(options) - 1, 0), options.months - 1)
    return [count if index in givers else 0 for index, count in enumerate(_count_jobs(options))]


def _count_merged(options: ScxLogOptions) -> int:
    """How many months are in the concatenated file."""
    return {"monthly": 0, "both": options.months // 2, "concatenated": options.months}[options.layout]


def _share_out(amount: int, weights: Sequence[int]) -> list[int]:
    """Whole shares in proportion to the weights which sum to the amount exactly; none exceeds its weight
    unless the amount exceeds them all."""
    total = max(sum(weights), 1)
    bounds = [amount * upto // total for upto in accumulate(weights, initial=0)]
    return [end - begin for begin, end in pairwise(bounds)]
