"""Decide how Parquet files of one schema are read into a table: compatible types, the SELECT of values, the rules.

Values are typed already, so fewer rules apply than to texts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing import number_text, timestamp_text
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.parsing.row_markers import Rule
from scx_pipeline.parsing.typed_rows import text_of
from scx_pipeline.parsing.value_rules import build_text_rules
from scx_pipeline.warehouse.duckdb.duckdb_connection import duckdb_type
from scx_pipeline.warehouse.sql_text import quote, string_literal

_EXACT_IN_DOUBLE = {"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"}
_INTEGERS = {*_EXACT_IN_DOUBLE, "BIGINT", "UBIGINT", "HUGEINT"}
_ZONED = {"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"}
_TIMESTAMPS = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", *_ZONED}
_ALL_NULL = '"NULL"'  # the type of a column without any values


@dataclass(frozen=True)
class Contract:
    """How files of one schema are read into a table.

    A nullable column that the files lack is NULL; timestamps of any unit and zone become UTC, rounded to microseconds.

    Attributes:
        source: The source.
        table: The staging table.
        types: DuckDB's types of the files' columns, by their exact names.
        duplicate_names: Names that occur more than once.
        renamed: DuckDB's names of columns that it renames, as it ignores case.
    """

    source: Source
    table: Table
    types: Mapping[str, str]
    duplicate_names: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Why files of this schema cannot be read; empty if they can."""
        found = [f"has the column {name} twice" for name in self.duplicate_names]
        for column in self.table.columns:
            kind = self.types.get(field_of(column))
            if kind is None:
                if not column.nullable:
                    found.append(f"has no column {field_of(column)}{self._near(column)}")
            elif not _is_compatible(column, kind):
                found.append(f"has {field_of(column)} of type {kind}, which cannot be read as {column.type}")
        return found

    @property
    def undeclared_fields(self) -> UndeclaredFields | None:
        """The undeclared names in the files, and the declared names that they lack; None if there are none."""
        declared = [field_of(column) for column in self.table.columns]
        unknown = tuple(name for name in self.types if name not in declared)
        absent = tuple(name for name in declared if name not in self.types)
        return UndeclaredFields(unknown, absent) if unknown or absent else None

    @property
    def rules(self) -> list[Rule]:
        """What rows of `select_typed` must not meet, in the order in which reasons are reported."""
        found: list[Rule] = []
        for column in self.table.columns:
            name, raw = quote(column.name), _raw_name(column)
            if not column.nullable:
                found.append((f"{raw} IS NULL", column.name, "is empty, and must not be"))
            found += [
                (f"({raw} IS NOT NULL AND ({wrong}))", column.name, reason)
                for wrong, reason in _value_rules(column, name)
            ]
        return found

    def select_typed(self, scan: str, other: str, name: str) -> str:
        """Return a SELECT of each column's value, its original value, the text of that, and one more expression.

        Other columns of the scan are not selected, as they may have any names.

        Args:
            scan: The scan of the files.
            other: The additional expression over the scan.
            name: Its name in the result.
        """
        taken = [
            f"{quote(self.name_of(field_of(column)))} AS {_extracted_name(column)}"
            for column in self.table.columns
            if field_of(column) in self.types
        ]
        items = []
        for column in self.table.columns:
            kind = self.types.get(field_of(column))
            raw = _extracted_name(column) if kind not in (None, _ALL_NULL) else f"NULL::{duckdb_type(column)}"
            if column.max_bytes is not None and self.source.null_values:
                empty = ", ".join(map(string_literal, self.source.null_values))
                raw = f"CASE WHEN {raw} IN ({empty}) THEN NULL ELSE {raw} END"
            items.append(f"{_value(column, raw, kind)} AS {quote(column.name)}, {raw} AS {_raw_name(column)}")
            if column.max_bytes is None:
                items.append(f"{raw}::VARCHAR AS {text_of(column)}")
        return f"SELECT {', '.join(items)}, {name} FROM (SELECT {', '.join([*taken, f'{other} AS {name}'])} FROM {scan})"

    def name_of(self, column: str) -> str:
        """Return DuckDB's name of a file's column."""
        return self.renamed.get(column, column)

    def _near(self, column: Column) -> str:
        near = difflib.get_close_matches(field_of(column).lower(), [name.lower() for name in self.types], n=1)
        names = [name for name in self.types if near and name.lower() == near[0]]
        return f"; was it renamed to {names[0]}?" if names else ""


def field_of(column: Column) -> str:
    """Return the name of the Parquet column that a column is read from."""
    return column.field_name


def _extracted_name(column: Column) -> str:
    return internal_column("taken", column.name)


def _raw_name(column: Column) -> str:
    return internal_column("raw", column.name)


def _is_compatible(column: Column, kind: str) -> bool:
    if kind == _ALL_NULL:
        return True
    if column.max_bytes is not None:
        return kind == "VARCHAR"
    if column.unit is not None:
        return kind in _INTEGERS
    decimal = re.fullmatch(r"decimal\((\d+), ?(\d+)\)", column.type)
    if decimal:
        found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
        return kind in _INTEGERS or (found is not None and int(found[2]) <= int(decimal[2]))
    return kind in {
        "smallint": _INTEGERS,
        "integer": _INTEGERS,
        "bigint": _INTEGERS,
        "double": {"FLOAT", "DOUBLE", *_EXACT_IN_DOUBLE},
        "boolean": {"BOOLEAN"},
        "date": {"DATE"},
        "timestamp": _TIMESTAMPS,
    }.get(column.type, set())


def _value(column: Column, raw: str, kind: str | None) -> str:
    if kind in (None, _ALL_NULL) or column.max_bytes is not None:
        return raw
    if column.unit is not None:
        return f"TRY(make_timestamp({raw}::BIGINT * {10 ** number_text.MICROSECONDS[column.unit]}))"
    if kind in _ZONED:
        return f"(TRY_CAST({raw} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    return raw if kind == duckdb_type(column) else f"TRY_CAST({raw} AS {duckdb_type(column)})"


def _value_rules(column: Column, name: str) -> list[tuple[str, str]]:
    if column.max_bytes is not None:
        return build_text_rules(column)
    if column.type in ("timestamp", "date"):
        return [
            (
                f"{name} IS NULL OR NOT isfinite({name}) OR NOT {name} {timestamp_text.IN_CALENDAR}",  # DuckDB may decide a range by statistics
                "is outside the years 1 to 9999",
            )
        ]
    if column.type == "double":
        return [(f"NOT isfinite({name})", "is not a finite number")]
    if column.type == "boolean":
        return []
    return [(f"{name} IS NULL", f"is out of the range of {column.type}")]
