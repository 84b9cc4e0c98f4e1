"""JSON records into texts: which fields a table wants, the SELECT that takes them out, and what a record must not be.
How the texts are typed is in `values`; which files there are, and where their records stand, in `jsonparser`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from scx_pipeline.engine import values
from scx_pipeline.engine.values import literal
from scx_pipeline.spec import Column, Source, Table
from scx_pipeline.warehouse.base import quote

PARSED = "number, json, keys, odd"  # what is passed on beside the columns

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]|[^\s"\[\]{},:]+', re.DOTALL)

Path = tuple[str, ...]
Rule = tuple[str, str | None, str]


class FieldMap:
    """The fields of a table's columns in a JSON record, as SQL over a relation of (number, json).

    `json` is NULL where the text is no JSON. Fields are taken by their exact names; one that is absent, or null, has no
    value. Objects on the way to a nested field count as levels, each with fields of its own.
    """

    def __init__(self, source: Source, table: Table) -> None:
        self.source, self.table = source, table

    @cached_property
    def levels(self) -> dict[Path, list[str]]:
        """The declared fields of every object that is looked into, by the way to it; () is the record itself."""
        found: dict[Path, list[str]] = {(): []}
        for column in self.table.columns:
            for depth in range(len(column.field_path)):
                names = found.setdefault(column.field_path[:depth], [])
                if column.field_path[depth] not in names:
                    names.append(column.field_path[depth])
        return found

    @cached_property
    def rules(self) -> list[Rule]:
        """What must not be: (condition over `typed`, column, reason), in the order in which reasons are told."""
        found: list[Rule] = [("json IS NULL", None, "is no JSON")]
        found.append(("(odd AND json_type(json) <> 'OBJECT')", None, "is no object"))
        for level in self.levels:
            keys = self._keys(level)
            doubled = f"(odd AND COALESCE(len(list_distinct({keys})) <> len({keys}), FALSE))"
            found.append((doubled, None, f"has a field twice{_within(level)}"))
            if level:
                kind = f"COALESCE(json_type(json, {literal(_pointer(level))}), 'NULL')"
                found.append(
                    (f"{kind} NOT IN ('OBJECT', 'NULL')", None, f"has {'.'.join(level)}, which is no object")
                )
        for column in self.table.columns:
            if column.max_bytes is not None:
                found.append((self._is_no_text(column), column.name, "is not a text"))
        return [*found, *values.violations(self.table.columns)]

    def typed(self, records: str) -> str:
        """A SELECT of the typed columns and their texts (as `values.typed_rows`), and of number, json, keys and odd.

        A record is odd that may have other fields than those declared, or lack one: what is told of fields, and what
        is costly to find out, need only look at those.
        """
        taken = f"SELECT number, json, json_transform(json, {literal(self._structure())}) AS s, json_keys(json) AS keys FROM {records}"
        fields = ", ".join(
            f"{_member(column.field_path)} AS {quote(column.name)}" for column in self.table.columns
        )
        texts = f"(SELECT {fields}, number, json, keys, NOT COALESCE({self._is_exact()}, FALSE) AS odd FROM ({taken}))"
        return values.typed_rows(texts, self.table.columns, PARSED, self.source.null_texts)

    def fields(self, records: str) -> str:
        """A SELECT of the distinct (number, full name of a field) that the records have."""
        selects = [
            f"SELECT number, {literal('.'.join((*level, '')))} || unnest(json_keys(json, {literal(_pointer(level))})) AS field"
            f" FROM {records}"
            for level in self.levels
        ]
        return f"SELECT DISTINCT number, field FROM ({' UNION ALL '.join(selects)}) ORDER BY ALL"

    @property
    def declared(self) -> list[str]:
        """Every declared field, nested ones and the objects on the way to them by their full names."""
        return [".".join((*level, name)) for level, names in self.levels.items() for name in names]

    def _is_exact(self) -> str:
        """The condition that every object has the declared fields and no other. Counting the fields is cheap; which
        ones they are matters only where some have no value, and may be absent."""
        conditions = []
        for level, names in self.levels.items():
            keys = self._keys(level)
            empty = " OR ".join(f"{_member((*level, name))} IS NULL" for name in names)
            listed = ", ".join(map(literal, names))
            conditions.append(
                f"len({keys}) = {len(names)} AND CASE WHEN {empty} THEN list_has_all({keys}, [{listed}]) ELSE TRUE END"
            )
        return " AND ".join(f"({condition})" for condition in conditions)

    def _keys(self, level: Path) -> str:
        return "keys" if not level else f"json_keys(json, {literal(_pointer(level))})"

    def _structure(self) -> str:
        """What json_transform takes out: every value as a text, objects on the way as they are."""
        structure: dict[str, Any] = {}
        for column in self.table.columns:
            place = structure
            for name in column.field_path[:-1]:
                place = place.setdefault(name, {})
            place[column.field_path[-1]] = "VARCHAR"
        return json.dumps(structure, ensure_ascii=False)

    @staticmethod
    def _is_no_text(column: Column) -> str:
        """The condition that a text's JSON value is none. Only what could be another's text is looked at again."""
        text = quote(column.name)
        # Numbers begin with a digit or -, arrays and objects with a bracket; - . / 0 … 9 follow each other.
        doubtful = (
            f"({text} >= '-' AND {text} < ':') OR ({text} >= '[' AND {text} < '\\') OR ({text} >= '{{' AND {text} < '|')"
            f" OR {text} IN ('true', 'false', 'NaN', 'Infinity')"
        )
        kind = f"json_type(json, {literal(_pointer(column.field_path))})"
        return f"CASE WHEN {doubtful} THEN {kind} <> 'VARCHAR' ELSE FALSE END"


def _member(path: Path) -> str:
    return "s." + ".".join(map(quote, path))


def _pointer(path: Path) -> str:
    """The path as DuckDB's JSON functions take it, names quoted."""
    return "$" + "".join(f'."{name}"' for name in path)


def _within(level: Path) -> str:
    return f" in {'.'.join(level)}" if level else ""


def element_starts(document: str) -> Iterator[int]:
    """Where the elements of an array begin, as positions in the document; however deep they are."""
    depth, expected = 0, False
    for match in _TOKEN.finditer(document):
        token = match[0]
        if depth == 1 and expected and token not in "],":
            yield match.start()
            expected = False
        if token in "[{":
            depth += 1
            expected = expected or depth == 1
        elif token in "]}":
            depth -= 1
        elif token == "," and depth == 1:
            expected = True
