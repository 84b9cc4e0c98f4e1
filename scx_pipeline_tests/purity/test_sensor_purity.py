"""The promise, for a star of Parquet files whose rows may repeat: files come, change, break and go, in any order with any
loads. Random histories run on DuckDB and PostgreSQL side by side; the other stars' are in test_purity.py and
test_music_purity.py."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.purity.histories import tried
from scx_pipeline_tests.support.broken_statements import breaking
from scx_pipeline_tests.support.load_env import Row, Snapshot, filled
from scx_pipeline_tests.support.sensor_env import PREFIX, SensorWorld, packed, sensor_star

MONTHS = (Month(2023, 1), Month(2023, 2), Month(2023, 3))
MINUTES = ("2023-01-01 00:00", "2023-01-31 23:59", "2023-02-01 00:00", "2023-02-17 12:30", "2023-03-05 06:00")
SERIALS = ("a", "a", "서울 ☂", "", "x" * 64)  # one twice: rows may repeat

Damage = Literal["", "cut off", "no column"]


@dataclass(frozen=True)
class Reading:
    """A row of a file; a bad one has no serial number, one of another month than its file's a wrong moment."""

    serial: int = 0
    bad: bool = False
    elsewhere: bool = False

    def row(self, minute: str) -> Row:
        moment = datetime.fromisoformat(minute) + timedelta(days=40 if self.elsewhere else 0)
        return ("d", None if self.bad else SERIALS[self.serial], moment, "p", moment + timedelta(days=88))

    @property
    def stays(self) -> bool:
        return not (self.bad or self.elsewhere)


@dataclass(frozen=True)
class Put:
    """Write a minute's file."""

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
        return packed(table)[: 40 if self.damage == "cut off" else None]

    def rows_that_stay(self) -> list[Row]:
        return [] if self.damage else [item.row(MINUTES[self.minute]) for item in self.rows if item.stays]


@dataclass(frozen=True)
class Delete:
    """Remove a minute's file, if there is one."""

    minute: int


@dataclass(frozen=True)
class Load:
    """Load months; a load of which a statement fails changes nothing."""

    first: int
    last: int
    breaks: tuple[int, bool] | None = None

    @property
    def scope(self) -> MonthRange:
        first, last = sorted((self.first, self.last))
        return MonthRange(MONTHS[first], MONTHS[last])


Step = Put | Delete | Load


def histories() -> st.SearchStrategy[list[Step]]:
    minute, month = st.integers(0, len(MINUTES) - 1), st.integers(0, len(MONTHS) - 1)
    rarely = st.sampled_from([False] * 6 + [True])
    reading = st.builds(Reading, st.integers(0, len(SERIALS) - 1), rarely, rarely)
    damages: Sequence[Damage] = ("", "", "", "", "cut off", "no column")
    put = st.builds(Put, minute, st.lists(reading, max_size=5).map(tuple), st.sampled_from(damages))
    breaks = st.none() | st.tuples(st.integers(0, 40), st.booleans())
    return st.lists(
        st.one_of(put, put, st.builds(Delete, minute), st.builds(Load, month, month, breaks)), max_size=10
    )


@dataclass
class Driver:
    """Takes the steps of a history in one bucket and several warehouses, and compares what comes of them."""

    folder: Path
    worlds: Sequence[SensorWorld]
    files: dict[int, Put] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        note(repr(step))
        match step:
            case Put(minute):
                self.worlds[0].put_minute(MINUTES[minute], step.content())
                self.files[minute] = step
            case Delete(minute):
                if self.files.pop(minute, None):
                    self.worlds[0].delete_key(f"{PREFIX}{MINUTES[minute]}:00.parquet")
            case Load():
                for world in self.worlds:
                    self.load(world, step)

    @staticmethod
    def load(world: SensorWorld, step: Load) -> None:
        before = world.snapshot()
        with breaking(step.breaks) as broken:
            try:
                world.loader().load(step.scope)
            except Exception:
                assert broken
                assert world.snapshot() == before

    def settle(self) -> None:
        """Load what changed, and compare with what the files hold, and with a build from nothing."""
        for world in self.worlds:
            world.load_changed()
            assert world.changed() == []
        built = self.build()
        expected = Counter(row for put in self.files.values() for row in put.rows_that_stay())
        assert Counter(built.get("data_sample", [])) == expected
        for world in self.worlds:
            assert filled(world) == built, world.warehouse.capabilities.name

    def build(self) -> Snapshot:
        url = f"duckdb://{self.folder}/built.duckdb"
        world = SensorWorld(self.worlds[0].bucket_url, url, self.worlds[0].compiled)
        world.load_changed()
        return filled(world)


@pytest.mark.redshift
@pytest.mark.histories
@given(history=histories())
@tried(examples=4)
def test_any_history_of_readings_ends_as_a_build_from_nothing(
    fresh_places: Callable[[Path], list[tuple[str, str]]], history: list[Step]
) -> None:
    with tempfile.TemporaryDirectory(prefix="scx-purity-") as name:
        star = sensor_star("reject", 1.0)
        folder = Path(name)
        worlds = [SensorWorld(*place, star) for place in fresh_places(folder)]
        driver = Driver(folder, worlds)
        for step in history:
            driver.take(step)
        driver.settle()
