"""Random histories of a star of Parquet files whose rows may repeat: files are added, changed, damaged and deleted between loads.

The histories run on several engines side by side; those of the other stars do not belong here.
"""

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
from scx_pipeline_tests.purity.purity_settings import purity_settings
from scx_pipeline_tests.support.broken_statements import failing_statement
from scx_pipeline_tests.support.load_env import filled
from scx_pipeline_tests.support.sensor_env import PREFIX, SensorEnv, sensor_star, to_parquet
from scx_pipeline_tests.support.snapshots import Row, Snapshot

MONTHS = (Month(2023, 1), Month(2023, 2), Month(2023, 3))
MINUTES = ("2023-01-01 00:00", "2023-01-31 23:59", "2023-02-01 00:00", "2023-02-17 12:30", "2023-03-05 06:00")
SERIALS = ("a", "a", "서울 ☂", "", "x" * 64)  # one twice: rows may repeat

Damage = Literal["", "cut off", "no column"]


@dataclass(frozen=True)
class Reading:
    """A row of a file; a bad row has no serial number, a row `elsewhere` has an event time in another month."""

    serial: int = 0
    bad: bool = False
    elsewhere: bool = False

    def row(self, minute: str) -> Row:
        event_time = datetime.fromisoformat(minute) + timedelta(days=40 if self.elsewhere else 0)
        return (
            "d",
            None if self.bad else SERIALS[self.serial],
            event_time,
            "p",
            event_time + timedelta(days=88),
        )

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

    def valid_rows(self) -> list[Row]:
        return [] if self.damage else [item.row(MINUTES[self.minute]) for item in self.rows if item.is_valid]


@dataclass(frozen=True)
class Delete:
    """Delete the file of a minute, if it exists."""

    minute: int


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
    """Runs the steps of a history in one bucket and several warehouses, and compares the results."""

    folder: Path
    load_envs: Sequence[SensorEnv]
    files: dict[int, Put] = field(default_factory=dict)

    def run_step(self, step: Step) -> None:
        note(repr(step))
        match step:
            case Put(minute):
                self.load_envs[0].put_minute(MINUTES[minute], step.content())
                self.files[minute] = step
            case Delete(minute):
                if self.files.pop(minute, None):
                    self.load_envs[0].delete_key(f"{PREFIX}{MINUTES[minute]}:00.parquet")
            case Load():
                for load_env in self.load_envs:
                    self.load(load_env, step)

    @staticmethod
    def load(load_env: SensorEnv, step: Load) -> None:
        before = load_env.snapshot()
        with failing_statement(step.breaks) as broken:
            try:
                load_env.loader().load(step.scope)
            except Exception:
                assert broken
                assert load_env.snapshot() == before

    def settle(self) -> None:
        """Load what changed, and compare with the content of the files and with a build from scratch."""
        for load_env in self.load_envs:
            load_env.load_changed()
            assert load_env.changed() == []
        built = self.build()
        expected = Counter(row for put in self.files.values() for row in put.valid_rows())
        assert Counter(built.get("data_sample", [])) == expected
        for load_env in self.load_envs:
            assert filled(load_env) == built, load_env.warehouse.capabilities.name

    def build(self) -> Snapshot:
        url = f"duckdb://{self.folder}/built.duckdb"
        load_env = SensorEnv(self.load_envs[0].bucket_url, url, self.load_envs[0].compiled)
        load_env.load_changed()
        return filled(load_env)


@pytest.mark.redshift
@pytest.mark.histories
@given(history=histories())
@purity_settings(examples=4)
def test_any_history_of_readings_equals_a_build_from_scratch(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]], history: list[Step]
) -> None:
    with tempfile.TemporaryDirectory(prefix="scx-purity-") as name:
        star = sensor_star("reject", 1.0)
        folder = Path(name)
        load_envs = [SensorEnv(*load_urls, star) for load_urls in fresh_load_urls(folder)]
        driver = Driver(folder, load_envs)
        for step in history:
            driver.run_step(step)
        driver.settle()
