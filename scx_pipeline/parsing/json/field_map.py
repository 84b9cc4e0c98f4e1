"""Map the fields of JSON records to a table's columns: the SELECT of their values, and the rules for a record.

Files and the locations of their records belong to the parsers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import VIRTUAL_COLUMNS, internal_column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing import number_text, typed_rows, value_rules
from scx_pipeline.parsing.json import number_precision
from scx_pipeline.parsing.json.field_sql import (
    HAS_NUL,
    HAS_OTHER_FIELDS,
    JSON,
    KEYS,
    NUMBER,
    RECORD_COLUMNS,
    Path,
    json_keys,
    json_text,
    json_type,
    path_literal,
)
from scx_pipeline.parsing.json.number_precision import ROUNDED
from scx_pipeline.parsing.row_markers import Rule
from scx_pipeline.warehouse.sql_text import quote, string_literal

EXTRACTED, STRICT, LENIENT = map(internal_column, ("extracted", "strict", "lenient"))
NOT_JSON = 0  # the index of the rule that the text is not JSON


class FieldMap:
    """The fields of a table's columns in a JSON record, as SQL over a relation of (number, json).

    `json` is NULL where the text is not JSON. Fields are matched by their exact names; an absent field and null are NULL.
    The objects that contain nested fields are levels, each with fields of its own.
    """

    def __init__(self, source: Source, table: Table) -> None:
        self.source, self.table = source, table

    @cached_property
    def levels(self) -> dict[Path, list[str]]:
        """The declared fields of every object that is read, by its path; () is the record itself."""
        found: dict[Path, list[str]] = {(): []}
        for column in self.table.columns:
            for depth in range(len(column.field_path)):
                names = found.setdefault(column.field_path[:depth], [])
                if column.field_path[depth] not in names:
                    names.append(column.field_path[depth])
        return found

    @cached_property
    def rules(self) -> list[Rule]:
        """What rows of `select_typed` must not meet, in the order in which reasons are reported."""
        not_object = f"({HAS_OTHER_FIELDS} AND COALESCE(json_type({JSON}) <> 'OBJECT', FALSE))"
        found: list[Rule] = [(f"{JSON} IS NULL", None, "is not JSON"), (not_object, None, "is not an object")]
        for level in self.levels:
            keys, name = json_keys(level), ".".join(level)
            is_duplicate = f"COALESCE(len(list_distinct({keys})) <> len({keys}), FALSE)"
            within = f" in {name}" if level else ""
            found.append((f"({HAS_OTHER_FIELDS} AND {is_duplicate})", None, f"has a field twice{within}"))
            if level:
                not_object = f"COALESCE({json_type(level)}, 'NULL') NOT IN ('OBJECT', 'NULL')"
                found.append((not_object, None, f"has {name}, which is not an object"))
        nulls = self.source.null_values
        for column in self.table.columns:
            if column.max_bytes is not None:
                found.append((_is_not_text(column), column.name, "is not a text"))
            if column.unit is not None:
                finer = number_precision.is_finer(column, nulls)
                found.append((finer, column.name, "is more precise than a microsecond"))
            if number_precision.must_be_exact(column):
                found.append((number_precision.is_rounded(column, nulls), column.name, ROUNDED))
        # A NUL can only come from its escape, for which the record is searched once.
        return found + [
            (f"({HAS_NUL} AND {condition})" if reason == value_rules.HOLDS_NUL else condition, column, reason)
            for condition, column, reason in value_rules.build_rules(self.table.columns)
        ]

    def select_typed(self, records: str) -> str:
        """Return a SELECT of the typed columns and their texts, as by `select_typed_rows`, and of RECORD_COLUMNS.

        Costly tests are limited to records that may have undeclared fields, or lack declared ones. Numbers whose double
        is exact are selected as such, which takes half the time of casting their texts; the others as texts.
        """
        structure = string_literal(self._structure())
        # The strict transformation fails for a field that is absent, duplicate or not a number; undeclared fields pass.
        strict = (
            f"SELECT number AS {NUMBER}, json AS {JSON}, TRY(json_transform_strict(json, {structure})) AS {STRICT},"
            f" json_keys(json) AS {KEYS} FROM {records}"
        )
        extracted = (
            f"SELECT {NUMBER}, {JSON}, {KEYS}, {STRICT} IS NULL AS {LENIENT},"
            f" CASE WHEN {STRICT} IS NULL THEN json_transform({JSON}, {structure}) ELSE {STRICT} END AS {EXTRACTED} FROM ({strict})"
        )
        fields = ", ".join(
            item for column in self.table.columns for item in _extract(column, self.source.null_values)
        )
        counts = " OR ".join(
            f"len({json_keys(level)}) <> {len(names)}" for level, names in self.levels.items()
        )
        texts = (
            f"(SELECT {fields}, {NUMBER}, {JSON}, {KEYS}, COALESCE({LENIENT} OR {counts}, TRUE) AS {HAS_OTHER_FIELDS},"
            f" COALESCE(contains({JSON}::VARCHAR, '\\u0000'), FALSE) AS {HAS_NUL} FROM ({extracted}))"
        )
        return typed_rows.select_typed_rows(
            texts,
            self.table.columns,
            RECORD_COLUMNS,
            self.source.null_values,
            [column.name for column in self.table.columns if _is_number(column)],
        )

    @property
    def has_exact_numbers(self) -> bool:
        """Whether there are columns whose numbers must be compared with their texts."""
        return bool(self._exact_columns)

    @property
    def written_texts(self) -> dict[str, str]:
        """Expressions over `select_typed` of texts as the record has them, where the reader may have changed them."""
        nulls = self.source.null_values
        return {item.name: number_precision.written_text(item, nulls) for item in self._exact_columns}

    @property
    def can_read_uniform(self) -> bool:
        """Whether uniform files may be read without the rules that concern a record's fields.

        A line that is not JSON becomes a row of NULLs, so at least one column must not be nullable. A field with the
        name of one of the reader's virtual columns would hide that column.
        """
        columns = self.table.columns
        return (
            len(self.levels) == 1
            and not any(name.lower() in VIRTUAL_COLUMNS for name in self.levels[()])
            and not all(column.nullable for column in columns)
            and not any(column.type.startswith("decimal") for column in columns)
        )

    @property
    def uniform_rules(self) -> list[Rule]:
        """What rows of `select_uniform` must not meet."""
        return [
            rule for rule in value_rules.build_rules(self.table.columns) if rule[2] != value_rules.HOLDS_NUL
        ]

    @property
    def excluded_patterns(self) -> list[str]:
        """Patterns of lines that no uniform file has: their numbers may have more digits than are read."""
        return [number_precision.inexact_line_pattern(item) for item in self._exact_columns]

    def select_uniform(self, records: str) -> str:
        """Return a SELECT of the typed columns and NUMBER from records of uniform files, which have NUMBER and texts."""
        return typed_rows.select_typed_rows(records, self.table.columns, NUMBER, self.source.null_values)

    @property
    def uniform_fields(self) -> str:
        """The columns' texts, selected from a scan that has them under the names of their fields."""
        return ", ".join(f"{quote(item.field_path[0])} AS {quote(item.name)}" for item in self.table.columns)

    @property
    def _exact_columns(self) -> list[Column]:
        return [item for item in self.table.columns if number_precision.must_be_exact(item)]

    def select_field_names(self, records: str) -> str:
        """Return a SELECT of the distinct (number, full name of a field) of the records."""
        selects = [
            f"SELECT number, {string_literal('.'.join((*level, '')))} || unnest(json_keys(json, {path_literal(level)})) AS field"
            f" FROM {records}"
            for level in self.levels
        ]
        return f"SELECT DISTINCT number, field FROM ({' UNION ALL '.join(selects)}) ORDER BY ALL"

    @property
    def declared_names(self) -> list[str]:
        """Every declared field, and every object that contains one, by its full name."""
        return [".".join((*level, name)) for level, names in self.levels.items() for name in names]

    def _structure(self) -> str:
        """Return what json_transform extracts: numbers as DOUBLE, all other values as texts."""
        structure: dict[str, Any] = {}
        for column in self.table.columns:
            place = structure
            for name in column.field_path[:-1]:
                place = place.setdefault(name, {})
            place[column.field_path[-1]] = "DOUBLE" if _is_number(column) else "VARCHAR"
        return json.dumps(structure, ensure_ascii=False)


def _is_not_text(column: Column) -> str:
    """Return the condition that a text column's JSON value is not a text.

    The costly test is limited to texts that another JSON value may have.
    """
    text = quote(column.name)
    # Most texts begin with a capital letter, which is a cheap test; NaN and Infinity have 3 and 8 letters.
    usual = f"{text} >= 'A' AND {text} < 'Z' AND strlen({text}) NOT IN (3, 8)"
    # Numbers begin with a digit or -, arrays and objects with a bracket; - . / 0 … 9 are consecutive characters.
    doubtful = (
        f"({text} >= '-' AND {text} < ':') OR ({text} >= '[' AND {text} < '\\') OR ({text} >= '{{' AND {text} < '|')"
        f" OR (strlen({text}) IN (3, 4, 5, 8) AND lower({text}) IN ('true', 'false', 'nan', 'inf', 'infinity'))"
    )
    wrong = f"COALESCE({json_type(column.field_path)} <> 'VARCHAR', FALSE)"
    return f"CASE WHEN {usual} THEN FALSE WHEN {doubtful} THEN {wrong} ELSE FALSE END"


def _extract(column: Column, null_values: Sequence[str]) -> list[str]:
    """Return the items that select a column from EXTRACTED: its text, or its number and the text of an inexact one."""
    member, name = f"{EXTRACTED}." + ".".join(map(quote, column.field_path)), quote(column.name)
    if not _is_number(column):
        return [f"{member} AS {name}"]
    text = json_text(column.field_path)
    plain = f"NOT {LENIENT} AND ({number_text.is_exact_double(member, null_values)})"
    return [
        f"CASE WHEN {member} IS NULL AND NOT {LENIENT} THEN NULL WHEN {plain} THEN NULL ELSE {text} END AS {name}",
        f"CASE WHEN {plain} THEN {member} END AS {typed_rows.number_of(column.name)}",
    ]


def _is_number(column: Column) -> bool:
    return column.type == "double"
