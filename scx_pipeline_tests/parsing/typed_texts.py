"""One text in a column of a type: its value, or the reason why it is rejected.

Records and files have helpers of their own.
"""

from __future__ import annotations

import duckdb

from scx_pipeline.model.column import Column
from scx_pipeline.parsing import typed_rows, value_rules


class RejectedValue(str):
    """The reason why a text is not taken."""


def typed(con: duckdb.DuckDBPyConnection, kind: str, text: str | None, nullable: bool = True) -> object:
    """The value of a text in a column of the type, or the first reason why it is refused."""
    column = Column(name="v", type=kind, description="", nullable=nullable)
    rules = value_rules.build_rules([column])
    assert all(name == "v" for _, name, _ in rules)
    conditions = ", ".join(condition for condition, _, _ in rules)
    rows = typed_rows.select_typed_rows("(SELECT ?::VARCHAR AS v)", [column])
    found = con.execute(f"SELECT v, {conditions} FROM ({rows})", [text]).fetchall()
    [(value, *broken)] = found
    assert None not in broken, "a condition that is NULL would let the row through unnoticed"
    reasons = [reason for (_, _, reason), is_broken in zip(rules, broken, strict=True) if is_broken]
    return RejectedValue(reasons[0]) if reasons else value


KINDS = [
    "smallint",
    "integer",
    "bigint",
    "double",
    "decimal(5,2)",
    "boolean",
    "date",
    "timestamp",
    "varchar(4)",
]
# Names of zones, some of which are ambiguous, and offsets that no place has.
OTHER_ZONES = [
    *(" PST", " BST", " CST", " AST", " EDT", " CEST", " UTC", " GMT", " Z", " Europe/Berlin", "z", "PST", " America/New_York"),
    *("+25:00", "+15", "+14:01", "+1401", "-14:30", "+02:60", "+5", "+2:00", "+020", "+05:30:15", " +05:30", "+", "-", "+-2"),
]  # fmt: skip
