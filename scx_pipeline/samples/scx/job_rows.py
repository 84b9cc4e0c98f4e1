"""The clean rows of the Scx log as CSV lines, one block of consecutive jobs at a time.

Invalid rows, and the files that rows are written to, do not belong here.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from scx_pipeline.samples.random_numbers import create_rng, draw_integers
from scx_pipeline.samples.scx.population import PREFERENCES, Population

if TYPE_CHECKING:
    import numpy as np

    from scx_pipeline.samples.random_numbers import IntArray

Number = TypeVar("Number", int, "IntArray")

COLUMNS = (
    *("job_id", "project_id", "project_name", "date", "summary", "ground_profile", "bt_clss_profile"),
    *("resolution", "noise_profile", "noise_type", "remove_dup", "airbone_laser", "ground_grndonly"),
    *("class_grdonly", "nextcore", "switch_xy", "created_at", "updated_at", "upload_time", "user_id"),
    *("email_encrypted", "plan_id"),
)
# The most rows in memory, and the unit of the random streams: the bytes of the log depend on it.
BLOCK_ROWS = 1 << 17
LATE_HOURS = 3

# The share of jobs in which users choose their preferred values.
LOYAL_PERCENT = 45
# Values with their weights of 100. Preferences come from the first 89, so the last value stays rare.
GROUND_PROFILES = {"city": 36, "forestry": 26, "urban": 17, "town": 12, "skip": 9}
BT_CLSS_PROFILES = {"standard": 40, "building": 26, "tree": 16, "powerline": 8, "": 10}
RESOLUTIONS = {"0.5": 42, "0.25": 28, "1.0": 18, "0.1": 12}
NOISE_PROFILES = {"low": 40, "medium": 32, "high": 17, "": 11}
NOISE_TYPES = {"isolated": 45, "air": 26, "ground": 18, "": 11}
POOLS = (GROUND_PROFILES, BT_CLSS_PROFILES, RESOLUTIONS, NOISE_PROFILES, NOISE_TYPES)
FLAG_PERCENTS = (70, 35, 8, 12, 21, 3)  # remove_dup … switch_xy

# Work per hour of the day (UTC), and the percentage of it per weekday from Monday.
HOURS = (9, 7, 6, 6, 6, 8, 16, 38, 72, 97, 100, 92, 58, 70, 94, 96, 85, 57, 36, 26, 21, 18, 14, 11)
WEEKDAYS = (96, 100, 100, 98, 88, 20, 14)


@dataclass(frozen=True)
class JobRange:
    """Consecutive jobs of one month, starting with the log's job number `first` (counted from 0)."""

    start: date
    # The position of the month in the log.
    index: int
    # The seconds between the start of the log and that of the month.
    offset: int
    first: int
    rows: int
    # 0: the entire month; 1: without its last LATE_HOURS; 2: only those.
    part: int = 0

    @property
    def is_late(self) -> bool:
        return self.part == 2


@dataclass(frozen=True)
class Block:
    """Some rows of the log, the number of the first, and the indexes of their users and projects."""

    first: int
    # Arrow strings, one complete CSV record each, with its line end.
    lines: Any
    users: IntArray
    projects: IntArray


def job_id(number: Number) -> Number:
    """Return the id of the n-th job: increasing with occasional gaps, like a real sequence."""
    return 10_001 + number + number // 37


def generate_blocks(population: Population, seed: int, job_range: JobRange) -> Iterator[Block]:
    """Yield the rows of a job range in order of created_at.

    They depend only on the population, the seed and the month: each month has random streams of its own.
    """
    bounds = _hour_bounds(seed, job_range)
    for number, start in enumerate(range(0, job_range.rows, BLOCK_ROWS)):
        rows = range(start, min(start + BLOCK_ROWS, job_range.rows))
        rng = create_rng(seed, 1 + job_range.index, job_range.part, 1 + number)
        yield _generate_block(
            population, rng, job_range, rows.start, _created_seconds(rng, bounds, rows, job_range)
        )


def _generate_block(
    population: Population, rng: np.random.PCG64, job_range: JobRange, first_row: int, created: IntArray
) -> Block:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    size = len(created)
    users = _choose_users(population, rng, created)
    projects = _choose_projects(population, rng, users, created)
    upload = 5 + (draw_integers(rng, size, 60) * draw_integers(rng, size, 60) >> 1)
    # A square, so that most jobs take minutes to an hour and a few take hours.
    updated = (
        created + upload + 20 + (draw_integers(rng, size, 140) ** 2 * draw_integers(rng, size, 100) // 97)
    )
    lines = pc.binary_join_element_wise(
        pa.array(job_id(np.arange(size) + job_range.first + first_row)).cast(pa.string()),
        population.projects.at(projects, updated),
        _profiles().take(pa.array(_choose_profiles(population, rng, users))),
        _flags().take(pa.array(_choose_flags(rng, size))),
        _timestamps(population, created),
        _timestamps(population, updated),
        _elapsed().take(pa.array(upload)),
        population.users.at(users, updated),
        ",",
    )
    return Block(job_range.first + first_row, lines, users, projects)


def _hour_bounds(seed: int, job_range: JobRange) -> IntArray:
    """Return the cumulative work at the start of each hour of the month, and at its end."""
    import numpy as np

    days = month_days(job_range.start)
    weekdays = (job_range.start.weekday() + np.arange(days)) % 7
    usual = np.outer(np.array(WEEKDAYS)[weekdays], np.array(HOURS)).ravel().astype(np.int64)
    work = usual * (75 + draw_integers(create_rng(seed, 1 + job_range.index), len(usual), 51)) // 1_000
    if job_range.part == 1:
        work[-LATE_HOURS:] = 0
    elif job_range.is_late:
        work[:-LATE_HOURS] = 0
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(work * 3_600)])


def _created_seconds(rng: np.random.PCG64, bounds: IntArray, rows: range, job_range: JobRange) -> IntArray:
    """Return the rows' created_at in seconds of the log, sorted.

    The rows lie anywhere in their share of the month's work, so consecutive blocks are independent.
    """
    import numpy as np

    low, high = (int(bounds[-1]) * row // job_range.rows for row in (rows.start, rows.stop))
    place = low + np.sort(draw_integers(rng, len(rows), high - low))
    # Some share a second: otherwise a careless join on created_at would look right.
    together = np.flatnonzero(draw_integers(rng, len(rows), 100)[1:] < 4) + 1
    place[together] = place[together - 1]
    hour = np.searchsorted(bounds, place, side="right") - 1
    work = (bounds[hour + 1] - bounds[hour]) // 3_600
    return job_range.offset + hour * 3_600 + (place - bounds[hour]) // work


def _choose_users(population: Population, rng: np.random.PCG64, created: IntArray) -> IntArray:
    """Choose users who had joined, by activity; the busiest user gets a share that no other user reaches."""
    import numpy as np

    size = len(created)
    there = np.searchsorted(population.joined, created, side="right")
    users = np.searchsorted(
        population.cumulative_activity,
        draw_integers(rng, size, population.cumulative_activity[there - 1]),
        side="right",
    )
    share = min(size, max(2, -(-size * 8 // 100)))
    turns = np.arange(share + 1) * size // share
    users[turns[:-1] + draw_integers(rng, share, np.diff(turns))] = population.busiest
    others = np.bincount(users)
    others[population.busiest] = 0
    if others.max() >= share:  # only in small blocks
        users[_count_before(users) >= share - 1] = population.busiest
    return users


def _count_before(values: IntArray) -> IntArray:
    """Return for each row the number of earlier rows with the same value."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    before = np.empty(len(values), np.int64)
    before[order] = np.arange(len(values)) - starts
    return before


def _choose_projects(
    population: Population, rng: np.random.PCG64, users: IntArray, created: IntArray
) -> IntArray:
    """Choose the user's project of the day or, for one job in five, one of the three before it."""
    import numpy as np

    counts, joined = population.project_counts[users], population.joined[users]
    life = np.maximum(1, population.seconds - joined)
    today = np.minimum((created - joined) * counts // life, counts - 1)
    back = np.maximum(draw_integers(rng, len(users), 15) - 11, 0)
    projects: IntArray = population.first_projects()[users] + np.maximum(today - back, 0)
    return projects


def _choose_profiles(population: Population, rng: np.random.PCG64, users: IntArray) -> IntArray:
    """Choose a combination of profiles, often the user's preferred ones."""
    import numpy as np

    size = len(users)
    combination = np.zeros(size, np.int64)
    for preference, pool in zip(range(PREFERENCES), POOLS, strict=True):
        preferred = draw_integers(rng, size, 100) < LOYAL_PERCENT
        draw = np.where(preferred, population.preferences[preference][users], draw_integers(rng, size, 100))
        combination = combination * len(pool) + np.repeat(np.arange(len(pool)), list(pool.values()))[draw]
    return combination


def _choose_flags(rng: np.random.PCG64, size: int) -> IntArray:
    import numpy as np

    combination = np.zeros(size, np.int64)
    for percent in FLAG_PERCENTS:
        combination = combination * 2 + (draw_integers(rng, size, 100) < percent)
    return combination


@functools.cache
def _profiles() -> Any:
    """Return 'ground_profile,…,noise_type' by combination."""
    import pyarrow as pa

    return pa.array([",".join(each) for each in itertools.product(*POOLS)])


@functools.cache
def _flags() -> Any:
    """Return 'remove_dup,…,switch_xy' by combination."""
    import pyarrow as pa

    return pa.array([",".join(each) for each in itertools.product("01", repeat=len(FLAG_PERCENTS))])


@functools.cache
def _elapsed() -> Any:
    """Return HHMMSS by seconds."""
    import pyarrow as pa

    return pa.array([f"{s // 3600:02}{s // 60 % 60:02}{s % 60:02}" for s in range(3_600)])


def _timestamps(population: Population, created: IntArray) -> Any:
    """Return 'YYYY-MM-DD HH:MM:SS' of seconds of the log."""
    import pyarrow as pa

    first = (population.start - date(1970, 1, 1)) // timedelta(seconds=1)
    return pa.array(created + first).cast(pa.timestamp("s")).cast(pa.string())


def month_days(start: date) -> int:
    """Return the number of days of the month that starts at `start`."""
    return ((start + timedelta(days=31)).replace(day=1) - start).days
