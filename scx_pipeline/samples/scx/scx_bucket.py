"""A realistic Scx job log of any size, written to a bucket, and the report of what is in it.
What goes where lives in scx_plan, how a row looks in scx_rows, who made it in scx_world, dirt in scx_dirt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.samples.months import month_starts
from scx_pipeline.samples.options import tell_nobody
from scx_pipeline.samples.scx.dirty_rows import Dirt, soil
from scx_pipeline.samples.scx.job_rows import COLUMNS, Block, Stretch, job_id, make_blocks
from scx_pipeline.samples.scx.plan import LogFile, ScxLogOptions, check_options, plan_files
from scx_pipeline.samples.scx.population import World, build_world
from scx_pipeline.samples.writing import Piece, write_object

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from scx_pipeline.samples.random_numbers import IntArray

__all__ = ["GeneratedLog", "ScxLogOptions", "generate"]


@dataclass(frozen=True)
class GeneratedLog:
    """What is in the bucket, and so what a right load must find. Jobs, users and projects are those of the
    clean rows."""

    objects: int
    bytes: int
    """As stored: compressed, with headers and dirt."""
    jobs: int
    bad_rows: int
    duplicates: int
    late_rows: int
    jobs_by_month: dict[str, int]
    """By month of created_at in UTC, YYYY-MM: every month of the log, in order."""
    users: int
    projects: int
    busiest_user: int
    """Has more jobs than any other, and at least one in every month that has any."""


def generate(
    options: ScxLogOptions, store: ObjectStore, progress: Callable[[str], None] = tell_nobody
) -> GeneratedLog:
    """Writes the log to the store, replacing objects of the same keys, and tells `progress` of each. Raises
    ValueError for options that make no log, before anything is written. Holds a block of rows at a time,
    whatever the number of jobs."""
    check_options(options)
    starts = month_starts(options.to, options.months)
    seconds = (starts[-1] - starts[0]).days * 86_400
    world = build_world(options.seed, options.jobs, starts[0], seconds)
    dirt = Dirt(options.jobs, options.bad_rows, options.duplicates, job_id(options.jobs), options.seed)
    tally = _Tally.begin(world, [f"{start:%Y-%m}" for start in starts[:-1]])
    for file in plan_files(options):
        before = tally.jobs
        size = write_object(store, file.key, _make_pieces(file, world, dirt, tally), options.compression)
        tally.add_object(size)
        progress(f"{file.key}: {tally.jobs - before:,} jobs, {size:,} bytes")
    return tally.report(world)


def _make_pieces(file: LogFile, world: World, dirt: Dirt, tally: _Tally) -> Iterator[Piece]:
    """The bytes of a file, in order, counted as they go."""
    yield (",".join(COLUMNS) + "\n").encode()
    for stretch in file.stretches:
        for block in make_blocks(world, dirt.seed, stretch):
            tally.add_block(stretch, block, dirt)
            yield from soil(block, dirt)


@dataclass
class _Tally:
    """Counts the rows that were made, so that the report is no echo of the options."""

    jobs_of: IntArray
    seen: IntArray
    jobs_by_month: dict[str, int]
    objects: int = 0
    bytes: int = 0
    bad_rows: int = 0
    duplicates: int = 0
    late_rows: int = 0

    @classmethod
    def begin(cls, world: World, months: list[str]) -> _Tally:
        import numpy as np

        jobs_of = np.zeros(len(world.user_ids), np.int64)
        return cls(jobs_of, np.zeros(world.count_projects(), np.int64), dict.fromkeys(months, 0))

    @property
    def jobs(self) -> int:
        return sum(self.jobs_by_month.values())

    def add_block(self, stretch: Stretch, block: Block, dirt: Dirt) -> None:
        import numpy as np

        rows = len(block.lines)
        self.jobs_of += np.bincount(block.users, minlength=len(self.jobs_of))
        self.seen[block.projects] = 1
        self.jobs_by_month[f"{stretch.start:%Y-%m}"] += rows
        self.late_rows += rows if stretch.is_late else 0
        self.bad_rows += len(dirt.share(dirt.bad_rows, block))
        self.duplicates += len(dirt.share(dirt.duplicates, block))

    def add_object(self, size: int) -> None:
        self.objects += 1
        self.bytes += size

    def report(self, world: World) -> GeneratedLog:
        return GeneratedLog(
            objects=self.objects,
            bytes=self.bytes,
            jobs=self.jobs,
            bad_rows=self.bad_rows,
            duplicates=self.duplicates,
            late_rows=self.late_rows,
            jobs_by_month=self.jobs_by_month,
            users=int((self.jobs_of > 0).sum()),
            projects=int(self.seen.sum()),
            busiest_user=int(world.user_ids[self.jobs_of.argmax()]),
        )
