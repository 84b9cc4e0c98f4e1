"""The names that declarations must not use: the pipeline's internal columns and schemas, and those of the engines.

Declarations reject RESERVED_PREFIX, so an internal column cannot collide with a column of a star.
"""

from __future__ import annotations

RESERVED_PREFIX = "_scx_"

# The month column of the state schema's tables, which keep the name they were created with.
MONTH_COLUMN = "_month"
# Names without the prefix that are selected next to a table's own columns.
RESERVED_COLUMNS = frozenset({"_object", "_n", MONTH_COLUMN, "_first", "_last", "file_index", "rowid"})

# Schemas that belong to the pipeline or to an engine.
SYSTEM_SCHEMAS = frozenset({"scx_pipeline", "temp", "system", "information_schema"})

# System columns of every PostgreSQL table, which CREATE TABLE rejects; oid and the last two are Redshift's.
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid", "insertxid", "deletexid"})  # fmt: skip

# Columns that DuckDB's readers add to those of a file, unless the file has a column of that name (compared as in SQL).
VIRTUAL_COLUMNS = frozenset({"file_index", "file_row_number", "filename"})


def internal_column(kind: str, column: str = "") -> str:
    """Return the quoted name of an internal column of this kind, or of the one that accompanies a declared column."""
    name = f"{RESERVED_PREFIX}{kind} {column}" if column else f"{RESERVED_PREFIX}{kind}"
    return '"' + name.replace('"', '""') + '"'
