"""What a file must give, according to the independent reader, and the comparison with what our reader gave.

A record whose rule is open has several outcomes; a loaded row must be one of them, and each record counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

Row = tuple[Any, ...]
Outcome = tuple[str, Row]
REJECTED: Outcome = ("rejected", ())
SKIPPED: Outcome = ("skipped", ())  # a line that may count as blank
MOST_SHOWN = 3


class Reject:
    """A value that its column refuses."""

    def __repr__(self) -> str:
        return "REJECT"


REJECT = Reject()


@dataclass
class Expected:
    """What a file holds: rows loaded, rows of other months, rejected records with their lines, and open records.

    `refusal` says whether the file is refused: "never", "may" or "must", and `why`.
    """

    refusal: str = "never"
    why: str = ""
    loaded: Counter[Row] = field(default_factory=Counter)
    filtered: int = 0
    rejected: int = 0
    lines: list[int | None] = field(
        default_factory=list
    )  # of the rejected records; empty where they are not known
    open: list[frozenset[Outcome]] = field(default_factory=list)
    otherwise: Expected | None = None  # what the file may give instead

    def refuse(self, refusal: str, why: str) -> None:
        """Note that the file may, or must, be refused; "must" wins."""
        if self.refusal != "must":
            self.refusal, self.why = refusal, why

    def add(self, outcomes: Iterable[Outcome], line: int | None = None) -> None:
        """Add a record with its possible outcomes."""
        found = frozenset(outcomes)
        if len(found) > 1:
            self.open.append(found)
            return
        [(kind, row)] = found
        if kind == "loaded":
            self.loaded[row] += 1
        elif kind == "filtered":
            self.filtered += 1
        elif kind == "rejected":
            self.rejected += 1
            self.lines.append(line)


@dataclass(frozen=True)
class Months:
    """Where rows belong, by the event time in microseconds at a place of the row; bounds are half open."""

    place: int
    star: tuple[int, int]
    scope: tuple[int, int]

    def of(self, row: Row) -> Outcome:
        """What becomes of a good row."""
        time = row[self.place]
        if not self.star[0] <= time < self.star[1]:
            return REJECTED
        return ("loaded", row) if self.scope[0] <= time < self.scope[1] else ("filtered", ())


def outcomes_of(cells: Sequence[Sequence[Any]], months: Months | None) -> list[Outcome]:
    """The outcomes of a record from what each of its columns may become; REJECT in a cell rejects the record."""
    found = []
    for row in product(*cells):
        if any(cell is REJECT for cell in row):
            found.append(REJECTED)
        else:
            found.append(months.of(row) if months else ("loaded", row))
    return found


@dataclass
class Given:
    """What our reader gave of a file."""

    rows: Counter[Row]
    read: int
    loaded: int
    rejected: int
    deduplicated: int
    filtered: int
    lines: list[int | None]


def differences(expected: Expected, given: Given) -> list[str]:
    """What is wrong with the rows and counts of a file; nothing where they agree."""
    if expected.otherwise and not differences(expected.otherwise, given):
        return []
    found = []
    total = given.loaded + given.rejected + given.deduplicated + given.filtered
    if given.read != total:
        found.append(f"unaccounted: {given.read} read, {total} accounted for")
    if given.loaded != given.rows.total():
        found.append(f"counted {given.loaded} rows as loaded, but {given.rows.total()} were staged")
    missing, wrong = expected.loaded - given.rows, given.rows - expected.loaded
    if missing:
        found.append(f"{missing.total()} rows are missing: {_shown(missing)}")
    left, alien = _match(list(wrong.elements()), expected.open)
    if alien:
        found.append(f"{alien.total()} rows should not be there, or not so: {_shown(alien)}")
    counts = (given.rejected - expected.rejected, given.filtered - expected.filtered)
    if not found and counts not in _reachable(left):
        found.append(
            f"{given.rejected} rejected and {given.filtered} of other months, not {expected.rejected} and {expected.filtered}"
            f" ({len(left)} records are open)"
        )
    if not found and not expected.open and len(given.lines) == given.rejected and expected.lines:
        found += _line_differences(expected.lines, given.lines)
    return found


def _line_differences(expected: Sequence[int | None], given: Sequence[int | None]) -> list[str]:
    if None in expected or Counter(expected) == Counter(given):
        return []
    return [
        f"rejected lines {_some(Counter(given) - Counter(expected))} should be {_some(Counter(expected) - Counter(given))}"
    ]


def _some(lines: Counter[int | None]) -> str:
    return ", ".join(map(str, list(lines)[:5]))


def _match(
    rows: Sequence[Row], records: Sequence[frozenset[Outcome]]
) -> tuple[list[frozenset[Outcome]], Counter[Row]]:
    """The open records that none of the rows came from, and the rows that came from none of them.

    Records that must be loaded are given a row first (augmenting paths keep what was matched matched).
    """
    owner: dict[int, int] = {}  # by the row's place, the record's
    of_row: dict[Row, list[int]] = {}
    for place, row in enumerate(rows):
        of_row.setdefault(row, []).append(place)
    places = [
        [place for kind, row in record if kind == "loaded" for place in of_row.get(row, ())]
        for record in records
    ]

    def take(record: int, tried: set[int]) -> bool:
        for place in places[record]:
            if place not in tried:
                tried.add(place)
                if place not in owner or take(owner[place], tried):
                    owner[place] = record
                    return True
        return False

    must = [all(kind == "loaded" for kind, _ in record) for record in records]
    for record in sorted(range(len(records)), key=lambda index: not must[index]):
        take(record, set())
    taken = set(owner.values())
    left = [record for index, record in enumerate(records) if index not in taken]
    return left, Counter(row for place, row in enumerate(rows) if place not in owner)


def _reachable(records: Sequence[frozenset[Outcome]]) -> set[tuple[int, int]]:
    """The numbers of (rejected, filtered) that these records can come to when none of them is loaded."""
    found = {(0, 0)}
    for record in records:
        kinds = {kind for kind, _ in record} - {"loaded"}
        found = {
            (rejected + (kind == "rejected"), filtered + (kind == "filtered"))
            for rejected, filtered in found
            for kind in kinds
        }
    return found


def _shown(rows: Counter[Row]) -> str:
    return "; ".join(repr(row)[:300] for row in list(rows)[:MOST_SHOWN])
