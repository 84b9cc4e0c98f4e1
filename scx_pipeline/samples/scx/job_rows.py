"""The clean rows of the Scx log, as CSV lines, a block of consecutive jobs at a time.
Who the users are lives in scx_world, dirt in scx_dirt, and which file a row goes to in scx."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from scx_pipeline.samples.random_numbers import dice, roll
from scx_pipeline.samples.scx.population import PREFERENCES, World

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
# A block is both the most held in memory and the unit of the dice: the bytes of the log depend on it.
BLOCK_ROWS = 1 << 17
LATE_HOURS = 3

LOYALTY = 45  # per cent of the jobs in which users keep to their taste
# Values with their weights of 100. A user's taste picks from the first 89, so the last value stays rare.
GROUND_PROFILES = {"city": 36, "forestry": 26, "urban": 17, "town": 12, "skip": 9}
BT_CLSS_PROFILES = {"standard": 40, "building": 26, "tree": 16, "powerline": 8, "": 10}
RESOLUTIONS = {"0.5": 42, "0.25": 28, "1.0": 18, "0.1": 12}
NOISE_PROFILES = {"low": 40, "medium": 32, "high": 17, "": 11}
NOISE_TYPES = {"isolated": 45, "air": 26, "ground": 18, "": 11}
POOLS = (GROUND_PROFILES, BT_CLSS_PROFILES, RESOLUTIONS, NOISE_PROFILES, NOISE_TYPES)
FLAG_PERCENTS = (70, 35, 8, 12, 21, 3)  # remove_dup … switch_xy

# Work per hour of the day (UTC), and per cent of it per weekday from Monday.
HOURS = (9, 7, 6, 6, 6, 8, 16, 38, 72, 97, 100, 92, 58, 70, 94, 96, 85, 57, 36, 26, 21, 18, 14, 11)
WEEKDAYS = (96, 100, 100, 98, 88, 20, 14)


@dataclass(frozen=True)
class Stretch:
    """Consecutive jobs of one month, from the log's job number `first` on (counted from 0)."""

    start: date
    index: int  # the month's place in the log
    offset: int  # its first second, counted from the log's
    first: int
    rows: int
    part: int = 0  # 0: the whole month; 1: without its last LATE_HOURS; 2: only those

    @property
    def is_late(self) -> bool:
        return self.part == 2


@dataclass(frozen=True)
class Block:
    """Some rows of the log, the number of the first, and whose they are (indexes in the world)."""

    first: int
    lines: Any  # Arrow strings, one whole CSV record each, line end included
    users: IntArray
    projects: IntArray


def job_id(number: Number) -> Number:
    """The id of the n-th job: rising, with a gap now and then, as a real sequence has them."""
    return 10_001 + number + number // 37


def make_blocks(world: World, seed: int, stretch: Stretch) -> Iterator[Block]:
    """The rows of a stretch in order of created_at. Their content depends on the world, the seed and the
    month alone: each month has dice of its own."""
    bounds = _hour_bounds(seed, stretch)
    for number, begin in enumerate(range(0, stretch.rows, BLOCK_ROWS)):
        rows = range(begin, min(begin + BLOCK_ROWS, stretch.rows))
        bits = dice(seed, 1 + stretch.index, stretch.part, 1 + number)
        yield _make_block(world, bits, stretch, _moments(bits, bounds, rows, stretch))


def _make_block(
    world: World, bits: np.random.PCG64, stretch: Stretch, moments: tuple[int, IntArray]
) -> Block:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    begin, created = moments
    size = len(created)
    users = _choose_users(world, bits, created)
    projects = _choose_projects(world, bits, users, created)
    upload = 5 + (roll(bits, size, 60) * roll(bits, size, 60) >> 1)
    # A square, so that most jobs take minutes to an hour and a few take hours.
    updated = created + upload + 20 + (roll(bits, size, 140) ** 2 * roll(bits, size, 100) // 97)
    lines = pc.binary_join_element_wise(
        pa.array(job_id(np.arange(size) + stretch.first + begin)).cast(pa.string()),
        world.projects.at(projects, updated),
        _profiles().take(pa.array(_choose_profiles(world, bits, users))),
        _flags().take(pa.array(_choose_flags(bits, size))),
        _timestamps(world, created),
        _timestamps(world, updated),
        _elapsed().take(pa.array(upload)),
        world.users.at(users, updated),
        ",",
    )
    return Block(stretch.first + begin, lines, users, projects)


def _hour_bounds(seed: int, stretch: Stretch) -> IntArray:
    """The running total of work at the start of each hour of the month, and at its end."""
    import numpy as np

    days = month_days(stretch.start)
    weekdays = (stretch.start.weekday() + np.arange(days)) % 7
    usual = np.outer(np.array(WEEKDAYS)[weekdays], np.array(HOURS)).ravel().astype(np.int64)
    work = usual * (75 + roll(dice(seed, 1 + stretch.index), len(usual), 51)) // 1_000
    if stretch.part == 1:
        work[-LATE_HOURS:] = 0
    elif stretch.is_late:
        work[:-LATE_HOURS] = 0
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(work * 3_600)])


def _moments(bits: np.random.PCG64, bounds: IntArray, rows: range, stretch: Stretch) -> tuple[int, IntArray]:
    """The number of the first row, and the rows' created_at in seconds of the log, sorted. The rows fall
    anywhere in their share of the month's work, so blocks follow each other without knowing of each other."""
    import numpy as np

    low, high = (int(bounds[-1]) * row // stretch.rows for row in (rows.start, rows.stop))
    place = low + np.sort(roll(bits, len(rows), high - low))
    # Some are sent together: without shared seconds a careless join on created_at would look right.
    together = np.flatnonzero(roll(bits, len(rows), 100)[1:] < 4) + 1
    place[together] = place[together - 1]
    hour = np.searchsorted(bounds, place, side="right") - 1
    work = (bounds[hour + 1] - bounds[hour]) // 3_600
    return rows.start, stretch.offset + hour * 3_600 + (place - bounds[hour]) // work


def _choose_users(world: World, bits: np.random.PCG64, created: IntArray) -> IntArray:
    """Somebody who had joined, by activity; the busiest user gets a share that nobody else may reach."""
    import numpy as np

    size = len(created)
    there = np.searchsorted(world.joined, created, side="right")
    users = np.searchsorted(world.reach, roll(bits, size, world.reach[there - 1]), side="right")
    share = min(size, max(2, -(-size * 8 // 100)))
    turns = np.arange(share + 1) * size // share
    users[turns[:-1] + roll(bits, share, np.diff(turns))] = world.heavy
    others = np.bincount(users)
    others[world.heavy] = 0
    if others.max() >= share:  # happens in small blocks only
        users[_count_before(users) >= share - 1] = world.heavy
    return users


def _count_before(values: IntArray) -> IntArray:
    """For each row, how many earlier rows hold the same value."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    before = np.empty(len(values), np.int64)
    before[order] = np.arange(len(values)) - starts
    return before


def _choose_projects(world: World, bits: np.random.PCG64, users: IntArray, created: IntArray) -> IntArray:
    """The user's project of the day, or, for one job in five, one of the three before it."""
    import numpy as np

    counts, joined = world.project_counts[users], world.joined[users]
    life = np.maximum(1, world.seconds - joined)
    today = np.minimum((created - joined) * counts // life, counts - 1)
    back = np.maximum(roll(bits, len(users), 15) - 11, 0)
    projects: IntArray = world.first_projects()[users] + np.maximum(today - back, 0)
    return projects


def _choose_profiles(world: World, bits: np.random.PCG64, users: IntArray) -> IntArray:
    """A combination of profiles: often the user's usual ones."""
    import numpy as np

    size = len(users)
    combination = np.zeros(size, np.int64)
    for preference, pool in zip(range(PREFERENCES), POOLS, strict=True):
        usual = roll(bits, size, 100) < LOYALTY
        draw = np.where(usual, world.tastes[preference][users], roll(bits, size, 100))
        combination = combination * len(pool) + np.repeat(np.arange(len(pool)), list(pool.values()))[draw]
    return combination


def _choose_flags(bits: np.random.PCG64, size: int) -> IntArray:
    import numpy as np

    combination = np.zeros(size, np.int64)
    for percent in FLAG_PERCENTS:
        combination = combination * 2 + (roll(bits, size, 100) < percent)
    return combination


@functools.cache
def _profiles() -> Any:
    """'ground_profile,…,noise_type' by combination."""
    import pyarrow as pa

    return pa.array([",".join(each) for each in itertools.product(*POOLS)])


@functools.cache
def _flags() -> Any:
    """'remove_dup,…,switch_xy' by combination."""
    import pyarrow as pa

    return pa.array([",".join(each) for each in itertools.product("01", repeat=len(FLAG_PERCENTS))])


@functools.cache
def _elapsed() -> Any:
    """HHMMSS by seconds."""
    import pyarrow as pa

    return pa.array([f"{s // 3600:02}{s // 60 % 60:02}{s % 60:02}" for s in range(3_600)])


def _timestamps(world: World, moments: IntArray) -> Any:
    """'YYYY-MM-DD HH:MM:SS' of each second of the log."""
    import pyarrow as pa

    first = (world.start - date(1970, 1, 1)) // timedelta(seconds=1)
    return pa.array(moments + first).cast(pa.timestamp("s")).cast(pa.string())


def month_days(start: date) -> int:
    """The number of days in the month that begins at `start`."""
    return ((start + timedelta(days=31)).replace(day=1) - start).days
