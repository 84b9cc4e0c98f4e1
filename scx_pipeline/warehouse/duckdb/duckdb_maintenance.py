"""DuckDB looked after: CHECKPOINT, and how much of the file is free.
Nothing is deleted here; which tables it is about is decided in the engine package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scx_pipeline.warehouse.health import HealthReport, TableHealth, megabytes
from scx_pipeline.warehouse.session import Session

FREE, LEAST = 0.4, 64_000_000  # share of the file, and bytes, from which on it is worth the trouble


def maintenance_statements(tables: Sequence[str]) -> list[str]:
    """One CHECKPOINT, of the whole file. No ANALYZE: its statistics are kept up to date as rows come in."""
    return ["CHECKPOINT"] if tables else []


def health(session: Session, tables: Sequence[str]) -> HealthReport:
    """The tables' rows, and the file's blocks; which table has how many of them is not known."""
    plain = [table.replace('"', "") for table in tables]
    [(path,)] = session.rows("SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
    [(block, free)] = session.rows(
        "SELECT block_size, free_blocks FROM pragma_database_size() WHERE database_name = current_database()"
    )
    size, free_bytes = Path(path).stat().st_size, int(block) * int(free)
    counts = " UNION ALL ".join(f"SELECT {n}, COUNT(*) FROM {table}" for n, table in enumerate(tables))
    rows = dict(session.rows(counts)) if tables else {}  # its own estimate has deleted ones in it
    found = [TableHealth(name, rows[number], None) for number, name in enumerate(plain)]
    return HealthReport(found, {"file bytes": size, "free bytes": free_bytes}, advise(path, size, free_bytes))


def advise(path: str, size: int, free: int) -> tuple[str, ...]:
    """What to do about free blocks; later rows use them, so nothing where they are few."""
    if free < LEAST or free < FREE * size:
        return ()
    return (
        f"{megabytes(free)} of the file's {megabytes(size)} are free, which loads use again; for a small file copy it while nothing "
        f"loads: ATTACH '{path}' AS old (READ_ONLY); ATTACH '{path}.new' AS new; COPY FROM DATABASE old TO new; and put "
        "the new one in the place of the old",
    )
