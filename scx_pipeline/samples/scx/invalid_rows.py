"""What a loader must handle in a real log: older versions of jobs, and invalid rows.

Clean rows do not belong here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scx_pipeline.samples.random_numbers import create_rng, draw_integers
from scx_pipeline.samples.scx.job_rows import COLUMNS, GROUND_PROFILES, Block
from scx_pipeline.samples.writing import Chunk, insert_lines, share

if TYPE_CHECKING:
    import numpy as np

# The most rows between the versions of a job.
MAX_DISTANCE = 200
# A stream apart from those of the months: invalid rows never change a clean row.
INVALID_ROWS_STREAM = 1 << 20
# What is wrong with an invalid row, and the values that make it so; the first two change the number of columns.
INVALID_KINDS: dict[str, dict[str, str]] = {
    "too few columns": {},
    "too many columns": {},
    "job_id not a number": {"job_id": "J-1024"},
    "decimal in an int column": {"plan_id": "2.7"},
    "impossible date": {"created_at": "2021-02-30 10:15:00"},
    "empty job_id": {"job_id": ""},
    "empty created_at": {"created_at": ""},
    "empty user_id": {"user_id": ""},
    "created in 1970": {"created_at": "1970-01-01 00:00:00", "updated_at": "1970-01-01 00:07:30"},
    "job_id overflow": {"job_id": "99999999999"},
}


@dataclass(frozen=True)
class InvalidRows:
    """How many invalid and duplicate rows the log has, and what distinguishes them from the clean rows."""

    jobs: int
    bad_rows: int
    duplicates: int
    # Greater than every job_id of a clean row.
    next_job_id: int
    seed: int

    def share(self, amount: int, block: Block) -> range:
        """Return which of the log's `amount` rows belong to this block: all blocks together have each exactly once."""
        return share(amount, self.jobs, block.first, len(block.lines))


def insert_invalid_rows(block: Block, invalid_rows: InvalidRows) -> Iterator[Chunk]:
    """Return the bytes of the block, in chunks, with its share of invalid rows and duplicates in between."""
    extra = sorted([*_older_versions(block, invalid_rows), *_invalid_rows(block, invalid_rows)])
    return insert_lines(block.lines, extra)


def _older_versions(block: Block, invalid_rows: InvalidRows) -> Iterator[tuple[int, str]]:
    """Yield position and line of an earlier version of some jobs: updated sooner, with another ground_profile.

    It precedes or follows the newer version, so neither the first nor the last row of a job is always the right one.
    """
    numbers, size = invalid_rows.share(invalid_rows.duplicates, block), len(block.lines)
    rng = create_rng(invalid_rows.seed, INVALID_ROWS_STREAM, block.first, 1)
    for anchor in _anchors(rng, size, len(numbers)):
        fields = _parse(block, anchor)
        created = datetime.fromisoformat(_value(fields, "created_at"))
        took = datetime.fromisoformat(_value(fields, "updated_at")) - created
        sooner = created + timedelta(seconds=_draw_one(rng, int(took.total_seconds())))
        others = [each for each in GROUND_PROFILES if each != _value(fields, "ground_profile")]
        older = _with(fields, updated_at=str(sooner), ground_profile=others[_draw_one(rng, len(others))])
        place = anchor - MAX_DISTANCE + _draw_one(rng, 2 * MAX_DISTANCE)
        yield min(max(place, 0), size), _line(older)


def _invalid_rows(block: Block, invalid_rows: InvalidRows) -> Iterator[tuple[int, str]]:
    """Yield position and line of rows that no loader may accept, of all kinds in turn.

    Each is a well-formed CSV record with a job_id of its own: if it is accepted, no valid row can hide it.
    """
    numbers = invalid_rows.share(invalid_rows.bad_rows, block)
    rng = create_rng(invalid_rows.seed, INVALID_ROWS_STREAM, block.first, 2)
    for number, anchor in zip(numbers, _anchors(rng, len(block.lines), len(numbers)), strict=True):
        fields = _with(_parse(block, anchor), job_id=str(invalid_rows.next_job_id + number))
        yield anchor, _line(_invalidate(fields, number))


def _invalidate(fields: list[str], number: int) -> list[str]:
    kind = list(INVALID_KINDS)[number % len(INVALID_KINDS)]
    if kind == "too few columns":
        return fields[: 5 + number // len(INVALID_KINDS) % (len(COLUMNS) - 5)]
    if kind == "too many columns":
        return [*fields, "extra"]
    return _with(fields, **INVALID_KINDS[kind])


def _anchors(rng: np.random.PCG64, size: int, count: int) -> list[int]:
    """Return `count` of `size` rows, spread over all of them; none twice unless there are too few."""
    import numpy as np

    bounds = np.arange(count + 1) * size // max(count, 1)
    anchors: list[int] = (bounds[:-1] + draw_integers(rng, count, np.diff(bounds))).tolist()
    return anchors


def _draw_one(rng: np.random.PCG64, high: int) -> int:
    return int(draw_integers(rng, 1, high)[0])


def _parse(block: Block, row: int) -> list[str]:
    return next(csv.reader(io.StringIO(block.lines[row].as_py(), newline="")))


def _line(fields: list[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


def _value(fields: list[str], column: str) -> str:
    return fields[COLUMNS.index(column)]


def _with(fields: list[str], **values: str) -> list[str]:
    return [values.get(column, field) for column, field in zip(COLUMNS, fields, strict=True)]
