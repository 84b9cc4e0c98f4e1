"""Where a bench works: generated buckets, fresh homes and databases, and what ours is compared with.

What is measured is for the scenarios to say.
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


def fresh_database(bench: Bench, bucket: str, server: PostgresServer) -> dict[str, str]:
    """An empty SCX_HOME and an empty database, over a bucket."""
    return {**bench.fresh_home(bucket), "SCX_WAREHOUSE_URL": server.create_database("dev")}


def copy_ready(server: PostgresServer, file: Path, table: str) -> Timing:
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


def ask(server: PostgresServer, query: str) -> str:
    """The answer of a query with one value."""
    return run([str(binary("psql")), server.url("dev"), "-qAt", "-c", query], {}).output.strip()


def compared(name: str, ours: Timing, other: Timing, promise: float) -> Result:
    """The seconds of ours as a multiple of another's, and what was promised."""
    seconds = f"{ours.seconds:.1f} s / {other.seconds:.1f} s"
    return Result(name, ours.seconds, other.seconds, promise, note=seconds)
