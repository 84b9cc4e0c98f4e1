"""An encrypted Parquet file, whose key no one gave us, fails the load by its name and changes nothing.
Other files that cannot be read are in test_parquet.py."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline_tests.support.sensor_env import SensorWorld, readings, sensor_world


@pytest.fixture
def sensors(tmp_path: Path) -> SensorWorld:
    """A local bucket and a DuckDB file: the parser is the same for all engines."""
    return sensor_world(tmp_path)


def encrypted(folder: Path) -> bytes:
    """A file of readings whose footer is encrypted."""
    path = folder / "encrypted.parquet"
    with duckdb.connect() as con:
        con.register("readings", readings("2023-01-01 00:01"))
        con.execute("SET force_mbedtls_unsafe = 'true'")
        con.execute("PRAGMA add_parquet_key('key', '0123456789abcdef')")
        con.execute(f"COPY readings TO '{path}' (ENCRYPTION_CONFIG {{footer_key: 'key'}})")
    return path.read_bytes()


def test_an_encrypted_file_fails_the_load_by_its_name(sensors: SensorWorld, tmp_path: Path) -> None:
    sensors.put_minute("2023-01-01 00:00", readings("2023-01-01"))
    sensors.january()
    before = sensors.snapshot()
    content = encrypted(tmp_path)
    assert content.startswith(b"PARE")
    key = sensors.put_minute("2023-01-01 00:01", content)
    with pytest.raises(SourceFileError) as caught:
        sensors.january()
    message = str(caught.value)
    assert message.startswith(f"{sensors.bucket.uri(key)} cannot be read: ")
    assert "encrypt" in message.lower()
    assert "\n" not in message
    assert sensors.snapshot() == before
