"""The names of the engine's own columns, made in one place, so that no column of a user's can have one of them.
Declarations refuse the prefix; what a file has under such a name is not declared, and is never selected next to these."""

from __future__ import annotations

PREFIX = "_scx_"

MONTH = "_month"  # in tables of the state schema that exist
# Names without the prefix that are in use next to a table's own: they cannot be declared either.
RESERVED = frozenset({"_object", "_n", MONTH, "_first", "_last", "file_index", "rowid"})

# Schemas that are the pipeline's own or an engine's.
SYSTEM_SCHEMAS = frozenset({"scx_pipeline", "temp", "system", "information_schema"})

# Every table of PostgreSQL has these, and CREATE TABLE refuses them; oid and the last two are Redshift's.
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid", "insertxid", "deletexid"})  # fmt: skip

# Columns that DuckDB's readers add to a file's own, unless the file has one of the name: it compares them as SQL does.
VIRTUAL_COLUMNS = frozenset({"file_index", "file_row_number", "filename"})


def internal(kind: str, column: str = "") -> str:
    """The quoted name of an internal column of a kind, or of the one that belongs to a user's column."""
    name = f"{PREFIX}{kind} {column}" if column else f"{PREFIX}{kind}"
    return '"' + name.replace('"', '""') + '"'
