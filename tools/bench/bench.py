"""The working folder of the benchmarks: generated buckets, empty homes and databases, and runs to compare with.

What is measured is up to the scenarios.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from scx_pipeline_tests.support.servers.postgres import PostgresServer, binary
from tools.bench.measure import Result, Timing, run, scx


@dataclass(frozen=True)
class Bench:
    """The folder that a scenario works in, and its size."""

    folder: Path
    rows: int
    repeats: int
    file_count: int

    def bucket(self, name: str, *options: str, star: str = "scx") -> str:
        """Return the URL of a generated bucket, made on first use."""
        home = self.folder / name
        if not (home / "bucket").exists():
            run(scx("generate", star, *options), {"SCX_HOME": str(home)})
        return (home / "bucket").as_uri()

    def fresh_home(self, bucket: str) -> dict[str, str]:
        """Return the settings of an empty SCX_HOME and a bucket."""
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        return {"SCX_HOME": str(home), "SCX_BUCKET_URL": bucket}

    def read_alone(self, script: str, columns: str, *files: str) -> Timing:
        """Time how long DuckDB's own reader takes to load files into a table of a new database."""
        target = self.folder / "alone.duckdb"
        target.unlink(missing_ok=True)
        timing = run([sys.executable, "-c", script, str(target), columns, *files], {})
        target.unlink()
        return timing

    def files(self, bucket: str, pattern: str = "**/*.csv") -> list[str]:
        """Return the files of a bucket, by default the CSV files, after reading each once, so that no side waits for the disk."""
        found = sorted(Path(bucket.removeprefix("file://")).glob(pattern))
        for path in found:
            with path.open("rb") as stream:
                while stream.read(1 << 20):
                    pass
        return [str(path) for path in found]


def fresh_database(bench: Bench, bucket: str, server: PostgresServer) -> dict[str, str]:
    """Return the settings of an empty SCX_HOME, an empty database and a bucket."""
    return {**bench.fresh_home(bucket), "SCX_WAREHOUSE_URL": server.create_database("dev")}


def time_binary_copy(server: PostgresServer, file: Path, table: str, *statements: str) -> Timing:
    r"""Export the table to a binary file, drop it, and time psql's \copy of the file into a new table without indexes.

    Args:
        statements: What psql runs afterwards, on the table `copied`.
    """
    psql = [str(binary("psql")), "-q", "-v", "ON_ERROR_STOP=1", server.url("dev")]
    run([*psql, "-c", f"CREATE TABLE copied (LIKE {table})"], {})
    run([*psql, "-c", f"\\copy (TABLE {table}) TO '{file}' (FORMAT binary)"], {})
    run([*psql, "-c", f"DROP TABLE {table} CASCADE"], {})
    os.sync()  # otherwise, writing the file to the disk would slow down the COPY
    try:
        commands = [f"\\copy copied FROM '{file}' (FORMAT binary)", *statements]
        return run([*psql, *(part for command in commands for part in ("-c", command))], {})
    finally:
        file.unlink()


def query_value(server: PostgresServer, query: str) -> str:
    """Return the result of a query with one value."""
    return run([str(binary("psql")), server.url("dev"), "-qAt", "-c", query], {}).output.strip()


def compare(name: str, measured: Timing, other: Timing, promise: float) -> Result:
    """Return the seconds of a run as a multiple of those of another one, with the promised maximum."""
    seconds = f"{measured.seconds:.1f} s / {other.seconds:.1f} s"
    return Result(name, measured.seconds, other.seconds, promise, note=seconds)
