"""What loads must publish and which months they must hold, computed in plain Python from the objects in the bucket.

Reading a warehouse and comparing do not belong here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.purity.expected_tables import BucketModel, Job, expected_tables
from scx_pipeline_tests.purity.log_history import Put
from scx_pipeline_tests.support.load_env import STAGING
from scx_pipeline_tests.support.snapshots import Row

REJECT_LIMIT = 0.5
Objects = frozenset[tuple[str, bytes]]


@dataclass(frozen=True)
class Published:
    """A published month: the objects that it was built from, and its rows of the staging table."""

    objects: Objects
    jobs: Collection[Job]


@dataclass(frozen=True)
class Held:
    """A month that was held when it was last loaded: its objects, and the months with which it shares keys."""

    objects: Objects
    conflicts: frozenset[Month] = frozenset()


@dataclass(frozen=True)
class State:
    """The expected content of a warehouse."""

    published: Mapping[Month, Published] = field(default_factory=dict)
    held: Mapping[Month, Held] = field(default_factory=dict)
    # The objects in the load history, as they were when a load last published rows of them.
    recorded: Mapping[str, Put] = field(default_factory=dict)

    def tables(self) -> dict[str, list[Row]]:
        """Return the rows of every table of the star; dimensions have the latest row per key over the published months."""
        jobs = [job for month in self.published.values() for job in month.jobs]
        assert len({job["job_id"] for job in jobs}) == len(jobs), "no two published months share a key"
        return expected_tables(jobs)

    def month_rows(self) -> list[tuple[str, str, int]]:
        """Return how many rows each published month contributes to each table, if any."""
        return sorted(
            (name, str(month), len(rows))
            for month, published in self.published.items()
            for name, rows in expected_tables(published.jobs).items()
        )

    def due(self, bucket: BucketModel, months: MonthRange) -> dict[Month, bool]:
        """Return the due months, each with whether it is held and its objects have not changed since."""
        found = {}
        for month in months:
            before, held = self.published.get(month), self.held.get(month)
            objects = bucket.objects(month)
            if objects != before.objects if before else objects:
                found[month] = held is not None and held.objects == objects
        return found


@dataclass(frozen=True)
class Outcome:
    """The expected outcome of a load; without published months, it changes nothing but which months are held."""

    state: State
    published: frozenset[Month] = frozenset()
    held: frozenset[Month] = frozenset()


def expect_load(
    state: State, bucket: BucketModel, scope: MonthRange, tables: Collection[str] = ()
) -> Outcome:
    """Return the expected outcome of a load of all tables, or of some tables and their dependents."""
    if tables and STAGING not in tables:
        is_possible = all(month in state.published for month in scope)
        return Outcome(state, frozenset(scope if is_possible else ()))
    held: dict[Month, Held] = {}
    while remaining := [month for month in scope if month not in held]:
        found = _months_to_hold(state, bucket, remaining)
        if not found:
            break
        held |= found
    records = {month: before for month, before in state.held.items() if month not in remaining} | held
    if not remaining:
        return Outcome(State(state.published, records, state.recorded), held=frozenset(held))
    published = {month: Published(bucket.objects(month), bucket.jobs(month).values()) for month in remaining}
    read = {put.name: put for month in remaining for put in bucket.of_month(month)}
    kept = {name: put for name, put in state.recorded.items() if name in bucket.files}
    after = State({**state.published, **published}, records, {**kept, **read})
    return Outcome(after, frozenset(remaining), frozenset(held))


def _months_to_hold(state: State, bucket: BucketModel, months: Sequence[Month]) -> dict[Month, Held]:
    """Return the months that an attempt to publish all these finds it cannot publish.

    Files are read before rows are compared with each other; these are compared before they are checked. So a month is not
    found to share a key with one whose file is unreadable.
    """
    shared = _shared_keys(bucket, months)
    rules = (
        _unsolved(state, bucket, months),
        [month for month in months if any(put.is_unreadable for put in bucket.of_month(month))],
        [month for month in months if month in shared or _exceeds_limit(bucket, month)],
        [month for month in months if _violates_check(state, bucket, month, months)],
    )
    found = next(filter(None, rules), [])
    if found is rules[0]:
        return {month: state.held[month] for month in found}
    conflicts = shared if found is rules[2] else {}
    return {month: Held(bucket.objects(month), frozenset(conflicts.get(month, ()))) for month in found}


def _unsolved(state: State, bucket: BucketModel, months: Sequence[Month]) -> list[Month]:
    """Return the months that share a key with a month that is not among these, if neither has changed since."""
    unchanged = [month for month, held in state.held.items() if held.objects == bucket.objects(month)]
    return [
        month
        for month in months
        if month in unchanged
        and any(other in unchanged and other not in months for other in state.held[month].conflicts)
    ]


def _shared_keys(bucket: BucketModel, months: Sequence[Month]) -> dict[Month, set[Month]]:
    """Return the months that have a key in common with others of these months, each with the others."""
    owners: dict[int, set[Month]] = defaultdict(set)
    for month in months:
        for job_id in bucket.jobs(month):
            owners[job_id].add(month)
    shared: dict[Month, set[Month]] = defaultdict(set)
    for found in owners.values():
        for month in found if len(found) > 1 else ():
            shared[month] |= found - {month}
    return shared


def _exceeds_limit(bucket: BucketModel, month: Month) -> bool:
    rejected = Counter(entry.is_rejected for put in bucket.of_month(month) for entry, _ in put.rows())
    return rejected[True] > REJECT_LIMIT * rejected.total()


def _violates_check(state: State, bucket: BucketModel, month: Month, months: Sequence[Month]) -> bool:
    """Return whether a row of a month has a refused value, or the key of a published row of a month that stays."""
    jobs = bucket.jobs(month)
    staying = {
        job["job_id"]
        for other, published in state.published.items()
        for job in published.jobs
        if other not in months
    }
    return not staying.isdisjoint(jobs) or any(
        job["plan_id"] > 1000 or job["remove_dup"] > 1 for job in jobs.values()
    )
