"""Redshift's system views of loads, which replace their names in a query.

They have only the columns that the guide lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from scx_pipeline_tests.support.redshift.transfer.copying import Copied

_DETAIL = (
    "query_id bigint",
    "file_name varchar",
    "bytes_scanned bigint",
    "lines_scanned bigint",
    "file_etag varchar",
)
_ERRORS = (
    "query_id bigint", "session_id bigint", "table_name varchar", "file_name varchar", "line_number bigint",
    "column_name varchar", "column_type varchar", "position bigint", "error_code bigint", "error_message varchar",
)  # fmt: skip


# The columns of SVV_TRANSACTIONS that identify the holder of a lock.
_TRANSACTIONS = "(SELECT pid, mode AS lock_mode, relation, granted FROM pg_locks WHERE locktype = 'relation')"


Hides = Callable[[str, str], bool]


def with_system_views(sql: str, loads: Mapping[int, Copied], hides: Hides) -> str:
    """Replace the views in a query by their rows, without those that a view hides."""
    sql = re.sub(r'"svv_transactions"|\bsvv_transactions\b', lambda found: _TRANSACTIONS, sql)
    for name, columns, rows in (
        ("sys_load_detail", _DETAIL, lambda: _details(loads)),
        ("sys_load_error_detail", _ERRORS, lambda: _errors(loads)),
    ):
        pattern = rf'"{name}"(?=\s|$|\)|;)|\b{name}\b(?=\s|$|\)|;)'
        if re.search(pattern, sql):
            place = [column.split()[0] for column in columns].index("file_name")
            relation = _relation(columns, [row for row in rows() if not hides(name, str(row[place]))])
            sql = re.sub(
                pattern, lambda found, relation=relation, name=name: f"{relation} AS {name}", sql, count=1
            )
            sql = re.sub(rf"AS {name}\s+AS\s", "AS ", sql)
    return sql


def _details(loads: Mapping[int, Copied]) -> Iterator[Sequence[object]]:
    for query, copied in loads.items():
        for file in copied.files:
            yield query, file.url, file.bytes, file.lines, file.etag


def _errors(loads: Mapping[int, Copied]) -> Iterator[Sequence[object]]:
    for query, copied in loads.items():
        for item in copied.rejected:
            facts = (item.line, item.column, item.type, 0, item.code, item.message)
            yield (query, copied.session, "", item.url, *facts)


def _relation(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    kinds = [column.split()[1] for column in columns]
    listed = ", ".join(
        "(" + ", ".join(f"{_literal(value)}::{kind}" for value, kind in zip(row, kinds, strict=True)) + ")"
        for row in rows
    )
    names = ", ".join(column.split()[0] for column in columns)
    empty = ", ".join(f"NULL::{kind}" for kind in kinds)
    body = f"VALUES {listed}" if rows else f"SELECT {empty} WHERE FALSE"
    return f"(SELECT * FROM ({body}) AS v ({names}))"


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
