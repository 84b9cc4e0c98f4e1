"""The users of the Scx log, their plans and their projects.

Rows of the log do not belong here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from scx_pipeline.samples.random_numbers import create_rng, draw_integers
from scx_pipeline.samples.scx.texts import project_texts

if TYPE_CHECKING:
    import numpy as np

    from scx_pipeline.samples.random_numbers import IntArray

BUSIEST_USER = 211
"""The ID of the busiest user, which the analysts' query selects."""

# Ceilings, so that memory does not grow with the number of jobs.
MOST_USERS = 20_000
MOST_PROJECTS = 200_000
NEVER = 1 << 62
PREFERENCES = 5


@dataclass(frozen=True)
class Versions:
    """A text for each of n items, with up to two later changes: `texts` holds three per item, in order."""

    # (2, n) seconds since the start of the log; NEVER for no change.
    changes: IntArray
    # 3 n Arrow strings, formatted for a CSV line.
    texts: Any

    def at(self, items: IntArray, when: IntArray) -> Any:
        """Return the texts of items at their times, as Arrow strings."""
        import pyarrow as pa

        stage = (when >= self.changes[0][items]) * 1 + (when >= self.changes[1][items])
        return self.texts.take(pa.array(items * 3 + stage))


@dataclass(frozen=True)
class Population:
    """Users in the order in which they joined, and their projects by user. All arrays are by index."""

    start: date  # the log's first day
    seconds: int  # how long the log is
    busiest: int  # which of them is the busiest user
    joined: IntArray  # second of the log
    cumulative_activity: IntArray  # running total of activity, of everyone but the busiest
    preferences: IntArray  # (PREFERENCES, users) 0..99: what they mostly choose
    project_counts: IntArray
    users: Versions  # 'user_id,email_encrypted,plan_id\n'
    projects: Versions  # 'project_id,project_name,date,summary'
    user_ids: IntArray

    def first_projects(self) -> IntArray:
        """Return the index of each user's first project."""
        return self.project_counts.cumsum() - self.project_counts

    def count_projects(self) -> int:
        return int(self.project_counts.sum())


def build_population(seed: int, jobs: int, start: date, seconds: int) -> Population:
    """Return the population of a log, of at most MOST_USERS users and about MOST_PROJECTS projects."""
    import numpy as np

    rng = create_rng(seed)
    count = min(MOST_USERS, 12 + jobs // 60)
    early = max(5, count * 2 // 5)
    joined = np.zeros(count, np.int64)
    gap = seconds * 9 // 10 // (count - early)
    joined[early:] = np.arange(count - early) * gap + draw_integers(rng, count - early, max(gap, 1))
    busiest = min(early // 2, 60)  # at most 60 users have smaller ids, so these stay positive
    steps = draw_integers(rng, count, 3) + 1
    user_ids = BUSIEST_USER + np.cumsum(steps) - int(np.cumsum(steps)[busiest])

    weights = _activity(rng, count, busiest)
    project_counts = np.maximum(1, min(MOST_PROJECTS, jobs // 8) * weights // int(weights.sum()))
    crowd = weights.copy()
    crowd[busiest] = 0
    return Population(
        start=start,
        seconds=seconds,
        busiest=busiest,
        joined=joined,
        cumulative_activity=np.cumsum(crowd),
        preferences=draw_integers(rng, PREFERENCES * count, 89).reshape(PREFERENCES, count),
        project_counts=project_counts,
        users=_users(rng, user_ids, joined, seconds),
        projects=_projects(rng, joined, project_counts, (start, seconds)),
        user_ids=user_ids,
    )


def _activity(rng: np.random.PCG64, count: int, busiest: int) -> IntArray:
    """Return Zipf-like integer weights in random order, with a sum below 2**31."""
    import numpy as np

    weights = np.empty(count, np.int64)
    weights[np.argsort(rng.random_raw(count), kind="stable")] = 10_000_000 // (np.arange(count) + 8)
    weights[busiest] = int(weights.sum()) // 11  # about the share of its rows
    return weights


def _changes(rng: np.random.PCG64, start: IntArray, length: IntArray, percent: tuple[int, int]) -> IntArray:
    """Return the times of a first change for some, and of a second one for some of those."""
    import numpy as np

    size = len(start)
    first = start + 1 + draw_integers(rng, size, length)
    second = first + 1 + draw_integers(rng, size, length)
    has_first = draw_integers(rng, size, 100) < percent[0]
    has_second = has_first & (draw_integers(rng, size, 100) < percent[1])
    return np.stack([np.where(has_first, first, NEVER), np.where(has_second, second, NEVER)])


def _users(rng: np.random.PCG64, user_ids: IntArray, joined: IntArray, seconds: int) -> Versions:
    """Return users with their plans: most stay, some upgrade, a few downgrade."""
    import numpy as np
    import pyarrow as pa

    size = len(user_ids)
    plans = np.empty((size, 3), np.int64)
    plans[:, 0] = np.repeat([1, 2, 3, 4], [60, 25, 10, 5])[draw_integers(rng, size, 100)]
    for stage in (1, 2):
        before, up = plans[:, stage - 1], draw_integers(rng, size, 100) < 82
        # From the highest and the lowest plan there is only one direction, so every change is one.
        step = np.where((before == 1) | (up & (before < 4)), 1, -1)
        plans[:, stage] = before + step
    texts: list[str] = []
    for user, row in zip(user_ids.tolist(), plans.tolist(), strict=True):
        head = f"{user},{_email(user)},"
        texts.extend(f"{head}{plan}\n" for plan in row)
    return Versions(_changes(rng, joined, np.maximum(1, seconds - joined), (45, 30)), pa.array(texts))


def _email(user_id: int) -> str:
    """Return an opaque address that depends only on the user."""
    return hashlib.sha384(f"user-{user_id}@scx".encode()).hexdigest()


def _projects(rng: np.random.PCG64, joined: IntArray, counts: IntArray, period: tuple[date, int]) -> Versions:
    """Return every user's projects, spread evenly over the user's time; ids increase with the first day of work."""
    import numpy as np

    total, (first_day, seconds) = int(counts.sum()), period
    owner = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    life = np.maximum(1, seconds - joined)[owner]
    start = joined[owner] + nth * life // counts[owner]
    ids = np.empty(total, np.int64)
    ids[np.argsort(start, kind="stable")] = 1_001 + np.arange(total) + np.arange(total) // 11
    days = start // 86_400 - draw_integers(rng, total, 21)
    changes = _changes(rng, start, np.maximum(1, 2 * life // counts[owner]), (35, 30))
    return Versions(changes, project_texts(rng, ids, days, first_day))
