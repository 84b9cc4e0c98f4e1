"""A load environment of the star sensor_readings: a bucket of Parquet files, and a warehouse.

No server is started here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline_tests.support.load_env import LoadEnv, range_of_keys
from scx_pipeline_tests.support.stars import with_sources

PREFIX = "data_sample/"
JANUARY, FEBRUARY = "2023-01", "2023-02"


@cache
def sensor_star(on_invalid_file: str = "fail", reject_limit: float = 0.0) -> CompiledStar:
    """Return the project's star sensor_readings, with a policy for invalid files."""
    compiled = load_star(stars_folder() / "sensor_readings")
    return with_sources(compiled, on_invalid_file=on_invalid_file, reject_limit=reject_limit)


@dataclass
class SensorEnv(LoadEnv):
    """A load environment of the star sensor_readings."""

    compiled: CompiledStar = field(default_factory=sensor_star)

    def put_minute(self, minute: str, content: bytes | pa.Table) -> str:
        content = content if isinstance(content, bytes) else to_parquet(content)
        return self.put_key(f"{PREFIX}{minute}:00.parquet", content)

    def january(self) -> LoadReport:
        return self.loader().load(range_of_keys(JANUARY))

    def readings(self, what: str = "department_name, sensor_serial, create_at") -> list[tuple[Any, ...]]:
        return self.table("data_sample", what)


def to_parquet(table: pa.Table, compression: str = "snappy") -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression=compression)
    return sink.getvalue()


def readings(minute: str, serials: Iterable[str] = ("s1", "s2"), **columns: pa.Array) -> pa.Table:
    """Return a minute's readings, in which `columns` replace defaults."""
    names = list(serials)
    timestamp = datetime.fromisoformat(minute)
    defaults = {
        "department_name": pa.array(["d"] * len(names)),
        "sensor_serial": pa.array(names),
        "create_at": pa.array([timestamp] * len(names), pa.timestamp("us")),
        "product_name": pa.array(["p"] * len(names)),
        "product_expire": pa.array([timestamp + timedelta(days=88)] * len(names), pa.timestamp("us")),
    }
    return pa.table(defaults | columns)


def create_sensor_env(
    folder: Path, warehouse_url: str = "", compiled: CompiledStar | None = None
) -> SensorEnv:
    """Return an environment with an empty local bucket and, by default, an empty DuckDB file."""
    bucket = folder / "bucket"
    bucket.mkdir(parents=True, exist_ok=True)
    url = warehouse_url or f"duckdb://{folder}/dev.duckdb"
    return SensorEnv(bucket.as_uri(), url, compiled or sensor_star())
