"""Names and expressions of JSON records in SQL, as the statements for their fields use them.

Which fields are read is decided by the map of fields.
"""

from __future__ import annotations

from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.warehouse.sql_text import string_literal

NUMBER, JSON, KEYS, HAS_OTHER_FIELDS, HAS_NUL = map(
    internal_column, ("number", "json", "keys", "has_other_fields", "has_nul")
)
RECORD_COLUMNS = ", ".join([NUMBER, JSON, KEYS, HAS_OTHER_FIELDS, HAS_NUL])

Path = tuple[str, ...]


def path_literal(path: Path) -> str:
    """Return a field's path as DuckDB's JSON functions take it, with quoted names."""
    return string_literal("$" + "".join(f'."{name}"' for name in path))


def json_type(path: Path) -> str:
    """Return the SQL of the JSON type of a field."""
    return f"json_type({JSON}, {path_literal(path)})"


def json_text(path: Path) -> str:
    """Return the SQL of a field's value as a text."""
    return f"json_extract_string({JSON}, {path_literal(path)})"


def json_keys(level: Path) -> str:
    """Return the SQL of the names in an object of the record, or in the record itself."""
    return f"json_keys({JSON}, {path_literal(level)})" if level else KEYS
