"""The scenario `alternatives`: other tools that load files into PostgreSQL, with the same files of each star.

Each tool loads the rows of one source into one table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from scx_pipeline.cli.rendering import out
from scx_pipeline_tests.support.servers.postgres import PostgresServer, postgres_server
from tools.bench.bench import Bench, fresh_database, query_value, time_binary_copy
from tools.bench.measure import CommandFailedError, Result, Timing, run, scx

READERS = """
import glob, sys
url, pattern, kind = sys.argv[1:4]
files = sorted(glob.glob(pattern, recursive=True))[: int(sys.argv[4])]
"""

ADBC = """
import adbc_driver_postgresql.dbapi, duckdb
scan = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}[kind]
with adbc_driver_postgresql.dbapi.connect(url) as con, con.cursor() as cursor:
    rows = duckdb.sql(f"FROM {scan}({files!r})").to_arrow_reader(65536)
    cursor.adbc_ingest("loaded", rows, mode="create")
    con.commit()
"""

POLARS = """
import polars
read = {"parquet": polars.read_parquet, "csv": polars.read_csv, "jsonl": polars.read_ndjson}[kind]
polars.concat([read(file) for file in files], how="vertical_relaxed").write_database("loaded", url, engine="adbc")
"""

DLT = """
import dlt, tempfile
import pyarrow.csv, pyarrow.json, pyarrow.parquet
lines = pyarrow.csv.ParseOptions(newlines_in_values=True)
read = {
    "parquet": pyarrow.parquet.read_table,
    "csv": lambda file: pyarrow.csv.read_csv(file, parse_options=lines),
    "jsonl": pyarrow.json.read_json,
}[kind]

@dlt.resource(name="loaded")
def rows():
    for file in files:
        yield read(file)

with tempfile.TemporaryDirectory() as folder:
    target = dlt.destinations.postgres(url)
    dlt.pipeline("bench", destination=target, dataset_name="loaded", pipelines_dir=folder).run(rows(), loader_file_format="parquet")
"""

# As the author of the sensors' data did it.
PANDAS = """
import pandas, sqlalchemy
read = {
    "parquet": pandas.read_parquet, "csv": pandas.read_csv, "jsonl": lambda file: pandas.read_json(file, lines=True),
}[kind]
engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg2:", 1))
for file in files:
    read(file).to_sql("loaded", engine, if_exists="append", index=False)
"""


@dataclass(frozen=True)
class Alternative:
    """A tool, the package that it needs, its script, and the share of the files that it loads: some take hours for all."""

    name: str
    package: str
    script: str
    share: float = 1.0


ALTERNATIVES = (
    Alternative("ADBC `adbc_ingest`, out of DuckDB", "adbc_driver_postgresql", ADBC),
    Alternative("polars `write_database`", "polars", POLARS),
    Alternative("dlt", "dlt", DLT),
    Alternative("pandas `to_sql`, file by file", "pandas", PANDAS, share=0.05),
)


@dataclass(frozen=True)
class StarFiles:
    """Files of a star: how they are generated and loaded, and the table that holds their rows."""

    star: str
    generate: tuple[str, ...]
    load: tuple[str, ...]
    pattern: str
    kind: str
    table: str


STARS = (
    StarFiles("sensor_readings", ("--start", "2023-01-01 00:00", "--files", "4320"), ("--all",),
            "data_sample/*.parquet", "parquet", "dwh.data_sample"),
    StarFiles("scx", ("--to", "2022-12", "--months", "24", "--jobs", "1000000", "--bad-rows", "0"), ("--all",),
            "**/*.csv", "csv", "public.staging_cleansed_logs"),
    StarFiles("songplays", ("--to", "2022-12", "--months", "24", "--events", "1000000", "--songs", "100", "--bad-lines", "0"),
            ("--from", "2021-01", "--to", "2022-12"), "log_data/**/*.json", "jsonl", "songplays.staging_events"),
)  # fmt: skip


def alternatives(bench: Bench) -> Iterator[Result]:
    """Each star into PostgreSQL: `scx load`, with all its tables, checks and history, and other tools, which load the rows
    of its largest source into one table; as multiples of psql's \\copy of one ready binary file of that table."""
    for star_files in STARS:
        bucket = bench.bucket(f"few-{star_files.star}", *star_files.generate, star=star_files.star)
        files = len(bench.files(bucket, star_files.pattern))
        with postgres_server(bench.folder) as server:
            yield from _measure(bench, star_files, bucket, files, server)


def _measure(
    bench: Bench, star_files: StarFiles, bucket: str, files: int, server: PostgresServer
) -> Iterator[Result]:
    load = scx("load", star_files.star, *star_files.load)
    run(load, fresh_database(bench, bucket, server))
    rows = int(query_value(server, f"SELECT count(*) FROM {star_files.table}"))
    limit = time_binary_copy(server, bench.folder / "ready.bin", star_files.table)
    yield _result(star_files, "psql `\\copy` of a ready binary file", limit, limit, f"{rows:,} rows")
    pipeline = run(load, fresh_database(bench, bucket, server))
    yield _result(star_files, "**scx load**, all tables, checks and history", pipeline, limit)
    for alternative in ALTERNATIVES:
        if find_spec(alternative.package) is None:
            out.print(f"{alternative.name}: not installed; pip install -e '.[alternatives]'", markup=False)
            continue
        some = max(1, round(files * alternative.share))
        url, pattern = server.create_database("dev"), f"{bucket.removeprefix('file://')}/{star_files.pattern}"
        try:
            timing = run(
                [
                    sys.executable,
                    "-c",
                    READERS + alternative.script,
                    url,
                    pattern,
                    star_files.kind,
                    str(some),
                ],
                {},
            )
        except CommandFailedError as failed:
            last = str(failed).strip().splitlines()[-1][:200]
            out.print(f"{star_files.star}, {alternative.name}: {last}", markup=False)
            continue
        whole = Timing(timing.seconds * files / some, timing.peak_mb)
        yield _result(
            star_files,
            alternative.name,
            whole,
            limit,
            "" if some == files else f"from {some} of {files:,} files",
        )


def _result(star_files: StarFiles, name: str, timing: Timing, limit: Timing, note: str = "") -> Result:
    notes = [f"{timing.seconds:.1f} s", f"{timing.peak_mb:,.0f} MiB", *([note] if note else [])]
    return Result(f"{star_files.star}: {name}", timing.seconds, limit.seconds, None, note=", ".join(notes))
