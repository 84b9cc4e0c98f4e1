"""Amazon Redshift looked after: VACUUM, ANALYZE, and advice on distribution and sort keys by what svv_table_info tells.
Nothing is deleted here; which tables it is about is decided in the engine package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scx_pipeline.warehouse.health import HealthReport, TableHealth
from scx_pipeline.warehouse.session import Session

MEGABYTE = 1 << 20  # a block
UNSORTED, STALE, SKEW = (
    20,
    10,
    4.0,
)  # percent of the rows, percent of the statistics, largest slice to smallest
LARGE = 1_000_000  # rows from which on it matters how they lie
INFO, RECOMMENDED = "svv_table_info", "svv_alter_table_recommendations"
_COLUMNS = ("table", "size", "tbl_rows", "unsorted", "stats_off", "skew_rows", "diststyle", "sortkey1")


def maintenance_statements(tables: Sequence[str]) -> list[str]:
    """VACUUM sorts and gives room back, each table alone, and outside of a transaction; ANALYZE after it."""
    return [statement for table in tables for statement in (f"VACUUM {table}", f"ANALYZE {table}")]


def health(session: Session, tables: Sequence[str]) -> HealthReport:
    """What the system's views tell of these tables; empty ones they do not know."""
    if not session.rows(f"SELECT HAS_TABLE_PRIVILEGE('{INFO}', 'SELECT')")[0][0]:
        advice = f"this user may not read {INFO}: have an administrator run what `scx roles` prints"
        return HealthReport([TableHealth(_plain(table), None, None) for table in tables], {}, (advice,))
    listed = ", ".join(f'i."{name}"' for name in _COLUMNS)
    rows = session.rows(f'SELECT i."schema", i.table_id, {listed} FROM {INFO} AS i')
    known = {f"{row[0]}.{row[2]}": (row[1], dict(zip(_COLUMNS, row[2:], strict=True))) for row in rows}
    recommended, notes = _recommended(session)  # last: who may not read it loses nothing else
    found = []
    for name in map(_plain, tables):
        number, facts = known.get(name, (None, {}))
        found.append(_told(name, facts, recommended.get(number, [])))
    return HealthReport(found, {}, notes)


def _plain(table: str) -> str:
    return table.replace('"', "")


def _told(name: str, facts: Mapping[str, Any], recommended: Sequence[str]) -> TableHealth:
    if not facts:
        return TableHealth(name, 0, 0)
    shown = {key: _number(facts[key]) for key in _COLUMNS[3:]}
    rows, size = int(facts["tbl_rows"]), int(facts["size"]) * MEGABYTE
    return TableHealth(name, rows, size, shown, (*advise(rows, shown), *recommended))


def _number(value: Any) -> Any:
    """A value as it is shown: no Decimal, and no blanks at the end of a text."""
    return value.strip() if isinstance(value, str) else None if value is None else float(value)


def advise(rows: int, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What to do by a table's numbers, once it was vacuumed and analyzed; little tables are as they may be."""
    if rows < LARGE:
        return ()
    unsorted, stale, skew = (facts.get(name) or 0 for name in ("unsorted", "stats_off", "skew_rows"))
    advice = []
    if unsorted > UNSORTED:
        advice.append(
            f"{unsorted:.0f}% of its rows are unsorted: run `scx maintain` when nothing loads, or choose `sort` by which rows come in"
        )
    if stale > STALE:
        advice.append(f"its statistics are {stale:.0f}% off: run `scx maintain`")
    if skew > SKEW:
        advice.append(
            f"its fullest slice has {skew:.1f} times the rows of its emptiest, by {facts['diststyle']}: choose another column, or auto, as "
            "`distribution` in the star's defs.yaml"
        )
    if not facts.get("sortkey1"):
        advice.append("it is not sorted: say `sort` in the star's defs.yaml, its event time if nothing else")
    return tuple(advice)


def _recommended(session: Session) -> tuple[dict[int, list[str]], tuple[str, ...]]:
    """What Redshift's own advisor would alter, by table; and a note where this user may not read it, as only superusers may."""
    import psycopg2

    if not session.existing_columns("pg_catalog", RECOMMENDED):
        return {}, ()
    hidden = (f"only a superuser may read {RECOMMENDED}, what Redshift's advisor recommends",)
    if not session.rows(f"SELECT HAS_TABLE_PRIVILEGE('{RECOMMENDED}', 'SELECT')")[0][0]:
        return {}, hidden
    try:
        rows = session.rows(f"SELECT r.table_id, r.ddl FROM {RECOMMENDED} AS r")
    except (
        psycopg2.ProgrammingError,
        psycopg2.InternalError,
    ):  # what the view reads may be barred, and not the view
        return {}, hidden
    found: dict[int, list[str]] = {}
    for number, ddl in rows:
        found.setdefault(number, []).append(f"Redshift's advisor: {str(ddl).strip()}")
    return found, ()
