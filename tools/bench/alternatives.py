"""The scenario `alternatives`: the ways into PostgreSQL that a user would otherwise pick, with the same files of each star.

Each way brings the rows of one source into one table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from scx_pipeline.cli.rendering import out
from scx_pipeline_tests.support.servers.postgres import PostgresServer, postgres_server
from tools.bench.bench import Bench, ask, copy_ready, fresh_database
from tools.bench.measure import Failed, Result, Timing, run, scx

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
    cursor.adbc_ingest("taken", rows, mode="create")
    con.commit()
"""

POLARS = """
import polars
read = {"parquet": polars.read_parquet, "csv": polars.read_csv, "jsonl": polars.read_ndjson}[kind]
polars.concat([read(file) for file in files], how="vertical_relaxed").write_database("taken", url, engine="adbc")
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

@dlt.resource(name="taken")
def rows():
    for file in files:
        yield read(file)

with tempfile.TemporaryDirectory() as folder:
    target = dlt.destinations.postgres(url)
    dlt.pipeline("bench", destination=target, dataset_name="taken", pipelines_dir=folder).run(rows(), loader_file_format="parquet")
"""

# As the author of the sensors' data did it.
PANDAS = """
import pandas, sqlalchemy
read = {
    "parquet": pandas.read_parquet, "csv": pandas.read_csv, "jsonl": lambda file: pandas.read_json(file, lines=True),
}[kind]
engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg2:", 1))
for file in files:
    read(file).to_sql("taken", engine, if_exists="append", index=False)
"""


@dataclass(frozen=True)
class Way:
    """A way, what must be installed for it, and of how many files' rows it is given, since some take hours for all."""

    name: str
    package: str
    script: str
    share: float = 1.0


WAYS = (
    Way("ADBC `adbc_ingest`, out of DuckDB", "adbc_driver_postgresql", ADBC),
    Way("polars `write_database`", "polars", POLARS),
    Way("dlt", "dlt", DLT),
    Way("pandas `to_sql`, file by file", "pandas", PANDAS, share=0.05),
)


@dataclass(frozen=True)
class Subject:
    """Files of a star, which of its tables holds their rows, and what loads it."""

    star: str
    generate: tuple[str, ...]
    load: tuple[str, ...]
    pattern: str
    kind: str
    table: str


SUBJECTS = (
    Subject("sensor_readings", ("--start", "2023-01-01 00:00", "--files", "4320"), ("--all",),
            "data_sample/*.parquet", "parquet", "dwh.data_sample"),
    Subject("scx", ("--to", "2022-12", "--months", "24", "--jobs", "1000000", "--bad-rows", "0"), ("--all",),
            "**/*.csv", "csv", "public.staging_cleansed_logs"),
    Subject("songplays", ("--to", "2022-12", "--months", "24", "--events", "1000000", "--songs", "100", "--bad-lines", "0"),
            ("--from", "2021-01", "--to", "2022-12"), "log_data/**/*.json", "jsonl", "songplays.staging_events"),
)  # fmt: skip


def alternatives(bench: Bench) -> Iterator[Result]:
    """Each star into PostgreSQL: ours, with all its tables, checks and history, and the ways that a user would otherwise
    pick, which bring the rows of its largest source into one table; as multiples of psql's \\copy of one ready binary file
    of that table."""
    for subject in SUBJECTS:
        bucket = bench.bucket(f"few-{subject.star}", *subject.generate, star=subject.star)
        files = len(bench.files(bucket, subject.pattern))
        with postgres_server(bench.folder) as server:
            yield from _ways(bench, subject, bucket, files, server)


def _ways(
    bench: Bench, subject: Subject, bucket: str, files: int, server: PostgresServer
) -> Iterator[Result]:
    load = scx("load", subject.star, *subject.load)
    run(load, fresh_database(bench, bucket, server))
    rows = int(ask(server, f"SELECT count(*) FROM {subject.table}"))
    limit = copy_ready(server, bench.folder / "ready.bin", subject.table)
    yield _way(subject, "psql `\\copy` of a ready binary file", limit, limit, f"{rows:,} rows")
    ours = run(load, fresh_database(bench, bucket, server))
    yield _way(subject, "**scx load**, all tables, checks and history", ours, limit)
    for way in WAYS:
        if find_spec(way.package) is None:
            out.print(f"{way.name}: not installed; pip install -e '.[alternatives]'", markup=False)
            continue
        some = max(1, round(files * way.share))
        url, pattern = server.create_database("dev"), f"{bucket.removeprefix('file://')}/{subject.pattern}"
        try:
            taken = run(
                [sys.executable, "-c", READERS + way.script, url, pattern, subject.kind, str(some)], {}
            )
        except Failed as failed:
            last = str(failed).strip().splitlines()[-1][:200]
            out.print(f"{subject.star}, {way.name}: {last}", markup=False)
            continue
        whole = Timing(taken.seconds * files / some, taken.peak_mb)
        yield _way(
            subject, way.name, whole, limit, "" if some == files else f"from {some} of {files:,} files"
        )


def _way(subject: Subject, name: str, taken: Timing, limit: Timing, note: str = "") -> Result:
    notes = [f"{taken.seconds:.1f} s", f"{taken.peak_mb:,.0f} MiB", *([note] if note else [])]
    return Result(f"{subject.star}: {name}", taken.seconds, limit.seconds, None, note=", ".join(notes))
