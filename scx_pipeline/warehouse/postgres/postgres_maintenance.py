"""PostgreSQL looked after: VACUUM and ANALYZE, and how much of a table is room that rows have left behind.
Nothing is deleted here; which tables it is about is decided in the engine package."""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.warehouse.health import HealthReport, TableHealth, megabytes
from scx_pipeline.warehouse.session import Session

BLOAT, LEAST = 0.4, 64_000_000  # share of a table, and bytes, from which on it is worth the trouble


def maintenance_statements(tables: Sequence[str]) -> list[str]:
    """A VACUUM each: room for the next load, and statistics for the planner."""
    return [f"VACUUM (ANALYZE) {table}" for table in tables]


def health(session: Session, tables: Sequence[str]) -> HealthReport:
    """What the server tells of these tables, partitions added up."""
    found = [_told(session.rows(_OF_TABLE, [table] * 2)[0], table) for table in tables]
    [(size,)] = session.rows("SELECT pg_database_size(current_database())")
    return HealthReport(found, {"database bytes": int(size)})


def _told(row: Sequence[object], table: str) -> TableHealth:
    rows, size, heap, dead, needed, vacuumed, analyzed = row
    lost = max(0, int(heap) - int(needed)) if needed is not None else None  # type: ignore[call-overload]
    facts = {
        "dead rows": int(dead),  # type: ignore[call-overload]
        "bloat bytes": lost,
        "vacuumed": vacuumed,
        "analyzed": analyzed,
    }
    advice = advise(table, int(heap), lost or 0)  # type: ignore[call-overload]
    return TableHealth(table.replace('"', ""), int(rows), int(size), facts, advice)  # type: ignore


def advise(table: str, heap: int, lost: int) -> tuple[str, ...]:
    """What to do about the room that rows have left; it is used again by later ones, so nothing where it is little."""
    if lost < LEAST or lost < BLOAT * heap:
        return ()
    return (
        f"about {megabytes(lost)} of {megabytes(heap)} are free, which loads use again; to give them back to the system run "
        f"VACUUM FULL {table}, which keeps all readers out and needs as much room as the table until it ends, or pg_repack, which "
        "does not",
    )


# Of a table and its partitions. What the rows need is reckoned from the widths that ANALYZE found: 24 bytes of each row's
# header and 4 of its pointer, rounded up to 8; a page has 24 bytes of its own. NULL before the first ANALYZE.
_OF_TABLE = """
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
