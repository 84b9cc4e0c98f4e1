"""The scenarios of tens of thousands of small Parquet files: loaded from a folder, from S3, and by loads that are killed.

Each is compared with what DuckDB or PostgreSQL do with the same rows.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

from scx_pipeline.cli.rendering import out
from scx_pipeline_tests.support.servers.postgres import PostgresServer, postgres_server
from scx_pipeline_tests.support.servers.s3 import s3_server
from tools.bench.bench import Bench, compare, fresh_database, query_value, time_binary_copy
from tools.bench.measure import Result, kill, median_run, run, scx

READINGS = (
    "department_name varchar(32), sensor_serial varchar(64), create_at timestamp, product_name varchar(16),"
    " product_expire timestamp"
)
READ_PARQUET = """
import duckdb, sys
with duckdb.connect(sys.argv[1]) as con:
    con.execute(f"CREATE TABLE readings ({sys.argv[2]})")
    con.execute("INSERT INTO readings SELECT * FROM read_parquet(?)", [sys.argv[3]])
    for statement in sys.argv[4:]:
        con.execute(statement)
"""
# The three dimensions, as a user would select them.
MASTERS = (
    "CREATE TABLE master_department AS SELECT DISTINCT department_name FROM {}",
    "CREATE TABLE master_sensor AS SELECT DISTINCT sensor_serial, department_name FROM {}",
    "CREATE TABLE master_product AS SELECT DISTINCT product_name FROM {}",
)
READING_FILES, READING_ROWS = 43_201, 1_914  # rows of each file
KILLS = 10
# Puts every file of a folder's URL into a bucket, under the same keys.
UPLOAD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from scx_pipeline.storage.bucket import open_bucket
source, target = (open_bucket(url).store for url in sys.argv[1:])
with ThreadPoolExecutor(16) as pool:
    for page in source.list(chunk_size=5000):
        list(pool.map(lambda item: target.put(item["path"], source.get(item["path"]).bytes()), page))
"""
LOAD_READINGS = scx("load", "sensor_readings", "--all")


def readings(bench: Bench) -> str:
    """Return the URL of the bucket with all readings, after reading each file once."""
    options = ("--start", "2023-01-01 00:00", "--files", str(READING_FILES))
    bucket = bench.bucket("sensors", *options, star="sensor_readings")
    bench.files(bucket, "data_sample/*.parquet")
    return bucket


def sensors(bench: Bench) -> Iterator[Result]:
    """Tens of thousands of small Parquet files and three dimensions of their rows, published and checked: on DuckDB against
    its own INSERT of the same files, on PostgreSQL against psql's \\copy of one ready binary file of the same rows, each with
    SELECT DISTINCT for the dimensions; and all of it three times more.

    Each side follows a table of the same size that was dropped: on a virtual machine, the first use of memory is slow.
    """
    bucket = readings(bench)
    files = f"{bucket.removeprefix('file://')}/data_sample/*.parquet"
    other = bench.read_alone(READ_PARQUET, READINGS, files, *[item.format("readings") for item in MASTERS])
    pipeline = run(LOAD_READINGS, bench.fresh_home(bucket))
    name = f"{READING_FILES:,} Parquet files on DuckDB / INSERT … SELECT FROM read_parquet"
    yield compare(name, pipeline, other, 1.15)
    with postgres_server(bench.folder) as server:
        run(LOAD_READINGS, fresh_database(bench, bucket, server))
        masters = [item.format("copied") for item in MASTERS]
        copied = time_binary_copy(server, bench.folder / "readings.bin", "dwh.data_sample", *masters)
        home = fresh_database(bench, readings(bench), server)  # its files are in memory again, as psql's was
        first = run(LOAD_READINGS, home)
        size = _size(server)
        again = median_run(3, LOAD_READINGS, home)
        grown = _size(server)
    name = f"{READING_FILES:,} Parquet files on PostgreSQL / psql \\copy of one binary file"
    yield compare(name, first, copied, 1.15)
    yield Result("peak memory, Parquet files on PostgreSQL", first.peak_mb, None, 450, "MiB")
    yield compare("the same again / the first time", again, first, 1.0)
    yield Result("the table's size after three reloads / before", grown, size, 1.05)


def sensors_s3(bench: Bench) -> Iterator[Result]:
    """The same files from an S3 server into PostgreSQL, against the same load from a folder."""
    bucket = readings(bench)
    with s3_server(bench.folder) as s3, postgres_server(bench.folder) as server:
        url = s3.create_bucket("readings")
        run([sys.executable, "-c", UPLOAD, bucket, url], s3.environment())
        folder = run(LOAD_READINGS, fresh_database(bench, bucket, server))
        remote = run(LOAD_READINGS, fresh_database(bench, url, server) | s3.environment())
    yield compare(f"{READING_FILES:,} Parquet files from S3 / from a folder", remote, folder, 1.5)


def kills(bench: Bench) -> Iterator[Result]:
    """Loads of all readings into PostgreSQL that are killed (-9) at random times, each followed by an uninterrupted load."""
    wrong = 0
    with postgres_server(bench.folder) as server:
        home = fresh_database(bench, readings(bench), server)
        whole = run(LOAD_READINGS, home)
        for number in range(KILLS):
            seconds = random.uniform(0, whole.seconds)
            kill(LOAD_READINGS, home, seconds)
            run(LOAD_READINGS, home)
            rows = int(query_value(server, "SELECT count(*) FROM dwh.data_sample"))
            wrong += rows != READING_FILES * READING_ROWS
            out.print(
                f"kill {number + 1} of {KILLS}, after {seconds:.1f} s: {rows:,} rows after the next load"
            )
    yield Result(f"loads after {KILLS} kills that did not give all rows", wrong, None, 0, "loads")


def _size(server: PostgresServer) -> float:
    """Return the size of the table of readings with its partitions and indexes, in MB."""
    return float(
        query_value(
            server,
            "SELECT sum(pg_total_relation_size(relid)) / 1e6 FROM pg_partition_tree('dwh.data_sample')",
        )
    )
