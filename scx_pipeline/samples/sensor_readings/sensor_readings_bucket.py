"""Generates a bucket of sensor readings: a small Parquet file per minute, each with the same number of rows.

Loading them does not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scx_pipeline.samples.options import ignore_progress, require
from scx_pipeline.samples.random_numbers import create_rng, draw_integers

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore.store import ObjectStore

PREFIX = "data_sample/"
# 22 departments with 29 sensors each, every one of which reads 3 products a minute.
DEPARTMENTS, SENSORS, PRODUCTS = 22, 29, 200
LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789"
DEPARTMENT_LENGTH, SERIAL_LENGTH, PRODUCT_LENGTH = 32, 64, 16
# Seconds until a product expires.
SHORTEST, LONGEST = 87 * 86_400, 89 * 86_400
FILES_PER_TASK = 60


@dataclass(frozen=True)
class SensorOptions:
    """What to generate.

    The same options give the same rows on any machine; the bytes depend on the version of pyarrow.
    """

    start: str = "2023-01-01 00:00"
    """The minute of the first file, YYYY-MM-DD HH:MM, UTC."""
    files: int = 1_440
    rows: int = 1_914
    """Rows per file: the original has 22 departments with 29 sensors with 3 readings a minute."""
    seed: int = 1


@dataclass
class GeneratedReadings:
    """The content of the bucket, and so what a correct load must find."""

    objects: int = 0
    bytes: int = 0
    rows: int = 0
    rows_by_month: dict[str, int] = field(default_factory=dict)


def generate(
    options: SensorOptions, store: ObjectStore, progress: Callable[[str], None] = ignore_progress
) -> GeneratedReadings:
    """Write the files to the store, replacing objects of the same keys. Raises ValueError for invalid options."""
    start = _check(options)
    readings = _SensorReadings(options)
    report = GeneratedReadings()
    chunks = [
        range(first, min(first + FILES_PER_TASK, options.files))
        for first in range(0, options.files, FILES_PER_TASK)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for numbers, size in zip(
            chunks, pool.map(lambda chunk: readings.write(store, start, chunk), chunks), strict=True
        ):
            for number in numbers:
                month = f"{start + timedelta(minutes=number):%Y-%m}"
                report.rows_by_month[month] = report.rows_by_month.get(month, 0) + options.rows
            report.objects += len(numbers)
            report.bytes += size
            report.rows += len(numbers) * options.rows
            progress(f"{report.objects:,} of {options.files:,} files, {report.rows:,} rows")
    return report


def _check(options: SensorOptions) -> datetime:
    try:
        start = datetime.strptime(options.start, "%Y-%m-%d %H:%M")
    except ValueError:
        raise ValueError(
            f"start must be a minute as YYYY-MM-DD HH:MM, such as 2023-01-01 00:00; got {options}"
        ) from None
    require(
        options,
        (
            ("files must be 1 or more", options.files >= 1),
            ("rows must be 1 or more", options.rows >= 1),
            ("seed must be 0 or more", options.seed >= 0),
        ),
    )
    return start


class _SensorReadings:
    """The sensors, which are the same in every minute, and their readings."""

    def __init__(self, options: SensorOptions) -> None:
        import numpy as np

        self.options = options
        at = np.arange(options.rows) % (DEPARTMENTS * SENSORS)
        self.departments = _repeated(at // SENSORS, _names(options.seed, 1, DEPARTMENTS, DEPARTMENT_LENGTH))
        self.serials = _repeated(at, _names(options.seed, 2, DEPARTMENTS * SENSORS, SERIAL_LENGTH))
        self.products = _names(options.seed, 3, PRODUCTS, PRODUCT_LENGTH)

    def write(self, store: ObjectStore, start: datetime, numbers: Sequence[int]) -> int:
        """Write the files of minutes, counted from the start, and return their total size."""
        import obstore
        import pyarrow as pa
        import pyarrow.parquet as pq

        size = 0
        for number in numbers:
            minute = start + timedelta(minutes=number)
            sink = pa.BufferOutputStream()
            pq.write_table(self._readings(minute, number), sink, compression="snappy", store_schema=False)
            content = sink.getvalue().to_pybytes()
            obstore.put(store, f"{PREFIX}{minute:%Y-%m-%d %H:%M:%S}.parquet", content)
            size += len(content)
        return size

    def _readings(self, minute: datetime, number: int) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        rng, rows = create_rng(self.options.seed, 4, number), self.options.rows
        products = draw_integers(rng, rows, PRODUCTS)
        seconds = SHORTEST + draw_integers(rng, rows, LONGEST - SHORTEST + 1)
        created = np.full(rows, np.datetime64(minute, "us"))
        return pa.table(
            {
                "department_name": self.departments,
                "sensor_serial": self.serials,
                "create_at": created,
                "product_name": _repeated(products, self.products),
                "product_expire": created + seconds.astype("timedelta64[s]"),
            }
        )


def _names(seed: int, kind: int, count: int, length: int) -> pa.Array:
    """Return random texts of letters and digits."""
    import numpy as np
    import pyarrow as pa

    letters = np.frombuffer(LETTERS, np.uint8)[
        draw_integers(create_rng(seed, kind), count * length, len(LETTERS))
    ]
    return pa.array(letters.tobytes()[at : at + length].decode() for at in range(0, count * length, length))


def _repeated(indices: object, names: pa.Array) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), names)
