"""The scenarios of one month: its reload after many loaded months, and a small one from start to exit.

Whole loads are not measured here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from scx_pipeline_tests.support.servers.postgres import SUPERUSER, PostgresServer, binary, postgres_server
from tools.bench.bench import Bench, compare
from tools.bench.measure import Result, median_run, run, scx

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
            yield compare(f"a month's reload after 36 months / after 1, {engine}", among, alone, 1.15)


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
