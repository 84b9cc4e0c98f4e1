"""What a Parquet file must be for a table: which types may stand for which, and the SELECT that takes its values.
Typed columns, no texts: the rules are those of `values`, as far as a type leaves anything to ask. Files are read in
`parquetparser`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing import values
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.parsing.values import literal, text_of
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import duckdb_type
from scx_pipeline.warehouse.sql_text import quote

Rule = tuple[str, str | None, str]

_WHOLE = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
}
_EXACT_IN_DOUBLE = {"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"}
_ZONED = {"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"}
_MOMENTS = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", *_ZONED}
_NOTHING = '"NULL"'  # the type of a column in which no value ever was


@dataclass(frozen=True)
class Contract:
    """How files of one schema are read into a table. `mistakes` says what keeps them out.

    `types` are the files' columns, by their exact names, as DuckDB shows them; `doubled` those names that are there
    twice; and `renamed` what DuckDB calls a column that it does not call by its name, as it tells no letters' cases
    apart. A column that a file lacks is empty, if it may be; timestamps of any unit and zone become UTC, rounded to
    microseconds.
    """

    source: Source
    table: Table
    types: Mapping[str, str]
    doubled: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def mistakes(self) -> list[str]:
        """What is wrong with the schema; nothing where the files can be read."""
        found = [f"has the column {name} twice" for name in self.doubled]
        for column in self.table.columns:
            kind = self.types.get(field_of(column))
            if kind is None:
                if not column.nullable:
                    found.append(f"has no column {field_of(column)}{self._near(column)}")
            elif not _fits(column, kind):
                found.append(f"has {field_of(column)} of type {kind}, which cannot be read as {column.type}")
        return found

    @property
    def undeclared_fields(self) -> UndeclaredFields | None:
        """The names that are not declared, and the declared ones that there are not."""
        declared = [field_of(column) for column in self.table.columns]
        unknown = tuple(name for name in self.types if name not in declared)
        absent = tuple(name for name in declared if name not in self.types)
        return UndeclaredFields(unknown, absent) if unknown or absent else None

    @property
    def rules(self) -> list[Rule]:
        """What must not be: (condition over `typed`, column, reason), in the order in which reasons are told."""
        found: list[Rule] = []
        for column in self.table.columns:
            name, raw = quote(column.name), _raw(column)
            if not column.nullable:
                found.append((f"{raw} IS NULL", column.name, "is empty, and must not be"))
            found += [
                (f"({raw} IS NOT NULL AND ({wrong}))", column.name, reason)
                for wrong, reason in _value_rules(column, name)
            ]
        return found

    def typed(self, scan: str, other: str, name: str) -> str:
        """A SELECT of each column's value, of what it is made from, of that as a text, and of what the scan gives as `other`.

        That is called `name`. What the scan gives else is not selected: a file's column may be called anything.
        """
        taken = [
            f"{quote(self.name_of(field_of(column)))} AS {_taken(column)}"
            for column in self.table.columns
            if field_of(column) in self.types
        ]
        items = []
        for column in self.table.columns:
            kind = self.types.get(field_of(column))
            raw = _taken(column) if kind not in (None, _NOTHING) else f"NULL::{duckdb_type(column)}"
            if column.max_bytes is not None and self.source.null_values:
                empty = ", ".join(map(literal, self.source.null_values))
                raw = f"CASE WHEN {raw} IN ({empty}) THEN NULL ELSE {raw} END"
            items.append(f"{_value(column, raw, kind)} AS {quote(column.name)}, {raw} AS {_raw(column)}")
            if column.max_bytes is None:
                items.append(f"{raw}::VARCHAR AS {text_of(column)}")
        return f"SELECT {', '.join(items)}, {name} FROM (SELECT {', '.join([*taken, f'{other} AS {name}'])} FROM {scan})"

    def name_of(self, column: str) -> str:
        """What DuckDB calls a file's column."""
        return self.renamed.get(column, column)

    def _near(self, column: Column) -> str:
        near = difflib.get_close_matches(field_of(column).lower(), [name.lower() for name in self.types], n=1)
        names = [name for name in self.types if near and name.lower() == near[0]]
        return f"; did it become {names[0]}?" if names else ""


def field_of(column: Column) -> str:
    """The name of the column of a Parquet file that a column is read from."""
    return column.field or column.name


def _taken(column: Column) -> str:
    return internal("taken", column.name)


def _raw(column: Column) -> str:
    return internal("raw", column.name)


def _fits(column: Column, kind: str) -> bool:
    if kind == _NOTHING:
        return True
    if column.max_bytes is not None:
        return kind == "VARCHAR"
    if column.unit is not None:
        return kind in _WHOLE
    decimal = re.fullmatch(r"decimal\((\d+), ?(\d+)\)", column.type)
    if decimal:
        found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
        return kind in _WHOLE or (found is not None and int(found[2]) <= int(decimal[2]))
    return kind in {
        "smallint": _WHOLE,
        "integer": _WHOLE,
        "bigint": _WHOLE,
        "double": {"FLOAT", "DOUBLE", *_EXACT_IN_DOUBLE},
        "boolean": {"BOOLEAN"},
        "date": {"DATE"},
        "timestamp": _MOMENTS,
    }.get(column.type, set())


def _value(column: Column, raw: str, kind: str | None) -> str:
    if kind in (None, _NOTHING) or column.max_bytes is not None:
        return raw
    if column.unit is not None:
        return f"TRY(make_timestamp({raw}::BIGINT * {10 ** values.MICROSECONDS[column.unit]}))"
    if kind in _ZONED:
        return f"(TRY_CAST({raw} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    return raw if kind == duckdb_type(column) else f"TRY_CAST({raw} AS {duckdb_type(column)})"


def _value_rules(column: Column, name: str) -> list[tuple[str, str]]:
    if column.max_bytes is not None:
        return [
            (f"strlen({name}) > {column.max_bytes}", f"is longer than {column.max_bytes} bytes"),
            (f"contains({name}, chr(0))", values.HOLDS_NUL),
        ]
    if column.type in ("timestamp", "date"):
        return [
            (
                f"{name} IS NULL OR NOT isfinite({name}) OR NOT {name} {values.IN_CALENDAR}",  # DuckDB may decide a range by statistics
                "is outside of the years 1 to 9999",
            )
        ]
    if column.type == "double":
        return [(f"NOT isfinite({name})", "is not a finite number")]
    if column.type == "boolean":
        return []
    return [(f"{name} IS NULL", f"is out of the range of {column.type}")]
