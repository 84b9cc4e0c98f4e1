"""What a real log has and a loader must survive: older versions of jobs, and rows nobody may accept.
Clean rows are made in scx_rows; how much dirt is wanted is said in scx_plan."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scx_pipeline.samples.random_numbers import dice, roll
from scx_pipeline.samples.scx.job_rows import COLUMNS, GROUND_PROFILES, Block

if TYPE_CHECKING:
    import numpy as np

NEAR = 200
DIRT_DICE = 1 << 20  # a stream of its own, far from those of the months: dirt never changes a clean row
# What is wrong with a bad row, and the values that make it so; the first two are about the number of columns.
BAD_KINDS: dict[str, dict[str, str]] = {
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
class Dirt:
    """How much dirt the whole log gets, and what keeps it apart from the clean rows."""

    jobs: int
    bad_rows: int
    duplicates: int
    next_job_id: int  # above every clean one
    seed: int

    def share(self, amount: int, block: Block) -> range:
        """Which of the log's `amount` pieces belong to this block: blocks together get each exactly once."""
        end = block.first + len(block.lines)
        return range(amount * block.first // self.jobs, amount * end // self.jobs)


def soil(block: Block, dirt: Dirt) -> Iterator[memoryview]:
    """The bytes of the block with its share of dirt between its rows, in pieces to be written in order."""
    import numpy as np

    offsets = np.frombuffer(block.lines.buffers()[1], np.int32)
    whole = memoryview(block.lines.buffers()[2]).cast("B")
    begin = 0
    for place, line in sorted([*_older_versions(block, dirt), *_bad_rows(block, dirt)]):
        end = int(offsets[place])
        yield whole[begin:end]
        yield memoryview(line.encode())
        begin = end
    yield whole[begin : int(offsets[len(block.lines)])]


def _older_versions(block: Block, dirt: Dirt) -> Iterator[tuple[int, str]]:
    """(place, line) of an earlier state of some jobs: updated sooner, with another ground_profile, before or
    after the newer state, so that neither the first nor the last row of a job is always the right one."""
    numbers, size = dirt.share(dirt.duplicates, block), len(block.lines)
    bits = dice(dirt.seed, DIRT_DICE, block.first, 1)
    for anchor in _anchors(bits, size, len(numbers)):
        fields = _parse(block, anchor)
        created = datetime.fromisoformat(_value(fields, "created_at"))
        took = datetime.fromisoformat(_value(fields, "updated_at")) - created
        sooner = created + timedelta(seconds=_one(bits, int(took.total_seconds())))
        others = [each for each in GROUND_PROFILES if each != _value(fields, "ground_profile")]
        older = _with(fields, updated_at=str(sooner), ground_profile=others[_one(bits, len(others))])
        place = anchor - NEAR + _one(bits, 2 * NEAR)
        yield min(max(place, 0), size), _line(older)


def _bad_rows(block: Block, dirt: Dirt) -> Iterator[tuple[int, str]]:
    """(place, line) of rows that no loader may accept, one kind after the other. Each is a well-formed CSV
    record, under a job_id of its own: once accepted, it cannot hide behind a good row."""
    numbers = dirt.share(dirt.bad_rows, block)
    bits = dice(dirt.seed, DIRT_DICE, block.first, 2)
    for number, anchor in zip(numbers, _anchors(bits, len(block.lines), len(numbers)), strict=True):
        fields = _with(_parse(block, anchor), job_id=str(dirt.next_job_id + number))
        yield anchor, _line(_spoil(fields, number))


def _spoil(fields: list[str], number: int) -> list[str]:
    kind = list(BAD_KINDS)[number % len(BAD_KINDS)]
    if kind == "too few columns":
        return fields[: 5 + number // len(BAD_KINDS) % (len(COLUMNS) - 5)]
    if kind == "too many columns":
        return [*fields, "extra"]
    return _with(fields, **BAD_KINDS[kind])


def _anchors(bits: np.random.PCG64, size: int, count: int) -> list[int]:
    """`count` rows of `size`, spread over all of them; no row twice unless there are too few."""
    import numpy as np

    bounds = np.arange(count + 1) * size // max(count, 1)
    anchors: list[int] = (bounds[:-1] + roll(bits, count, np.diff(bounds))).tolist()
    return anchors


def _one(bits: np.random.PCG64, sides: int) -> int:
    return int(roll(bits, 1, sides)[0])


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
