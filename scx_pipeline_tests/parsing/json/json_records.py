"""One JSON record, read by a field map: its values, or the column that is wrong and why.

Files of records have helpers of their own.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import duckdb

from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline.parsing.json.field_sql import NUMBER
from scx_pipeline.parsing.value_rules import select_first_violations
from scx_pipeline.warehouse.sql_text import names

SOURCE = Source(
    name="s",
    description="",
    format="json_lines",
    prefix="",
    files=(FilePattern(pattern="*"),),
    null_values=("",),
)
TABLE = Table.model_validate(
    {
        "name": "t",
        "role": "staging",
        "description": "",
        "source": "s",
        "columns": [
            {"name": "first_name", "field": "firstName", "type": "varchar(8)", "description": ""},
            {"name": "count", "type": "integer", "description": ""},
            {"name": "ratio", "type": "double", "description": ""},
            {"name": "at", "type": "timestamp", "unit": "milliseconds", "description": ""},
            {"name": "is_new", "type": "boolean", "description": ""},
            {"name": "city", "field": "home.city", "type": "varchar(8)", "description": ""},
        ],
    }
)
GOOD: dict[str, Any] = {
    "firstName": "Zoë", "count": 7, "ratio": 0.5, "at": 1541105830796, "is_new": True, "home": {"city": "Ulm"},
}  # fmt: skip
VALUES = ("Zoë", 7, 0.5, datetime(2018, 11, 1, 20, 57, 10, 796000), True, "Ulm")
MILLISECONDS = {"type": "timestamp", "unit": "milliseconds"}
MICROSECONDS = {"type": "timestamp", "unit": "microseconds"}
SECONDS = {"type": "timestamp", "unit": "seconds"}
ODD_NAMES = [
    *("a b", " ", "größe", "日本", "🎉", "é", "e\u0301", "\u00a0", "a\tb", "a\nb"),
    *("$", "$a", "@type", "#", "%", "?", "~", "[0]", "a[0]", "{a}", "(a)", "a/b", "a:b", "a,b", "a;--"),
    *("'", "it's", "0", "-1", "null", "true", "select"),
]  # fmt: skip
RECORDS = "(SELECT 1 AS number, TRY(?::JSON) AS json)"


def read(
    con: duckdb.DuckDBPyConnection, text: str, table: Table = TABLE, source: Source = SOURCE
) -> tuple[Any, ...] | tuple[str | None, str]:
    """The values of a record, or the column that is wrong and why."""
    fields = FieldMap(source, table)
    typed = fields.select_typed(RECORDS)
    broken = con.execute(
        select_first_violations(typed, table.columns, fields.rules, NUMBER), [text]
    ).fetchall()
    if broken:
        [(number, rule, _)] = broken
        _, column, reason = fields.rules[rule]
        assert number == 1
        return column, reason
    return con.execute(f"SELECT {names(table.column_names)} FROM ({typed})", [text]).fetchall()[0]


def table_of(*columns: dict[str, Any]) -> Table:
    """A staging table of these columns."""
    columns = tuple({"type": "varchar(9)", "description": "", **column} for column in columns)
    return Table.model_validate({**TABLE.model_dump(exclude={"columns"}), "columns": columns})


NESTED = table_of(
    {"name": "a"}, {"name": "b", "field": "o.b", "type": "integer"}, {"name": "c", "field": "o.p.c", "type": "double"}
)  # fmt: skip


def value(con: duckdb.DuckDBPyConnection, text: str, source: Source = SOURCE, **column: Any) -> object:
    """What a column `v` takes from the JSON text of its value: the value, or the reason why it is refused."""
    found = read(con, f'{{"v": {text}}}', table_of({"name": "v", **column}), source)
    return f"it {found[1]}" if len(found) == 2 else found[0]


def line(**changes: Any) -> str:
    """A good record's text with other values; `...` leaves a field out."""
    return json.dumps({name: value for name, value in {**GOOD, **changes}.items() if value is not ...})
