"""Random histories of a bucket and its loads: objects that are written, overwritten and deleted, good and bad, and loads.

Running the steps and comparing the results do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain, count
from typing import Literal

from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.support.load_env import (
    CONCATENATED,
    FACTS,
    PREFIX,
    STAGING,
    columns,
    compress,
    csv_text,
    job,
)

MONTHS = tuple(MonthRange(Month(2021, 1), Month(2021, 3)))
CONCATENATED_NAME = CONCATENATED.removeprefix(PREFIX)
EVENT_TIMES = ("05 10:00:00", "05T19:00:00+09:00", "01 00:00:00", "28 23:59:59.999999", "17 08:30:00Z")
NAMES = ("Seoul", "", "a\nb, c", 'say "hi"', "서울 ☂", "z\r\ny", " x ")
PROFILES = ("city", "Forestry", "forestry", "ürban", "")
# The flaws for which a row is rejected: the faulty column and its value.
FLAWS: Mapping[str, tuple[str | None, str]] = {
    "short": (None, ""),
    "long": (None, ""),
    "loose text": (None, ""),
    "no id": ("job_id", ""),
    "no number": ("job_id", "J-1"),
    "overflow": ("user_id", "99999999999"),
    "decimal": ("plan_id", "2.7"),
    "no day": ("created_at", "2021-02-30 10:00:00"),
    "no time": ("created_at", ""),
    "infinite": ("updated_at", "infinity"),
    "1970": ("created_at", "1970-01-01 00:00:00"),
    "future": ("created_at", "2059-01-01 00:00:00"),
    "wide": ("upload_time", "ü" * 9),
    "NUL": ("summary", "a\0b"),
}
# The flaws by which a row that can be loaded violates a blocking check.
VIOLATIONS: Mapping[str, tuple[str | None, str]] = {
    "no such plan": ("plan_id", "1001"),
    "no such option": ("remove_dup", "2"),
}
Damage = Literal["", "wrong header", "not compressed"]
WRONG_HEADER = b"no,such,header\n1,2,3\n"


@dataclass(frozen=True)
class Entry:
    """A row of a future file, with few values of each kind, so that files and months share keys and event times."""

    number: int
    month: int = 0  # if the file names none
    time: int = 0
    late: bool = False
    stray: bool = False  # under the job_id of another month
    user: int = 1
    project: int = 1
    updated: int | None = None
    variant: int = 0
    flaw: str = ""

    def text(self, named: Month | None) -> dict[str, object]:
        """Return the row as it is in the file, except for a wrong number of values."""
        month = named or MONTHS[self.month]
        event_time = f"{month}-{EVENT_TIMES[self.time]}"
        if self.late:
            month = month.shift(-1)
            event_time = f"{month}-{(month.end - datetime.resolution).day} 23:30:00"
        values: dict[str, object] = {
            "project_id": self.project,
            # Text after a closing quote makes the line ends after it uncertain, and so the whole file.
            "project_name": NAMES[0 if self.flaw == "loose text" else self.variant % len(NAMES)],
            "ground_profile": PROFILES[self.variant % len(PROFILES)],
            "updated_at": None if self.updated is None else f"2021-05-01 00:00:{self.updated:02d}",
            "user_id": self.user,
            "plan_id": self.variant,
        }
        owner = month.shift(1) if self.stray else month
        row = job((owner.year * 12 + owner.month) * 1000 + self.number, event_time, **values)
        column, value = {**FLAWS, **VIOLATIONS}.get(self.flaw, (None, ""))
        return row | ({column: value} if column else {})

    @property
    def is_rejected(self) -> bool:
        return self.flaw in FLAWS


BAD = Entry(1, flaw="no time")


@dataclass(frozen=True)
class Put:
    """Write an object, or overwrite it."""

    name: str
    entries: tuple[Entry, ...]
    newline: str = "\n"
    reversed_columns: bool = False
    damage: Damage = ""
    bad_rows: int = 0  # after the others

    @property
    def named_month(self) -> Month | None:
        """The month in the object's name."""
        return Month.parse(self.name[:7].replace("/", "-")) if self.name[:1] == "2" else None

    def may_contain(self, month: Month) -> bool:
        """Return whether rows of the month may be in the object: the last ones of a month may be in the next month's."""
        named = self.named_month
        return named is None or month in (named.shift(-1), named)

    @property
    def is_unreadable(self) -> bool:
        is_plain = self.name.endswith(".csv")
        return self.damage == "wrong header" or (self.damage == "not compressed" and not is_plain)

    def rows(self) -> list[tuple[Entry, dict[str, object]]]:
        """Return the rows of the file."""
        return [(entry, entry.text(self.named_month)) for entry in (*self.entries, *[BAD] * self.bad_rows)]

    @cached_property
    def content(self) -> bytes:
        if self.damage == "wrong header":
            return compress(WRONG_HEADER, self.name)
        text = csv_text((line for line, _ in self._lines()), self._names(), self.newline)
        return text.encode() if self.is_unreadable else compress(text.encode(), self.name)

    def _names(self) -> tuple[str, ...]:
        return columns()[::-1] if self.reversed_columns else columns()

    def _lines(self) -> Iterator[tuple[str, Entry]]:
        for entry, row in self.rows():
            line = csv_text([row], self._names(), "\n").split("\n", 1)[1].removesuffix("\n")
            yield (
                {"short": line[: line.index(",")], "long": f"{line},more", "loose text": f'"a"b{line}'}.get(
                    entry.flaw, line
                ),
                entry,
            )

    @cached_property
    def bad_lines(self) -> list[tuple[str, int]]:
        """The key and line of every row that must be rejected."""
        found, number = [], 2
        for line, entry in self._lines():
            if entry.is_rejected:
                found.append((PREFIX + self.name, number))
            number += 1 + line.count("\n")
        return found


@dataclass(frozen=True)
class Delete:
    """Delete an object, if it exists."""

    name: str


@dataclass(frozen=True)
class Load:
    """Load a range of months: all tables, or some and their dependents."""

    first: int
    last: int
    tables: frozenset[str] = frozenset()

    @property
    def scope(self) -> MonthRange:
        return MonthRange(MONTHS[min(self.first, self.last)], MONTHS[max(self.first, self.last)])


@dataclass(frozen=True)
class BrokenLoad:
    """A load that is interrupted after some statements, or fails with a database error, unless it ends before that."""

    load: Load
    statements: int
    by_database: bool


@dataclass(frozen=True)
class Settle:
    """Load the due months as the sensor does, or month by month; then compare with a build from scratch."""

    each: Literal["scope", "month", "month backwards"] = "scope"


@dataclass(frozen=True)
class Clean:
    """Delete the objects that may keep months from being published."""


Step = Put | Delete | Load | BrokenLoad | Settle | Clean


def _folder(month: Month) -> str:
    return f"{month.year}/{month.month:02d}/"


# Few names, so that objects are overwritten and deleted; more users than rows in a file, so that users appear and disappear.
_NAMES = [f"{_folder(month)}{rest}" for month in MONTHS for rest in ("a.csv", "07/b c.csv.gz", "added07.csv")]
_FILES = st.sampled_from([*_NAMES, "2021/02/c.csv.zst", CONCATENATED_NAME, f"{CONCATENATED_NAME}.gz"])
_MONTHS = st.integers(0, len(MONTHS) - 1)
_ENTRIES = st.builds(
    Entry,
    number=st.integers(1, 4),
    month=_MONTHS,
    time=st.integers(0, len(EVENT_TIMES) - 1),
    late=st.sampled_from([False, False, True]),
    stray=st.sampled_from([False] * 20 + [True]),
    user=st.integers(1, 6),
    project=st.integers(1, 4),
    updated=st.none() | st.integers(0, 2),
    variant=st.integers(0, len(NAMES) - 1),
    flaw=st.sampled_from([""] * 7 * len(FLAWS) + [*FLAWS, *VIOLATIONS]),
)
_PUTS = st.builds(
    Put,
    _FILES,
    st.lists(_ENTRIES, max_size=5).map(tuple),
    newline=st.sampled_from(["\n", "\r\n"]),
    reversed_columns=st.booleans(),
    damage=st.sampled_from([*[""] * 12, "wrong header", "not compressed"]),
    bad_rows=st.sampled_from([0] * 12 + [60]),
)
_TABLES = st.sampled_from(
    [frozenset[str]()] * 4 + [frozenset({name}) for name in ("users", "projects", "time", FACTS, STAGING)]
)
_LOADS = st.builds(Load, _MONTHS, _MONTHS, _TABLES)
_CHANGES = st.one_of(_PUTS, _PUTS, st.builds(Delete, _FILES))
_STEPS = st.one_of(
    _CHANGES,
    _CHANGES,
    _LOADS,
    st.builds(BrokenLoad, _LOADS, st.integers(0, 70), st.booleans()),
    st.builds(Settle, st.sampled_from(["scope", "month", "month backwards"])),
)


# Many rows of each month, to which additions add few.
_BASE = tuple(
    Put(f"{_folder(month)}base.csv", tuple(Entry(number, user=number % 5) for number in range(50, 70)))
    for month in MONTHS
)
_ADDED = st.builds(
    Put,
    st.sampled_from([_folder(month) for month in MONTHS]),
    st.lists(
        st.builds(replace, _ENTRIES, number=st.sampled_from([1] * 5 + [50])), min_size=1, max_size=3
    ).map(tuple),
    damage=st.sampled_from([*[""] * 12, "wrong header"]),
)
_ALL = Load(0, len(MONTHS) - 1)
_ADDITIONS = st.builds(
    lambda cleans, puts, load: [*cleans, *puts, load],
    st.sampled_from([[], [], [Clean(), _ALL]]),
    st.lists(_ADDED, min_size=1, max_size=3),
    st.just(_ALL) | st.just(_ALL) | st.builds(BrokenLoad, st.just(_ALL), st.integers(0, 70), st.booleans()),
)


def histories(additions: int) -> st.SearchStrategy[list[Step]]:
    """Return histories that start with objects to load, with up to this many additions and some steps after each."""
    parts = st.builds(lambda addition, steps: [*addition, *steps], _ADDITIONS, st.lists(_STEPS, max_size=2))
    return st.builds(
        lambda puts, rest: [*puts, *_BASE, _ALL, *_with_new_names(chain.from_iterable(rest))],
        st.lists(_PUTS, max_size=3, unique_by=lambda put: put.name),
        st.lists(parts, min_size=additions // 2, max_size=additions),
    )


def _with_new_names(steps: Iterable[Step]) -> Iterator[Step]:
    """Give the objects of additions names and rows of their own, except for rows that have the key of a first one."""
    numbers = count(1)
    for step in steps:
        if not isinstance(step, Put) or not step.name.endswith("/"):
            yield step
            continue
        number = next(numbers)
        entries = (
            replace(entry, number=entry.number if entry.number == 50 else 100 + 3 * number + index)
            for index, entry in enumerate(step.entries)
        )
        yield replace(step, name=f"{step.name}added{number * 7 % 40:02d}.csv", entries=tuple(entries))
