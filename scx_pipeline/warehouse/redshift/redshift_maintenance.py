"""Maintenance of Amazon Redshift: VACUUM, ANALYZE, and advice on distribution and sort keys from svv_table_info.

Nothing is deleted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scx_pipeline.warehouse.maintenance import HealthReport, Maintenance, TableHealth, unquote
from scx_pipeline.warehouse.psycopg import CREATE_ROLES
from scx_pipeline.warehouse.session import Session

BLOCK_BYTES = 1 << 20
MAX_UNSORTED_PERCENT, MAX_STALE_PERCENT = 20, 10  # of the rows, of the statistics
MAX_SKEW = 4.0  # rows of the largest slice to those of the smallest
MIN_ROWS = 1_000_000  # from which advice is given
INFO, RECOMMENDATIONS = "svv_table_info", "svv_alter_table_recommendations"
_COLUMNS = ("table", "size", "tbl_rows", "unsorted", "stats_off", "skew_rows", "diststyle", "sortkey1")


class RedshiftMaintenance(Maintenance):
    """Maintenance table by table."""

    session: Session

    def list_statements(self, tables: Sequence[str]) -> list[str]:
        """Return a VACUUM per table, which sorts it and frees room, outside of a transaction, and then an ANALYZE."""
        return [statement for table in tables for statement in (f"VACUUM {table}", f"ANALYZE {table}")]

    def report_health(self, tables: Sequence[str]) -> HealthReport:
        """Report what the system views know of these tables; they have no row for an empty one."""
        plain_names = [unquote(table) for table in tables]
        if not self._may_read(INFO):
            advice = f"this user may not read {INFO}: {CREATE_ROLES}"
            return HealthReport([TableHealth(name, None, None) for name in plain_names], {}, (advice,))
        listed = ", ".join(f'i."{name}"' for name in _COLUMNS)
        rows = self.session.rows(f'SELECT i."schema", i.table_id, {listed} FROM {INFO} AS i')
        known = {f"{row[0]}.{row[2]}": (row[1], dict(zip(_COLUMNS, row[2:], strict=True))) for row in rows}
        recommended, notes = self._read_recommendations()  # last, as it may fail
        found = []
        for name in plain_names:
            number, facts = known.get(name, (None, {}))
            found.append(_table_health(name, facts, recommended.get(number, [])))
        return HealthReport(found, {}, notes)

    def _may_read(self, view: str) -> bool:
        return bool(self.session.rows(f"SELECT HAS_TABLE_PRIVILEGE('{view}', 'SELECT')")[0][0])

    def _read_recommendations(self) -> tuple[dict[int, list[str]], tuple[str, ...]]:
        """Return the recommendations of Redshift's own advisor by table, and a note if this user may not read them."""
        import psycopg2

        if not self.session.catalog.table_columns("pg_catalog", RECOMMENDATIONS):
            return {}, ()
        hidden = (f"only a superuser may read {RECOMMENDATIONS}, the recommendations of Redshift's advisor",)
        if not self._may_read(RECOMMENDATIONS):
            return {}, hidden
        try:
            rows = self.session.rows(f"SELECT r.table_id, r.ddl FROM {RECOMMENDATIONS} AS r")
        except (psycopg2.ProgrammingError, psycopg2.InternalError):  # about what the view reads
            return {}, hidden
        found: dict[int, list[str]] = {}
        for number, ddl in rows:
            found.setdefault(number, []).append(f"Redshift's advisor: {str(ddl).strip()}")
        return found, ()


def _table_health(name: str, facts: Mapping[str, Any], recommended: Sequence[str]) -> TableHealth:
    if not facts:
        return TableHealth(name, 0, 0)
    shown = {key: _format_value(facts[key]) for key in _COLUMNS[3:]}
    rows, size = int(facts["tbl_rows"]), int(facts["size"]) * BLOCK_BYTES
    return TableHealth(name, rows, size, shown, (*advise_on_table(rows, shown), *recommended))


def _format_value(value: Any) -> Any:
    """Return a value for display: a float instead of a Decimal, and a text without trailing blanks."""
    return value.strip() if isinstance(value, str) else None if value is None else float(value)


def advise_on_table(rows: int, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what to do about a table that was vacuumed and analyzed; empty if it is small."""
    if rows < MIN_ROWS:
        return ()
    unsorted, stale, skew = (facts.get(name) or 0 for name in ("unsorted", "stats_off", "skew_rows"))
    advice = []
    if unsorted > MAX_UNSORTED_PERCENT:
        advice.append(
            f"{unsorted:.0f}% of its rows are unsorted: run `scx maintain` when nothing loads, or choose `sort` by the order in which "
            "rows are loaded"
        )
    if stale > MAX_STALE_PERCENT:
        advice.append(f"its statistics are {stale:.0f}% off: run `scx maintain`")
    if skew > MAX_SKEW:
        advice.append(
            f"its fullest slice has {skew:.1f} times the rows of its emptiest, by {facts['diststyle']}: choose another column, or auto, as "
            "`dist` in the star's defs.yaml"
        )
    if not facts.get("sortkey1"):
        advice.append(
            "it is not sorted: set `sort` in the star's defs.yaml, to its event time if nothing else"
        )
    return tuple(advice)
