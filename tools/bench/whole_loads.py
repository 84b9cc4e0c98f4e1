"""The scenarios of whole loads of text files, against DuckDB's and PostgreSQL's own readers.

Loads of single months are not measured here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from scx_pipeline_tests.support.servers.postgres import PostgresServer, binary, postgres_server
from tools.bench.bench import Bench, compare
from tools.bench.measure import Result, Timing, median_run, run, scx

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
READ_JSON = """
import duckdb, sys
columns = {item.split()[0]: item.split()[1] for item in sys.argv[2].split(",")}
with duckdb.connect(sys.argv[1]) as con:
    con.read_json(sys.argv[3:], columns=columns, format="newline_delimited").create("events")
"""
SONGS = 400_000

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


def whole_load_duckdb(bench: Bench) -> Iterator[Result]:
    """Everything published and checked on DuckDB, against DuckDB's own read_csv into one typed table."""
    bucket = bench.bucket("large", "--to", "2022-12", "--months", "24", "--jobs", str(bench.rows))
    other = bench.read_alone(READ_CSV, COLUMNS.format(text="varchar"), *bench.files(bucket))
    pipeline = run(scx("load", "scx", "--all"), bench.fresh_home(bucket))
    yield compare(f"scx load --all on DuckDB / read_csv, {bench.rows:,} rows", pipeline, other, 2.0)
    yield Result("peak memory on DuckDB", pipeline.peak_mb, None, 1024, "MiB")


def music(bench: Bench) -> Iterator[Result]:
    """Events published and checked on DuckDB, against DuckDB's own read_json into one typed table; and a load
    without changes of hundreds of thousands of songs, one file each."""
    options = ("--to", "2022-12", "--months", "24", "--events", str(bench.rows), "--songs", str(SONGS))
    bucket = bench.bucket("music", *options, "--matching", "2000", star="songplays")
    home = bench.fresh_home(bucket)
    songs = run([sys.executable, "-c", REFRESH], home)
    files = bench.files(bucket, "log_data/*/*/*.json")
    other = bench.read_alone(READ_JSON, EVENTS, *files)
    pipeline = run(scx("load", "songplays", "--from", "2021-01", "--to", "2022-12"), home)
    yield compare(f"events published on DuckDB / read_json, {bench.rows:,} events", pipeline, other, 2.0)
    yield Result("peak memory, events", pipeline.peak_mb, None, 1024, "MiB")
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
        pipeline = run(scx("load", "scx", "--all"), {**bench.fresh_home(bucket), "SCX_WAREHOUSE_URL": url})
    yield compare(f"scx load --all on PostgreSQL / psql \\copy, {bench.rows:,} rows", pipeline, other, 2.5)
    yield Result("peak memory on PostgreSQL", pipeline.peak_mb, None, 1024, "MiB")


def _psql_copy(server: PostgresServer, files: list[str]) -> Timing:
    url = server.create_database("copied")
    create = f"CREATE TABLE logs ({COLUMNS.format(text='text')})"
    copies = [
        item for file in files for item in ("-c", f"\\copy logs FROM '{file}' WITH (FORMAT csv, HEADER)")
    ]
    return run([str(binary("psql")), url, "-q", "-v", "ON_ERROR_STOP=1", "-c", create, *copies], {})
