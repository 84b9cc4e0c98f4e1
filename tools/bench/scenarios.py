"""What is measured: whole loads against DuckDB's and PostgreSQL's own readers, a month's reload, a small month."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from scx_pipeline.cli.rendering import out
from scx_pipeline_tests.support.servers.postgres import SUPERUSER, PostgresServer, binary, postgres_server
from scx_pipeline_tests.support.servers.s3 import s3_server
from tools.bench.alternatives import READERS, SUBJECTS, WAYS, Subject
from tools.bench.measure import Failed, Result, Timing, kill, median_run, run, scx

COLUMNS = (
    "job_id int, project_id int, project_name {text}, date {text}, summary {text}, ground_profile {text},"
    " bt_clss_profile {text}, resolution {text}, noise_profile {text}, noise_type {text}, remove_dup int,"
    " airbone_laser int, ground_grndonly int, class_grdonly int, nextcore int, switch_xy int, created_at timestamp,"
    " updated_at timestamp, upload_time {text}, user_id int, email_encrypted {text}, plan_id int"
)
READ_CSV = """
import duckdb, sys
columns = {item.split()[0]: item.split()[1] for item in sys.argv[2].split(",")}
with duckdb.connect(sys.argv[1]) as con:
    con.read_csv(sys.argv[3:], columns=columns, header=True).create("logs")
"""

EVENTS = (
    "artist varchar, auth varchar, firstName varchar, gender varchar, itemInSession int, lastName varchar, length double,"
    " level varchar, location varchar, method varchar, page varchar, registration double, sessionId int, song varchar,"
    " status int, ts bigint, userAgent varchar, userId varchar"
)
READINGS = (
    "department_name varchar(32), sensor_serial varchar(64), create_at timestamp, product_name varchar(16),"
    " product_expire timestamp"
)
READ_PARQUET = """
import duckdb, sys
with duckdb.connect(sys.argv[1]) as con:
    con.execute(f"CREATE TABLE readings ({sys.argv[2]})")
    con.execute("INSERT INTO readings SELECT * FROM read_parquet(?)", [sys.argv[3]])
"""
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
READ_JSON = """
import duckdb, sys
columns = {item.split()[0]: item.split()[1] for item in sys.argv[2].split(",")}
with duckdb.connect(sys.argv[1]) as con:
    con.read_json(sys.argv[3:], columns=columns, format="newline_delimited").create("events")
"""
SONGS = 400_000

# Prints what a run of one more month takes: the median of several, the first one, which imports, left out.
RUNS = """
import statistics, time
from scx_pipeline.cli.main import collect_garbage_less_often
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.orchestration.execute import open_runner
from scx_pipeline.settings import read_settings
collect_garbage_less_often()
seconds = []
with open_runner(load_star(stars_folder() / "scx"), read_settings(), lambda message: None) as run:
    for month in range(1, 9):
        started = time.monotonic()
        assert run(MonthRange(Month(2021, month), Month(2021, month))).success
        seconds.append(time.monotonic() - started)
print(statistics.median(seconds[1:]))
"""


# Rebuilds the unpartitioned tables, and nothing else.
REFRESH = """
from scx_pipeline.cli.main import collect_garbage_less_often
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.orchestration.execute import open_runner
from scx_pipeline.settings import read_settings
collect_garbage_less_often()
with open_runner(load_star(stars_folder() / "songplays"), read_settings(), lambda message: None) as run:
    assert run(UNPARTITIONED).success
"""


@dataclass(frozen=True)
class Bench:
    """Where a bench works, and at what size."""

    folder: Path
    rows: int
    repeats: int

    def bucket(self, name: str, *options: str, star: str = "scx") -> str:
        """The URL of a generated bucket, made on first use."""
        home = self.folder / name
        if not (home / "bucket").exists():
            run(scx("generate", star, *options), {"SCX_HOME": str(home)})
        return (home / "bucket").as_uri()

    def fresh_home(self, bucket: str) -> dict[str, str]:
        """An empty SCX_HOME over a bucket."""
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        return {"SCX_HOME": str(home), "SCX_BUCKET_URL": bucket}

    def read_alone(self, script: str, columns: str, *files: str) -> Timing:
        """How long DuckDB's own reader takes to bring the files into a table of a new database."""
        target = self.folder / "alone.duckdb"
        target.unlink(missing_ok=True)
        timing = run([sys.executable, "-c", script, str(target), columns, *files], {})
        target.unlink()
        return timing

    def files(self, bucket: str, pattern: str = "**/*.csv") -> list[str]:
        """The bucket's files, by default its CSV files, read once: neither side of a comparison waits for the disk."""
        found = sorted(Path(bucket.removeprefix("file://")).glob(pattern))
        for path in found:
            with path.open("rb") as stream:
                while stream.read(1 << 20):
                    pass
        return [str(path) for path in found]


def whole_load_duckdb(bench: Bench) -> Iterator[Result]:
    """Everything published and checked on DuckDB, against DuckDB's own read_csv into one typed table."""
    bucket = bench.bucket("large", "--to", "2022-12", "--months", "24", "--jobs", str(bench.rows))
    other = bench.read_alone(READ_CSV, COLUMNS.format(text="varchar"), *bench.files(bucket))
    ours = run(scx("load", "scx", "--all"), bench.fresh_home(bucket))
    yield _compared(f"scx load --all on DuckDB / read_csv, {bench.rows:,} rows", ours, other, 2.0)
    yield Result("peak memory on DuckDB", ours.peak_mb, None, 1024, "MiB")


def music(bench: Bench) -> Iterator[Result]:
    """Events published and checked on DuckDB, against DuckDB's own read_json into one typed table; and a load
    without changes of hundreds of thousands of songs, one file each."""
    options = ("--to", "2022-12", "--months", "24", "--events", str(bench.rows), "--songs", str(SONGS))
    bucket = bench.bucket("music", *options, "--matching", "2000", star="songplays")
    home = bench.fresh_home(bucket)
    songs = run([sys.executable, "-c", REFRESH], home)
    files = bench.files(bucket, "log_data/*/*/*.json")
    other = bench.read_alone(READ_JSON, EVENTS, *files)
    ours = run(scx("load", "songplays", "--from", "2021-01", "--to", "2022-12"), home)
    yield _compared(f"events published on DuckDB / read_json, {bench.rows:,} events", ours, other, 2.0)
    yield Result("peak memory, events", ours.peak_mb, None, 1024, "MiB")
    run(scx("load", "songplays"), home)
    again = median_run(bench.repeats, scx("load", "songplays"), home)
    yield Result(
        f"{SONGS:,} songs, nothing changed",
        again.seconds,
        None,
        5.0,
        "s",
        note=f"loaded whole: {songs.seconds:.1f} s, {songs.peak_mb:.0f} MiB",
    )


def whole_load_postgres(bench: Bench) -> Iterator[Result]:
    """Everything published and checked on PostgreSQL, against psql's \\copy of the same files into one table."""
    bucket = bench.bucket("large", "--to", "2022-12", "--months", "24", "--jobs", str(bench.rows))
    with postgres_server(bench.folder) as server:
        other = _psql_copy(server, bench.files(bucket))
        url = server.create_database("dev")
        ours = run(scx("load", "scx", "--all"), {**bench.fresh_home(bucket), "SCX_WAREHOUSE_URL": url})
    yield _compared(f"scx load --all on PostgreSQL / psql \\copy, {bench.rows:,} rows", ours, other, 2.5)
    yield Result("peak memory on PostgreSQL", ours.peak_mb, None, 1024, "MiB")


LOAD_READINGS = scx("load", "sensor_readings", "--all")


def _readings(bench: Bench) -> str:
    """The URL of the bucket with all readings, its files read once."""
    options = ("--start", "2023-01-01 00:00", "--files", str(READING_FILES))
    bucket = bench.bucket("sensors", *options, star="sensor_readings")
    bench.files(bucket, "data_sample/*.parquet")
    return bucket


def sensors(bench: Bench) -> Iterator[Result]:
    """Tens of thousands of small Parquet files, published and checked: on DuckDB against its own INSERT of the same files,
    on PostgreSQL against psql's \\copy of one ready binary file of the same rows; and all of it three times more.

    Each side follows a table of the same size that was dropped: on a virtual machine, the first use of memory is slow.
    """
    bucket = _readings(bench)
    files = f"{bucket.removeprefix('file://')}/data_sample/*.parquet"
    other = bench.read_alone(READ_PARQUET, READINGS, files)
    ours = run(LOAD_READINGS, bench.fresh_home(bucket))
    name = f"{READING_FILES:,} Parquet files on DuckDB / INSERT … SELECT FROM read_parquet"
    yield _compared(name, ours, other, 1.15)
    with postgres_server(bench.folder) as server:
        run(LOAD_READINGS, _fresh_database(bench, bucket, server))
        copied = _copy_ready(server, bench.folder / "readings.bin", "dwh.data_sample")
        home = _fresh_database(
            bench, _readings(bench), server
        )  # its files are in memory again, as psql's was
        first = run(LOAD_READINGS, home)
        size = _size(server)
        again = median_run(3, LOAD_READINGS, home)
        grown = _size(server)
    name = f"{READING_FILES:,} Parquet files on PostgreSQL / psql \\copy of one binary file"
    yield _compared(name, first, copied, 1.15)
    yield Result("peak memory, Parquet files on PostgreSQL", first.peak_mb, None, 400, "MiB")
    yield _compared("the same again / the first time", again, first, 1.0)
    yield Result("the table's size after three reloads / before", grown, size, 1.05)


def sensors_s3(bench: Bench) -> Iterator[Result]:
    """The same files from an S3 server into PostgreSQL, against the same load from a folder."""
    bucket = _readings(bench)
    with s3_server(bench.folder) as s3, postgres_server(bench.folder) as server:
        url = s3.create_bucket("readings")
        run([sys.executable, "-c", UPLOAD, bucket, url], s3.environment())
        folder = run(LOAD_READINGS, _fresh_database(bench, bucket, server))
        remote = run(LOAD_READINGS, _fresh_database(bench, url, server) | s3.environment())
    yield _compared(f"{READING_FILES:,} Parquet files from S3 / from a folder", remote, folder, 1.5)


def kills(bench: Bench) -> Iterator[Result]:
    """Loads of all readings into PostgreSQL that are killed (-9) at random times, each followed by an uninterrupted load."""
    wrong = 0
    with postgres_server(bench.folder) as server:
        home = _fresh_database(bench, _readings(bench), server)
        whole = run(LOAD_READINGS, home)
        for number in range(KILLS):
            seconds = random.uniform(0, whole.seconds)
            kill(LOAD_READINGS, home, seconds)
            run(LOAD_READINGS, home)
            rows = int(_ask(server, "SELECT count(*) FROM dwh.data_sample"))
            wrong += rows != READING_FILES * READING_ROWS
            out.print(
                f"kill {number + 1} of {KILLS}, after {seconds:.1f} s: {rows:,} rows after the next load"
            )
    yield Result(f"loads after {KILLS} kills that did not give all rows", wrong, None, 0, "loads")


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
    run(load, _fresh_database(bench, bucket, server))
    rows = int(_ask(server, f"SELECT count(*) FROM {subject.table}"))
    limit = _copy_ready(server, bench.folder / "ready.bin", subject.table)
    yield _way(subject, "psql `\\copy` of a ready binary file", limit, limit, f"{rows:,} rows")
    ours = run(load, _fresh_database(bench, bucket, server))
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


def _fresh_database(bench: Bench, bucket: str, server: PostgresServer) -> dict[str, str]:
    """An empty SCX_HOME and an empty database, over a bucket."""
    return {**bench.fresh_home(bucket), "SCX_WAREHOUSE_URL": server.create_database("dev")}


def _copy_ready(server: PostgresServer, file: Path, table: str) -> Timing:
    """Take a table's rows out into a binary file, and time how long they take into a new one without its helpers."""
    psql = [str(binary("psql")), "-q", "-v", "ON_ERROR_STOP=1", server.url("dev")]
    run([*psql, "-c", f"CREATE TABLE readings (LIKE {table})"], {})
    run([*psql, "-c", f"\\copy (TABLE {table}) TO '{file}' (FORMAT binary)"], {})
    run([*psql, "-c", f"DROP TABLE {table} CASCADE"], {})
    os.sync()  # or the file would still be on its way to the disk, which slows the COPY that it is for
    try:
        return run([*psql, "-c", f"\\copy readings FROM '{file}' (FORMAT binary)"], {})
    finally:
        file.unlink()


def _size(server: PostgresServer) -> float:
    """The size of the table of readings with all that belongs to it, in MB."""
    return float(
        _ask(
            server,
            "SELECT sum(pg_total_relation_size(relid)) / 1e6 FROM pg_partition_tree('dwh.data_sample')",
        )
    )


def _ask(server: PostgresServer, query: str) -> str:
    return run([str(binary("psql")), server.url("dev"), "-qAt", "-c", query], {}).output.strip()


def month_reload(bench: Bench) -> Iterator[Result]:
    """A month's reload after 36 loaded months, against the same month's reload when it is the only one.

    PostgreSQL is at rest before each: the server's own vacuum of the load before would take part of its time.
    """
    bucket = bench.bucket(
        "years", "--to", "2022-12", "--months", "36", "--jobs", str(max(bench.rows // 4, 36))
    )
    with postgres_server(bench.folder) as server:
        url = server.create_database("dev")
        for engine in ("DuckDB", "PostgreSQL"):
            home = bench.fresh_home(bucket)
            if engine == "PostgreSQL":
                home["SCX_WAREHOUSE_URL"] = url
            month = scx("load", "scx", "--month", "2022-06")
            run(month, home)
            _rest(server)
            alone = median_run(bench.repeats, month, home)
            run(scx("load", "scx", "--all"), home)
            _rest(server)
            among = median_run(bench.repeats, month, home)
            yield _compared(f"a month's reload after 36 months / after 1, {engine}", among, alone, 1.15)


def small_month(bench: Bench) -> Iterator[Result]:
    """A small month, process start to exit; and what one more month costs in the same process."""
    bucket = bench.bucket("small", "--to", "2021-12", "--months", "12", "--jobs", "12000")
    home = bench.fresh_home(bucket)
    one = scx("load", "scx", "--month", "2021-06")
    run(one, home)
    single = median_run(bench.repeats, one, home)
    more = float(run([sys.executable, "-c", RUNS], home).output.split()[-1])
    yield Result("a small month, start to exit", single.seconds, None, 3.0, "s")
    yield Result("one more month, a run of its own, in the same process", more, None, 0.5, "s")


def _rest(server: PostgresServer) -> None:
    url = server.url("dev", SUPERUSER)
    run([str(binary("psql")), url, "-q", "-c", "VACUUM (ANALYZE)", "-c", "CHECKPOINT"], {})


def _psql_copy(server: PostgresServer, files: list[str]) -> Timing:
    url = server.create_database("copied")
    create = f"CREATE TABLE logs ({COLUMNS.format(text='text')})"
    copies = [
        item for file in files for item in ("-c", f"\\copy logs FROM '{file}' WITH (FORMAT csv, HEADER)")
    ]
    return run([str(binary("psql")), url, "-q", "-v", "ON_ERROR_STOP=1", "-c", create, *copies], {})


def _compared(name: str, ours: Timing, other: Timing, promise: float) -> Result:
    seconds = f"{ours.seconds:.1f} s / {other.seconds:.1f} s"
    return Result(name, ours.seconds, other.seconds, promise, note=seconds)
