"""The ways into PostgreSQL that a user would otherwise pick, each with the same files of each star."""

from __future__ import annotations

from dataclasses import dataclass

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
