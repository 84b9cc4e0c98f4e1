"""Random histories of a bucket and its loads, and what a warehouse must hold after them, worked out in plain Python.
Nothing is loaded here: the steps are taken, and the outcomes compared, in test_purity.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.support.load_env import (
    CONCATENATED,
    FACTS,
    PREFIX,
    STAGING,
    Row,
    columns,
    csv_text,
    job,
    scx_star,
)

MONTHS = tuple(MonthRange(Month(2021, 1), Month(2021, 3)))
WHOLE = CONCATENATED.removeprefix(PREFIX)
MOMENTS = ("05 10:00:00", "05T19:00:00+09:00", "01 00:00:00", "28 23:59:59.999999", "17 08:30:00Z")
LATE = datetime(1, 1, 1, 23, 30)
NAMES = ("Seoul", "", "a\nb, c", 'say "hi"', "서울 ☂", "z\r\ny", " x ")
PROFILES = ("city", "Forestry", "forestry", "ürban", "")
# What may be wrong with a row: the column that is to blame, and the value that it has instead.
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


@dataclass(frozen=True)
class Entry:
    """A row of a file to be: few values of each kind, so that keys and moments are shared by files and months."""

    number: int
    month: int = 0  # where the file names none
    event_time_column: int = 0
    late: bool = False
    stray: bool = False  # under the job_id of another month
    user: int = 1
    project: int = 1
    updated: int | None = None
    look: int = 0
    flaw: str = ""

    def text(self, named: Month | None) -> dict[str, object]:
        """The row as the file has it, but for a flaw of its columns' number."""
        month = named or MONTHS[self.month]
        moment = f"{month}-{MOMENTS[self.event_time_column]}"
        if self.late:
            month = month.shift(-1)
            moment = f"{month}-{(month.end - datetime.resolution).day} 23:30:00"
        values: dict[str, object] = {
            "project_id": self.project,
            # A loose text makes the line ends after it doubtful, and then the whole file.
            "project_name": NAMES[0 if self.flaw == "loose text" else self.look % len(NAMES)],
            "ground_profile": PROFILES[self.look % len(PROFILES)],
            "updated_at": None if self.updated is None else f"2021-05-01 00:00:{self.updated:02d}",
            "user_id": self.user,
            "plan_id": self.look,
        }
        owner = month.shift(1) if self.stray else month
        row = job((owner.year * 12 + owner.month) * 10 + self.number, moment, **values)
        column, value = FLAWS.get(self.flaw, (None, ""))
        return row | ({column: value} if column else {})


@dataclass(frozen=True)
class Put:
    """Write an object, or overwrite it."""

    name: str
    entries: tuple[Entry, ...]
    newline: str = "\n"
    turned: bool = False  # the columns in another order

    @property
    def month(self) -> Month | None:
        """The month that the name names."""
        return Month.parse(self.name[:7].replace("/", "-")) if self.name[:1] == "2" else None

    def rows(self) -> list[tuple[Entry, dict[str, object]]]:
        """The rows of the file; no more bad ones than good ones, so that no load is refused for them."""
        bad = [entry for entry in self.entries if entry.flaw]
        allowed = bad[: len(self.entries) - len(bad)]
        return [
            (entry, entry.text(self.month)) for entry in self.entries if not entry.flaw or entry in allowed
        ]

    def content(self) -> str:
        return csv_text((line for line, _ in self._lines()), self._names(), self.newline)

    def _names(self) -> tuple[str, ...]:
        return columns()[::-1] if self.turned else columns()

    def _lines(self) -> Iterator[tuple[str, Entry]]:
        for entry, row in self.rows():
            line = csv_text([row], self._names(), "\n").split("\n", 1)[1].removesuffix("\n")
            yield (
                {"short": line[: line.index(",")], "long": f"{line},more", "loose text": f'"a"b{line}'}.get(
                    entry.flaw, line
                ),
                entry,
            )

    def bad_lines(self) -> list[tuple[str, int]]:
        """Key and line of every row that must be rejected."""
        found, number = [], 2
        for line, entry in self._lines():
            if entry.flaw:
                found.append((PREFIX + self.name, number))
            number += 1 + line.count("\n")
        return found


@dataclass(frozen=True)
class Delete:
    """Remove an object, if it is there."""

    name: str


@dataclass(frozen=True)
class Load:
    """Load a span of months, all tables or what is made from some."""

    first: int
    last: int
    tables: frozenset[str] = frozenset()

    @property
    def scope(self) -> MonthRange:
        return MonthRange(MONTHS[min(self.first, self.last)], MONTHS[max(self.first, self.last)])


@dataclass(frozen=True)
class BrokenLoad:
    """A load that breaks after some statements, of itself or by an error of the database; or ends before that."""

    load: Load
    statements: int
    by_database: bool


@dataclass(frozen=True)
class PoisonedLoad:
    """A load of a month with an object of nothing but bad rows, which is taken away again."""

    month: int


@dataclass(frozen=True)
class Settle:
    """Load whatever changed: span by span, as the sensor does, or month by month; then compare with a build from nothing."""

    each: Literal["span", "month", "month backwards"] = "span"


Step = Put | Delete | Load | BrokenLoad | PoisonedLoad | Settle

# Few names, so that objects are overwritten and deleted; more users than a file has rows, so that they come and go.
_NAMES = [f"{month.year}/{month.month:02d}/{rest}" for month in MONTHS for rest in ("a.csv", "07/b c.csv.gz")]
_FILES = st.sampled_from([*_NAMES, "2021/02/c.csv.zst", WHOLE, f"{WHOLE}.gz"])
_MONTHS = st.integers(0, len(MONTHS) - 1)
_ENTRIES = st.builds(
    Entry,
    number=st.integers(1, 4),
    month=_MONTHS,
    moment=st.integers(0, len(MOMENTS) - 1),
    late=st.sampled_from([False, False, True]),
    stray=st.sampled_from([False] * 30 + [True]),
    user=st.integers(1, 6),
    project=st.integers(1, 4),
    updated=st.none() | st.integers(0, 2),
    look=st.integers(0, len(NAMES) - 1),
    flaw=st.sampled_from([""] * 3 * len(FLAWS) + list(FLAWS)),
)
_PUTS = st.builds(
    Put,
    _FILES,
    st.lists(_ENTRIES, max_size=5).map(tuple),
    newline=st.sampled_from(["\n", "\r\n"]),
    turned=st.booleans(),
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
    st.builds(Settle, st.sampled_from(["span", "month", "month backwards"])),
)


def histories(steps: int) -> st.SearchStrategy[list[Step]]:
    """Histories of about so many steps, that begin with something to load, and often with a load of it."""
    return st.builds(
        lambda puts, load, rest: [*puts, *load, *rest],
        st.lists(_PUTS, min_size=2, max_size=5, unique_by=lambda put: put.name),
        st.sampled_from([[], [Settle()], [PoisonedLoad(1)]]),
        st.lists(_STEPS, min_size=steps // 2, max_size=steps),
    )


@dataclass
class Model:
    """What is in the bucket, and the tables that follow from it."""

    files: dict[str, Put] = field(default_factory=dict)

    def strays(self) -> list[str]:
        """The objects with a job_id of another month."""
        return [name for name, put in self.files.items() if any(entry.stray for entry in put.entries)]

    def tables(self) -> dict[str, list[Row]]:
        """The rows of every table of the star."""
        jobs = self._jobs()
        made: dict[str, Sequence[Mapping[str, Any]]] = {
            STAGING: jobs,
            FACTS: jobs,
            "users": _newest(jobs, "user_id"),
            "projects": _newest(jobs, "project_id"),
            "time": [_calendar(moment) for moment in {row["created_at"] for row in jobs}],
        }
        star = scx_star().star
        return {
            name: sorted(
                (tuple(row[column] for column in star.table(name).column_names) for row in rows), key=repr
            )
            for name, rows in made.items()
            if rows
        }

    def rejected(self) -> list[tuple[str, int]]:
        """Key and line of every rejected row."""
        return sorted(place for put in self.files.values() for place in put.bad_lines())

    def _jobs(self) -> list[dict[str, Any]]:
        good = [_typed(row) for put in self.files.values() for entry, row in put.rows() if not entry.flaw]
        newest: dict[int, dict[str, Any]] = {}
        for row in sorted(good, key=lambda row: [_rank(row[name]) for name in ("updated_at", *columns())]):
            newest[row["job_id"]] = row
        return list(newest.values())


def _typed(row: Mapping[str, object]) -> dict[str, Any]:
    types = {column.name: column.type for column in scx_star().star.table(STAGING).columns}
    return {
        name: _value(str(value), types[name]) if value not in (None, "") else None
        for name, value in row.items()
    }


def _value(text: str, kind: str) -> object:
    if kind == "timestamp":
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=None) - (moment.utcoffset() or datetime.min - datetime.min)
    return int(text) if kind == "integer" else text


def _rank(value: object) -> tuple[bool, Any]:
    """The order of values of one type: NULL below all, texts by their bytes."""
    return value is not None, value.encode() if isinstance(value, str) else value if value is not None else 0


def _newest(jobs: Iterable[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    ordered = sorted(jobs, key=lambda row: (_rank(row["updated_at"]), row["job_id"]))
    return list({row[key]: row for row in ordered}.values())


def _calendar(moment: datetime) -> dict[str, Any]:
    return {
        "created_at": moment,
        "hour": moment.hour,
        "day": moment.day,
        "week": moment.isocalendar().week,
        "month": moment.month,
        "year": moment.year,
        "weekday": moment.isoweekday() % 7,
    }
