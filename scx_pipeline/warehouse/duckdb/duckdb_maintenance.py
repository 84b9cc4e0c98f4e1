"""Maintenance of a DuckDB file: CHECKPOINT, and how much of the file is free.

Nothing is deleted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scx_pipeline.warehouse.maintenance import (
    HealthReport,
    Maintenance,
    TableHealth,
    format_megabytes,
    unquote,
)

# The free share of the file, and bytes, from which advice is given.
MIN_FREE_SHARE, MIN_FREE_BYTES = 0.4, 64_000_000


class DuckDBMaintenance(Maintenance):
    """Maintenance of the whole file."""

    def list_statements(self, tables: Sequence[str]) -> list[str]:
        """Return one CHECKPOINT of the whole file; no ANALYZE, as DuckDB keeps statistics up to date."""
        return ["CHECKPOINT"] if tables else []

    def report_health(self, tables: Sequence[str]) -> HealthReport:
        """Report the tables' rows and the file's blocks; DuckDB does not report blocks by table."""
        rows = self.session.rows
        [(path,)] = rows("SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
        [(block, free)] = rows(
            "SELECT block_size, free_blocks FROM pragma_database_size() WHERE database_name = current_database()"
        )
        size, free_bytes = Path(path).stat().st_size, int(block) * int(free)
        # Counted, as DuckDB's own estimate includes deleted rows.
        selects = " UNION ALL ".join(f"SELECT {n}, COUNT(*) FROM {table}" for n, table in enumerate(tables))
        counts = dict(rows(selects)) if tables else {}
        found = [TableHealth(unquote(table), counts[number], None) for number, table in enumerate(tables)]
        facts = {"file bytes": size, "free bytes": free_bytes}
        return HealthReport(found, facts, advise_on_free_space(path, size, free_bytes))


def advise_on_free_space(path: str, size: int, free: int) -> tuple[str, ...]:
    """Return what to do about free blocks, in bytes; empty if they are few, as later rows use them."""
    if free < MIN_FREE_BYTES or free < MIN_FREE_SHARE * size:
        return ()
    return (
        f"{format_megabytes(free)} of the file's {format_megabytes(size)} are free and will be reused by loads; to shrink the file, "
        f"copy it while nothing loads: ATTACH '{path}' AS old (READ_ONLY); ATTACH '{path}.new' AS new; "
        "COPY FROM DATABASE old TO new; and replace the old file by the new one",
    )
