"""Generates what a floor of sensors leaves in a bucket: a small Parquet file a minute, each with the same number of rows.
Nothing is loaded here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scx_pipeline.samples.options import require, tell_nobody
from scx_pipeline.samples.random_numbers import dice, roll

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore.store import ObjectStore

PREFIX = "data_sample/"
DEPARTMENTS, SENSORS, PRODUCTS = (
    22,
    29,
    200,
)  # 22 departments of 29 sensors, each of which sees 3 products a minute
LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789"
DEPARTMENT_LENGTH, SERIAL_LENGTH, PRODUCT_LENGTH = 32, 64, 16
SHORTEST, LONGEST = 87 * 86_400, 89 * 86_400  # seconds until a product expires
PIECE = 60  # files that a worker writes in a row


@dataclass(frozen=True)
class SensorOptions:
    """What to generate. The same options give the same rows on any machine; their bytes are those of one pyarrow."""

    start: str = "2023-01-01 00:00"
    """The minute of the first file, YYYY-MM-DD HH:MM, UTC."""
    files: int = 1_440
    rows: int = 1_914
    """Of each file: the original has 22 departments, of each 29 sensors, of each 3 readings a minute."""
    seed: int = 1


@dataclass
class GeneratedReadings:
    """What is in the bucket, and so what a right load must find."""

    objects: int = 0
    bytes: int = 0
    rows: int = 0
    rows_by_month: dict[str, int] = field(default_factory=dict)


def generate(
    options: SensorOptions, store: ObjectStore, progress: Callable[[str], None] = tell_nobody
) -> GeneratedReadings:
    """Writes the files to the store, replacing objects of the same keys, and tells `progress`. Raises ValueError for
    options that make no files, before anything is written."""
    start = _check(options)
    floor = _Floor(options)
    report = GeneratedReadings()
    pieces = [range(first, min(first + PIECE, options.files)) for first in range(0, options.files, PIECE)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for numbers, size in zip(
            pieces, pool.map(lambda piece: floor.write(store, start, piece), pieces), strict=True
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


class _Floor:
    """The sensors, which are the same in every minute, and what they read in one."""

    def __init__(self, options: SensorOptions) -> None:
        import numpy as np

        self.options = options
        at = np.arange(options.rows) % (DEPARTMENTS * SENSORS)
        self.departments = _repeated(at // SENSORS, _names(options.seed, 1, DEPARTMENTS, DEPARTMENT_LENGTH))
        self.serials = _repeated(at, _names(options.seed, 2, DEPARTMENTS * SENSORS, SERIAL_LENGTH))
        self.products = _names(options.seed, 3, PRODUCTS, PRODUCT_LENGTH)

    def write(self, store: ObjectStore, start: datetime, numbers: Sequence[int]) -> int:
        """Writes the files of so many minutes after the start; their size in all."""
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

        bits, rows = dice(self.options.seed, 4, number), self.options.rows
        products = roll(bits, rows, PRODUCTS)
        seconds = SHORTEST + roll(bits, rows, LONGEST - SHORTEST + 1)
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
    """So many texts of so many letters and digits."""
    import numpy as np
    import pyarrow as pa

    letters = np.frombuffer(LETTERS, np.uint8)[roll(dice(seed, kind), count * length, len(LETTERS))]
    return pa.array(letters.tobytes()[at : at + length].decode() for at in range(0, count * length, length))


def _repeated(indices: object, names: pa.Array) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), names)
