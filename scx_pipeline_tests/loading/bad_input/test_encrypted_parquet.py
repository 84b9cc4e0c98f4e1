"""An encrypted Parquet file without its key fails the load, is named, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline_tests.support.sensor_env import SensorEnv, create_sensor_env, readings


@pytest.fixture
def sensor_env(tmp_path: Path) -> SensorEnv:
    """A local bucket and a DuckDB file: the parser is the same for all engines."""
    return create_sensor_env(tmp_path)


def encrypted(folder: Path) -> bytes:
    """A file of readings whose footer is encrypted."""
    path = folder / "encrypted.parquet"
    with duckdb.connect() as con:
        con.register("readings", readings("2023-01-01 00:01"))
        con.execute("SET force_mbedtls_unsafe = 'true'")
        con.execute("PRAGMA add_parquet_key('key', '0123456789abcdef')")
        con.execute(f"COPY readings TO '{path}' (ENCRYPTION_CONFIG {{footer_key: 'key'}})")
    return path.read_bytes()


def test_an_encrypted_file_fails_the_load_and_is_named(sensor_env: SensorEnv, tmp_path: Path) -> None:
    sensor_env.put_minute("2023-01-01 00:00", readings("2023-01-01"))
    sensor_env.january()
    before = sensor_env.snapshot()
    content = encrypted(tmp_path)
    assert content.startswith(b"PARE")
    key = sensor_env.put_minute("2023-01-01 00:01", content)
    with pytest.raises(SourceFileError) as caught:
        sensor_env.january()
    message = str(caught.value)
    assert message.startswith(f"{sensor_env.bucket.uri(key)} cannot be read: ")
    assert "encrypt" in message.lower()
    assert "\n" not in message
    assert sensor_env.snapshot() == before
