"""Writes a realistic Scx job log of any size to a bucket, and reports its content.

The plan of the files and the content of rows do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.samples.months import month_starts
from scx_pipeline.samples.options import ignore_progress
from scx_pipeline.samples.scx.invalid_rows import InvalidRows, insert_invalid_rows
from scx_pipeline.samples.scx.job_rows import COLUMNS, Block, JobRange, generate_blocks, job_id
from scx_pipeline.samples.scx.plan import LogFile, ScxLogOptions, check_options, plan_files
from scx_pipeline.samples.scx.population import Population, build_population
from scx_pipeline.samples.writing import Chunk, write_object

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from scx_pipeline.samples.random_numbers import IntArray

__all__ = ["GeneratedLog", "ScxLogOptions", "generate"]


@dataclass(frozen=True)
class GeneratedLog:
    """The content of the bucket, and so what a correct load must find.

    Jobs, users and projects are those of the clean rows.
    """

    objects: int
    bytes: int
    """As stored: compressed, with headers and invalid rows."""
    jobs: int
    bad_rows: int
    duplicates: int
    late_rows: int
    jobs_by_month: dict[str, int]
    """By month of created_at in UTC as YYYY-MM: every month of the log, in order."""
    users: int
    projects: int
    busiest_user: int
    """Has more jobs than any other user, and at least one in every month that has jobs."""


def generate(
    options: ScxLogOptions, store: ObjectStore, progress: Callable[[str], None] = ignore_progress
) -> GeneratedLog:
    """Write the log to the store, replacing objects of the same keys. Raises ValueError for invalid options.

    Memory holds one block of rows at a time, whatever the number of jobs. `progress` is called for each object.
    """
    check_options(options)
    starts = month_starts(options.to, options.months)
    seconds = (starts[-1] - starts[0]).days * 86_400
    population = build_population(options.seed, options.jobs, starts[0], seconds)
    invalid_rows = InvalidRows(
        options.jobs, options.bad_rows, options.duplicates, job_id(options.jobs), options.seed
    )
    counter = _JobCounter.create(population, [f"{start:%Y-%m}" for start in starts[:-1]])
    for file in plan_files(options):
        before = counter.jobs
        size = write_object(
            store, file.key, _generate_chunks(file, population, invalid_rows, counter), options.compression
        )
        counter.add_object(size)
        progress(f"{file.key}: {counter.jobs - before:,} jobs, {size:,} bytes")
    return counter.report(population)


def _generate_chunks(
    file: LogFile, population: Population, invalid_rows: InvalidRows, counter: _JobCounter
) -> Iterator[Chunk]:
    """Yield the bytes of a file in order, and count its rows."""
    yield (",".join(COLUMNS) + "\n").encode()
    for job_range in file.job_ranges:
        for block in generate_blocks(population, invalid_rows.seed, job_range):
            counter.add_block(job_range, block, invalid_rows)
            yield from insert_invalid_rows(block, invalid_rows)


@dataclass
class _JobCounter:
    """Counts the generated rows, so that the report does not merely repeat the options."""

    jobs_of: IntArray
    seen: IntArray
    jobs_by_month: dict[str, int]
    objects: int = 0
    bytes: int = 0
    bad_rows: int = 0
    duplicates: int = 0
    late_rows: int = 0

    @classmethod
    def create(cls, population: Population, months: list[str]) -> _JobCounter:
        import numpy as np

        jobs_of = np.zeros(len(population.user_ids), np.int64)
        return cls(jobs_of, np.zeros(population.count_projects(), np.int64), dict.fromkeys(months, 0))

    @property
    def jobs(self) -> int:
        return sum(self.jobs_by_month.values())

    def add_block(self, job_range: JobRange, block: Block, invalid_rows: InvalidRows) -> None:
        import numpy as np

        rows = len(block.lines)
        self.jobs_of += np.bincount(block.users, minlength=len(self.jobs_of))
        self.seen[block.projects] = 1
        self.jobs_by_month[f"{job_range.start:%Y-%m}"] += rows
        self.late_rows += rows if job_range.is_late else 0
        self.bad_rows += len(invalid_rows.share(invalid_rows.bad_rows, block))
        self.duplicates += len(invalid_rows.share(invalid_rows.duplicates, block))

    def add_object(self, size: int) -> None:
        self.objects += 1
        self.bytes += size

    def report(self, population: Population) -> GeneratedLog:
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
            busiest_user=int(population.user_ids[self.jobs_of.argmax()]),
        )
