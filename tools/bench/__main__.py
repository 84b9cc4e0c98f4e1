"""`make bench`: run the scenarios, and print what was promised and what was measured."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scx_pipeline.cli.rendering import format_table, out
from tools.bench.additions import additions
from tools.bench.alternatives import alternatives
from tools.bench.bench import Bench
from tools.bench.exactness import exactness
from tools.bench.lakes import lakes
from tools.bench.measure import CommandFailedError, Result
from tools.bench.month_loads import month_reload, small_month
from tools.bench.report import write
from tools.bench.sensor_files import READING_FILES, kills, sensors, sensors_s3
from tools.bench.whole_loads import music, whole_load_duckdb, whole_load_postgres

SCENARIOS = {
    "small": small_month,
    "reload": month_reload,
    "duckdb": whole_load_duckdb,
    "exactness": exactness,
    "postgres": whole_load_postgres,
    "music": music,
    "sensors": sensors,
    "sensors-s3": sensors_s3,
    "additions": additions,
    "lake": lakes,
    "alternatives": alternatives,
    "kills": kills,
}

ROWS = 10_000_000


def main() -> int:
    """Run the chosen scenarios; return 1 if a promise was not kept."""
    options = _parse_options()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="scx-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for name in options.scenario:
            found = _run_scenario(name, Bench(folder, options.rows, options.repeats, options.files))
            results += found
            if options.write and found:  # a scenario that was skipped leaves its section as it was
                size = f" --rows {options.rows}" if options.rows != ROWS else ""
                size += f" --files {options.files}" if options.files != READING_FILES else ""
                about = SCENARIOS[name].__doc__ or ""
                write(options.write, name, about, found, f"make bench ARGS={name}{size}")
    _print_table(results)
    return 0 if all(item.kept for item in results) else 1


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument(
        "scenario",
        nargs="*",
        default=[name for name in SCENARIOS if name != "kills"],
        help=f"of: {', '.join(SCENARIOS)}",
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the whole loads")
    parser.add_argument(
        "--files", type=int, default=READING_FILES, help="files of the month to which files are added"
    )
    parser.add_argument("--repeats", type=int, default=5, help="runs of the short ones, whose median counts")
    parser.add_argument(
        "--folder", type=Path, help="where to work, and find generated data again; default: a temporary one"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the results into a page: docs/benchmarks.md"
    )
    return parser.parse_args()


def _run_scenario(name: str, bench: Bench) -> list[Result]:
    """Run a scenario, and print each result when it is known."""
    found = []
    for result in SCENARIOS[name](bench):
        promised = f" (promised: {result.promise:g})" if result.promise is not None else ""
        out.print(f"{result.name}: {result.value:.2f} {result.unit}{promised} {result.note}", markup=False)
        found.append(result)
    return found


def _print_table(results: Sequence[Result]) -> None:
    rows = [
        (
            item.name,
            f"{item.value:.2f}",
            item.unit,
            "–" if item.promise is None else f"{item.promise:g}",
            item.kept,
            item.note,
        )
        for item in results
    ]
    headers = ["what", "measured", "unit", "at most", "kept", "seconds"]
    out.print(format_table("measured in one run", headers, rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CommandFailedError as failed:
        sys.exit(str(failed))
