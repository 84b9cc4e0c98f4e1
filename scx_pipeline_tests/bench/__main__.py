"""`make bench`: run the scenarios and print what was promised and what was measured.
What a scenario does is in `scenarios`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from scx_pipeline.show import out, table
from scx_pipeline_tests.bench.measure import Result
from scx_pipeline_tests.bench.scenarios import (
    Bench,
    kills,
    month_reload,
    music,
    sensors,
    sensors_s3,
    small_month,
    whole_load_duckdb,
    whole_load_postgres,
)

SCENARIOS = {
    "small": small_month,
    "reload": month_reload,
    "duckdb": whole_load_duckdb,
    "postgres": whole_load_postgres,
    "music": music,
    "sensors": sensors,
    "sensors-s3": sensors_s3,
    "kills": kills,
}


def main() -> int:
    """Run the chosen scenarios; the exit code says whether every promise was kept."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument(
        "scenario",
        nargs="*",
        default=[name for name in SCENARIOS if name != "kills"],
        help=f"of: {', '.join(SCENARIOS)}",
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the whole loads")
    parser.add_argument("--repeats", type=int, default=5, help="runs of the short ones, whose median counts")
    parser.add_argument(
        "--folder", type=Path, help="where to work, and find generated data again; default: a temporary one"
    )
    options = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="scx-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for name in options.scenario:
            for result in SCENARIOS[name](Bench(folder, options.rows, options.repeats)):
                out.print(
                    f"{result.name}: {result.value:.2f} {result.unit} (promised: {result.promise:g}) {result.note}"
                )
                results.append(result)
    rows = [
        (item.name, f"{item.value:.2f}", item.unit, f"{item.promise:g}", item.kept, item.note)
        for item in results
    ]
    out.print(table("measured in one run", ["what", "measured", "unit", "at most", "kept", "seconds"], rows))
    return 0 if all(item.kept for item in results) else 1


if __name__ == "__main__":
    sys.exit(main())
