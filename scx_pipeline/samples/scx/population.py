"""The people behind the Scx log: its users, their plans and their projects.
No row of the log is made here, and nothing is written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from scx_pipeline.samples.random_numbers import dice, roll
from scx_pipeline.samples.scx.texts import project_texts

if TYPE_CHECKING:
    import numpy as np

    from scx_pipeline.samples.random_numbers import IntArray

HEAVY_USER = 211
"""The id of the busiest user: the one the analysts ask about."""

# Ceilings, so that memory does not grow with the number of jobs.
MOST_USERS = 20_000
MOST_PROJECTS = 200_000
NEVER = 1 << 62
PREFERENCES = 5


@dataclass(frozen=True)
class Versions:
    """Text about each of n things, with up to two later changes: `texts` holds three for each, in order."""

    changes: IntArray  # (2, n) seconds since the log's first; NEVER where there is none
    texts: Any  # Arrow strings, 3 n, ready for a CSV line

    def at(self, things: IntArray, when: IntArray) -> Any:
        """What was true of each of `things` at its moment, as Arrow strings."""
        import pyarrow as pa

        stage = (when >= self.changes[0][things]) * 1 + (when >= self.changes[1][things])
        return self.texts.take(pa.array(things * 3 + stage))


@dataclass(frozen=True)
class World:
    """Users in the order of their joining, and their projects, user by user. Fields are by index."""

    start: date  # the log's first day
    seconds: int  # how long the log is
    heavy: int  # which of them is the busiest user
    joined: IntArray  # second of the log
    reach: IntArray  # running total of activity, of everyone but the busiest
    tastes: IntArray  # (PREFERENCES, users) 0..99: what they mostly choose
    project_counts: IntArray
    users: Versions  # 'user_id,email_encrypted,plan_id\n'
    projects: Versions  # 'project_id,project_name,date,summary'
    user_ids: IntArray

    def first_projects(self) -> IntArray:
        """Each user's first project, as an index."""
        return self.project_counts.cumsum() - self.project_counts

    def count_projects(self) -> int:
        return int(self.project_counts.sum())


def build_world(seed: int, jobs: int, start: date, seconds: int) -> World:
    """Who was there during a log of so many jobs. Costs memory for at most MOST_USERS and about
    MOST_PROJECTS, whatever the number of jobs."""
    import numpy as np

    bits = dice(seed)
    count = min(MOST_USERS, 12 + jobs // 60)
    early = max(5, count * 2 // 5)
    joined = np.zeros(count, np.int64)
    gap = seconds * 9 // 10 // (count - early)
    joined[early:] = np.arange(count - early) * gap + roll(bits, count - early, max(gap, 1))
    heavy = min(early // 2, 60)  # 60 of them leave it room for positive ids below
    steps = roll(bits, count, 3) + 1
    user_ids = HEAVY_USER + np.cumsum(steps) - int(np.cumsum(steps)[heavy])

    weights = _activity(bits, count, heavy)
    project_counts = np.maximum(1, min(MOST_PROJECTS, jobs // 8) * weights // int(weights.sum()))
    crowd = weights.copy()
    crowd[heavy] = 0
    return World(
        start=start,
        seconds=seconds,
        heavy=heavy,
        joined=joined,
        reach=np.cumsum(crowd),
        tastes=roll(bits, PREFERENCES * count, 89).reshape(PREFERENCES, count),
        project_counts=project_counts,
        users=_users(bits, user_ids, joined, seconds),
        projects=_projects(bits, joined, project_counts, (start, seconds)),
        user_ids=user_ids,
    )


def _activity(bits: np.random.PCG64, count: int, heavy: int) -> IntArray:
    """Zipf-like weights in whole numbers, in no order, below 2**31 in total."""
    import numpy as np

    weights = np.empty(count, np.int64)
    weights[np.argsort(bits.random_raw(count), kind="stable")] = 10_000_000 // (np.arange(count) + 8)
    weights[heavy] = int(weights.sum()) // 11  # about the share of the rows it will get
    return weights


def _changes(bits: np.random.PCG64, begin: IntArray, length: IntArray, percent: tuple[int, int]) -> IntArray:
    """Moments of a first change for some, and of a second for some of those."""
    import numpy as np

    size = len(begin)
    first = begin + 1 + roll(bits, size, length)
    second = first + 1 + roll(bits, size, length)
    has_first = roll(bits, size, 100) < percent[0]
    has_second = has_first & (roll(bits, size, 100) < percent[1])
    return np.stack([np.where(has_first, first, NEVER), np.where(has_second, second, NEVER)])


def _users(bits: np.random.PCG64, user_ids: IntArray, joined: IntArray, seconds: int) -> Versions:
    """Users with their plans: most stay, some move up, a few move down."""
    import numpy as np
    import pyarrow as pa

    size = len(user_ids)
    plans = np.empty((size, 3), np.int64)
    plans[:, 0] = np.repeat([1, 2, 3, 4], [60, 25, 10, 5])[roll(bits, size, 100)]
    for stage in (1, 2):
        before, up = plans[:, stage - 1], roll(bits, size, 100) < 82
        # At the end of the ladder the only way is back, so that every change is one.
        step = np.where((before == 1) | (up & (before < 4)), 1, -1)
        plans[:, stage] = before + step
    texts: list[str] = []
    for user, row in zip(user_ids.tolist(), plans.tolist(), strict=True):
        head = f"{user},{_email(user)},"
        texts.extend(f"{head}{plan}\n" for plan in row)
    return Versions(_changes(bits, joined, np.maximum(1, seconds - joined), (45, 30)), pa.array(texts))


def _email(user_id: int) -> str:
    """An opaque address that depends on the user alone."""
    return hashlib.sha384(f"user-{user_id}@scx".encode()).hexdigest()


def _projects(bits: np.random.PCG64, joined: IntArray, counts: IntArray, span: tuple[date, int]) -> Versions:
    """Every user's projects, evenly over the user's time; ids rise with the first day of work."""
    import numpy as np

    total, (start, seconds) = int(counts.sum()), span
    owner = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    life = np.maximum(1, seconds - joined)[owner]
    begin = joined[owner] + nth * life // counts[owner]
    ids = np.empty(total, np.int64)
    ids[np.argsort(begin, kind="stable")] = 1_001 + np.arange(total) + np.arange(total) // 11
    days = begin // 86_400 - roll(bits, total, 21)
    changes = _changes(bits, begin, np.maximum(1, 2 * life // counts[owner]), (35, 30))
    return Versions(changes, project_texts(bits, ids, days, start))
