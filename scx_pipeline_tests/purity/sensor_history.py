"""Random histories of a bucket of Parquet files and its loads: files that are added, changed, damaged and deleted, and loads.

Running the steps and comparing the results do not belong here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal

import pyarrow as pa
from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.support.sensor_env import to_parquet
from scx_pipeline_tests.support.snapshots import Row

MONTHS = (Month(2023, 1), Month(2023, 2), Month(2023, 3))
BASE = ("2023-01-01 00:00", "2023-01-31 23:59", "2023-02-01 00:00", "2023-02-17 12:30", "2023-03-05 06:00")
DAYS = (
    "02",
    "28",
    "05",
    "20",
    "09",
    "14",
    "25",
    "11",
)  # of files that are added, so that they are before and after others
MINUTES = (*BASE, *(f"{month}-{day} 08:15" for month in MONTHS for day in DAYS))
SERIALS = ("a", "a", "서울 ☂", "", "x" * 64)  # one twice: rows may repeat
SHARED_TIME = "-15 12:00"  # in each month, so that readings of several files are at the same time
DEPARTMENTS, PRODUCTS = ("press", "Press", "도장 ☂"), ("p", "", "q" * 16)

Damage = Literal["", "cut off", "no column"]


@dataclass(frozen=True)
class Reading:
    """A row of a file; a bad row has no serial number, a row `elsewhere` has an event time in another month.

    A refused row can be loaded, but violates a blocking check.
    """

    serial: int = 0  # above `SERIALS`: one of many others
    department: int = 0
    product: int = 0
    bad: bool = False
    elsewhere: bool = False
    refused: bool = False
    shared_time: bool = False

    def row(self, minute: str) -> Row:
        event_time = datetime.fromisoformat(f"{minute[:7]}{SHARED_TIME}" if self.shared_time else minute)
        event_time += timedelta(days=40 if self.elsewhere else 0)
        return (
            DEPARTMENTS[self.department],
            None if self.bad else self.text,
            event_time,
            PRODUCTS[self.product],
            event_time + timedelta(days=90 if self.refused else 88),
        )

    @property
    def text(self) -> str:
        """The serial number."""
        known = self.serial < len(SERIALS)
        return SERIALS[self.serial] if known else hashlib.sha256(str(self.serial).encode()).hexdigest()

    @property
    def is_valid(self) -> bool:
        return not (self.bad or self.elsewhere)


@dataclass(frozen=True)
class Put:
    """Write the file of a minute."""

    minute: int
    rows: tuple[Reading, ...] = ()
    damage: Damage = ""

    def content(self) -> bytes:
        minute = MINUTES[self.minute]
        columns = list(zip(*(item.row(minute) for item in self.rows), strict=True)) or [()] * 5
        types = (pa.string(), pa.string(), pa.timestamp("us"), pa.string(), pa.timestamp("us"))
        names = ("department_name", "sensor_serial", "create_at", "product_name", "product_expire")
        arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
        table = pa.table(dict(zip(names, arrays, strict=True)))
        if self.damage == "no column":
            table = table.drop_columns(["product_name"])
        return to_parquet(table)[: 40 if self.damage == "cut off" else None]

    @property
    def month(self) -> Month:
        return Month.parse(MINUTES[self.minute][:7])

    def valid_rows(self) -> list[Row]:
        return [] if self.damage else [item.row(MINUTES[self.minute]) for item in self.rows if item.is_valid]

    def is_refused(self) -> bool:
        return not self.damage and any(item.is_valid and item.refused for item in self.rows)


@dataclass(frozen=True)
class Delete:
    """Delete the file of a minute, if it exists."""

    minute: int


@dataclass(frozen=True)
class Clean:
    """Delete the files that keep their months from being published."""


@dataclass(frozen=True)
class Load:
    """Load months, interrupted after some statements if `breaks` is given."""

    first: int
    last: int
    breaks: tuple[int, bool] | None = None

    @property
    def scope(self) -> MonthRange:
        first, last = sorted((self.first, self.last))
        return MonthRange(MONTHS[first], MONTHS[last])


Step = Put | Delete | Clean | Load

_RARELY = st.sampled_from([False] * 6 + [True])
_READINGS = st.builds(
    Reading,
    st.integers(0, len(SERIALS) - 1),
    st.integers(0, len(DEPARTMENTS) - 1),
    st.integers(0, len(PRODUCTS) - 1),
    _RARELY,
    _RARELY,
    refused=st.sampled_from([False] * 20 + [True]),
    shared_time=st.booleans(),
)
_MINUTE = st.integers(0, len(BASE) - 1)
_MONTH = st.integers(0, len(MONTHS) - 1)
_DAMAGES: Sequence[Damage] = ("", "", "", "", "cut off", "no column")
_BREAKS = st.none() | st.none() | st.tuples(st.integers(0, 40), st.booleans())
_STEPS = st.one_of(
    st.builds(Put, _MINUTE, st.lists(_READINGS, max_size=5).map(tuple), st.sampled_from(_DAMAGES)),
    st.builds(Delete, st.integers(0, len(MINUTES) - 1)),
    st.builds(Load, _MONTH, _MONTH, _BREAKS),
)

# Many readings, to which additions add few; every file has all sensors that additions have, too.
_FIRST = tuple(
    Put(minute, tuple(Reading(serial, serial % 2) for serial in range(100))) for minute in range(len(BASE))
)
_ALL = Load(0, len(MONTHS) - 1)
_PLAIN = (Put(~0, (Reading(1, 1), Reading(2, 2))), Load(0, 0))  # one that is certainly read as an addition


def _additions(month: int) -> st.SearchStrategy[list[Step]]:
    """Return files with new names, which are not known yet, and a load of their month or of all."""
    damages: Sequence[Damage] = ("", "", "", "", "", "", "", "", "cut off", "no column")
    readings = st.lists(_READINGS, min_size=1, max_size=3).map(tuple)
    puts = st.lists(
        st.builds(Put, st.just(~month), readings, st.sampled_from(damages)), min_size=1, max_size=2
    )
    loads = st.builds(Load, st.sampled_from([0, month]), st.just(month), _BREAKS)
    cleans: Sequence[list[Step]] = ([], [], [Clean(), _ALL])
    return st.builds(lambda clean, files, load: [*clean, *files, load], st.sampled_from(cleans), puts, loads)


def histories(additions: int) -> st.SearchStrategy[list[Step]]:
    """Return histories that start with files to load, with up to this many additions and some steps after each; or none.

    None is the simplest history, which hypothesis always tries first, and takes no time.
    """
    parts = st.builds(
        lambda addition, steps: [*addition, *steps], _MONTH.flatmap(_additions), st.lists(_STEPS, max_size=1)
    )
    rest = st.lists(parts, min_size=1, max_size=additions).map(
        lambda found: [*_FIRST, _ALL, *_with_new_minutes([*_PLAIN, *chain.from_iterable(found)])]
    )
    return st.sampled_from([False] + [True] * 19).flatmap(lambda some: rest if some else st.just([]))


def _with_new_minutes(steps: Iterable[Step]) -> Iterator[Step]:
    """Give the files of additions minutes of their own."""
    used: Counter[int] = Counter()
    for step in steps:
        if isinstance(step, Put) and step.minute < 0:
            month = ~step.minute
            yield replace(step, minute=len(BASE) + month * len(DAYS) + used[month])
            used[month] += 1
        else:
            yield step
