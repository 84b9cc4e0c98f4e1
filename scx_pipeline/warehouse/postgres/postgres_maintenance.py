"""Maintenance of PostgreSQL: VACUUM and ANALYZE, and how much of a table is bloat.

Nothing is deleted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scx_pipeline.warehouse.maintenance import (
    HealthReport,
    Maintenance,
    TableHealth,
    format_megabytes,
    unquote,
)

# The bloated share of a table, and bytes, from which advice is given.
MIN_BLOAT_SHARE, MIN_BLOAT_BYTES = 0.4, 64_000_000


class PostgresMaintenance(Maintenance):
    """Maintenance table by table."""

    def list_statements(self, tables: Sequence[str]) -> list[str]:
        """Return a VACUUM per table: room for the next load, and statistics for the planner."""
        return [f"VACUUM (ANALYZE) {table}" for table in tables]

    def report_health(self, tables: Sequence[str]) -> HealthReport:
        """Report what the server knows of these tables, with their partitions."""
        found = [_table_health(self.session.rows(_TABLE_HEALTH, [table] * 2)[0], table) for table in tables]
        [(size,)] = self.session.rows("SELECT pg_database_size(current_database())")
        return HealthReport(found, {"database bytes": int(size)})


def _table_health(row: Sequence[Any], table: str) -> TableHealth:
    rows, size, heap, dead, needed, vacuumed, analyzed = row
    bloat = max(0, int(heap) - int(needed)) if needed is not None else None
    facts = {"dead rows": int(dead), "bloat bytes": bloat, "vacuumed": vacuumed, "analyzed": analyzed}
    advice = advise_on_bloat(table, int(heap), bloat or 0)
    return TableHealth(unquote(table), int(rows), int(size), facts, advice)


def advise_on_bloat(table: str, heap: int, bloat: int) -> tuple[str, ...]:
    """Return what to do about a table's bloat, in bytes; empty if it is small, as later rows use it."""
    if bloat < MIN_BLOAT_BYTES or bloat < MIN_BLOAT_SHARE * heap:
        return ()
    return (
        f"about {format_megabytes(bloat)} of {format_megabytes(heap)} are free and will be reused by loads; to return them to the "
        f"system, run VACUUM FULL {table}, which locks out all readers and needs as much room as the table until it ends, or "
        "pg_repack, which does not",
    )


# Of a table and its partitions. What the rows need is estimated from the widths that ANALYZE found: each row has a header
# of 24 bytes and a pointer of 4, rounded up to 8; a page has 24 bytes of its own. NULL before the first ANALYZE.
_TABLE_HEALTH = """
WITH parts AS (
    SELECT c.oid, n.nspname, c.relname, GREATEST(c.reltuples, 0) AS n, c.relpages, s.n_dead_tup, s.last_vacuum,
        s.last_autovacuum, s.last_analyze, s.last_autoanalyze
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
    WHERE c.relkind = 'r' AND c.oid IN (SELECT relid FROM pg_partition_tree(%s::regclass) UNION SELECT %s::regclass)
), widths AS (
    SELECT p.oid, SUM((1 - t.null_frac) * t.avg_width) AS width
    FROM parts AS p JOIN pg_stats AS t ON t.schemaname = p.nspname AND t.tablename = p.relname GROUP BY p.oid
)
SELECT COALESCE(SUM(n), 0), COALESCE(SUM(pg_total_relation_size(p.oid)), 0), COALESCE(SUM(pg_relation_size(p.oid)), 0),
    COALESCE(SUM(n_dead_tup), 0),
    SUM(CASE WHEN n = 0 THEN 0 ELSE CEIL(n * (CEIL((28 + w.width) / 8) * 8) / (8192 - 24)) * 8192 END),
    MAX(GREATEST(last_vacuum, last_autovacuum)), MAX(GREATEST(last_analyze, last_autoanalyze))
FROM parts AS p LEFT JOIN widths AS w ON w.oid = p.oid
"""
