"""JSON records into texts: which fields a table wants, the SELECT that takes them out, and what a record must not be.
How the texts are typed is in `values`; which files there are, and where their records stand, in `jsonparser`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from scx_pipeline.engine import values
from scx_pipeline.engine.values import literal
from scx_pipeline.internal_names import VIRTUAL_COLUMNS, internal
from scx_pipeline.spec import Column, Source, Table
from scx_pipeline.warehouse.base import quote

# What is passed on beside the columns.
NUMBER, JSON, KEYS, ODD, NUL = map(internal, ("number", "json", "keys", "odd", "nul"))
TAKEN, STRICT, LOOSE = map(internal, ("taken", "strict", "loose"))  # on the way there
PARSED = ", ".join([NUMBER, JSON, KEYS, ODD, NUL])

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]|[^\s"\[\]{},:]+', re.DOTALL)

EXACT_DIGITS = 15  # of a number that is read as a double

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
        found: list[Rule] = [(f"{JSON} IS NULL", None, "is no JSON")]
        found.append((f"({ODD} AND COALESCE(json_type({JSON}) <> 'OBJECT', FALSE))", None, "is no object"))
        for level in self.levels:
            keys = self._keys(level)
            doubled = f"({ODD} AND COALESCE(len(list_distinct({keys})) <> len({keys}), FALSE))"
            found.append((doubled, None, f"has a field twice{_within(level)}"))
            if level:
                kind = f"COALESCE(json_type({JSON}, {literal(_pointer(level))}), 'NULL')"
                found.append(
                    (f"{kind} NOT IN ('OBJECT', 'NULL')", None, f"has {'.'.join(level)}, which is no object")
                )
        for column in self.table.columns:
            if column.max_bytes is not None:
                found.append((self._is_no_text(column), column.name, "is not a text"))
            if column.type.startswith("decimal"):
                found.append((self._is_rounded(column), column.name, "may be rounded; write it as a text"))
        # A NUL can only come from its escape, which is looked for once.
        return found + [
            (f"({NUL} AND {condition})" if reason == values.HOLDS_NUL else condition, column, reason)
            for condition, column, reason in values.violations(self.table.columns)
        ]

    def typed(self, records: str) -> str:
        """A SELECT of the typed columns and their texts (as `values.typed_rows`), and of PARSED.

        A record is odd that may have other fields than those declared, or lack one: what is told of fields, and what
        is costly to find out, need only look at those. Numbers that are plain are read as such, which takes half the
        time of writing them out and reading them again; of the others there is the text.
        """
        structure = literal(self._structure())
        # The strict way fails on a field that is absent, or stands twice, or is no number; it takes others unseen.
        strict = (
            f"SELECT number AS {NUMBER}, json AS {JSON}, TRY(json_transform_strict(json, {structure})) AS {STRICT},"
            f" json_keys(json) AS {KEYS} FROM {records}"
        )
        taken = (
            f"SELECT {NUMBER}, {JSON}, {KEYS}, {STRICT} IS NULL AS {LOOSE},"
            f" CASE WHEN {STRICT} IS NULL THEN json_transform({JSON}, {structure}) ELSE {STRICT} END AS {TAKEN} FROM ({strict})"
        )
        fields = ", ".join(
            item for column in self.table.columns for item in _taken(column, self.source.null_texts)
        )
        counts = " OR ".join(
            f"len({self._keys(level)}) <> {len(names)}" for level, names in self.levels.items()
        )
        texts = (
            f"(SELECT {fields}, {NUMBER}, {JSON}, {KEYS}, COALESCE({LOOSE} OR {counts}, TRUE) AS {ODD},"
            f" COALESCE(contains({JSON}::VARCHAR, '\\u0000'), FALSE) AS {NUL} FROM ({taken}))"
        )
        return values.typed_rows(
            texts,
            self.table.columns,
            PARSED,
            self.source.null_texts,
            [column.name for column in self._numbers],
        )

    @property
    def can_be_regular(self) -> bool:
        """Whether `RegularFiles` can tell all that the rules ask of a record beside its values.

        What is no JSON becomes a row without any value, so one column at least must not be empty. A field with the name
        of a column that tells which file a row is from would take its place.
        """
        columns = self.table.columns
        return (
            len(self.levels) == 1
            and not any(name.lower() in VIRTUAL_COLUMNS for name in self.levels[()])
            and not all(column.nullable for column in columns)
            and not any(column.type.startswith("decimal") for column in columns)
        )

    @property
    def regular_rules(self) -> list[Rule]:
        """What must not be in a record of a regular file: (condition over `regular`, column, reason)."""
        return [rule for rule in values.violations(self.table.columns) if rule[2] != values.HOLDS_NUL]

    def regular(self, records: str) -> str:
        """A SELECT of the typed columns and NUMBER from the records of regular files: their NUMBER, a text of each column."""
        return values.typed_rows(records, self.table.columns, NUMBER, self.source.null_texts)

    @property
    def regular_fields(self) -> str:
        """The columns' texts, out of a scan that has them under the names of their fields."""
        return ", ".join(f"{quote(item.field_path[0])} AS {quote(item.name)}" for item in self.table.columns)

    @property
    def _numbers(self) -> list[Column]:
        """The columns that are read as numbers."""
        return [column for column in self.table.columns if _is_number(column)]

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

    def _keys(self, level: Path) -> str:
        return KEYS if not level else f"json_keys({JSON}, {literal(_pointer(level))})"

    def _structure(self) -> str:
        """What json_transform takes out: numbers as such, every other value as a text."""
        structure: dict[str, Any] = {}
        for column in self.table.columns:
            place = structure
            for name in column.field_path[:-1]:
                place = place.setdefault(name, {})
            place[column.field_path[-1]] = "DOUBLE" if _is_number(column) else "VARCHAR"
        return json.dumps(structure, ensure_ascii=False)

    @staticmethod
    def _is_rounded(column: Column) -> str:
        """The condition that a decimal's JSON number may have had other digits than the double that it is read as.

        Of a type with few digits, that is a number that is written with more of them, or far below one: its field is
        looked for in the record's text, wherever in it that may be.
        """
        written = f"json_type({JSON}, {literal(_pointer(column.field_path))})"
        rounded = f"COALESCE({written} = 'DOUBLE', FALSE)"
        if _may_round(column):
            return rounded
        name = re.sub(r"[^a-zA-Z0-9_]", lambda found: f"\\x{{{ord(found[0]):x}}}", column.field_path[-1])
        number = f"-?(?:[0-9.]{{{EXACT_DIGITS + 2},}}|[0-9.]+[eE]-[0-9]{{3,}})"
        pattern = literal(f'"{name}"[ \\t\\r]*:[ \\t\\r]*{number}')
        long = f"regexp_matches({JSON}::VARCHAR, {pattern})"
        return f"CASE WHEN {rounded} THEN {long} ELSE FALSE END"

    @staticmethod
    def _is_no_text(column: Column) -> str:
        """The condition that a text's JSON value is none. Only what could be another's text is looked at again."""
        text = quote(column.name)
        # Most texts begin with a capital letter, and that is quickly seen; not-a-numbers have so many letters.
        usual = f"{text} >= 'A' AND {text} < 'Z' AND strlen({text}) NOT IN (3, 8)"
        # Numbers begin with a digit or -, arrays and objects with a bracket; - . / 0 … 9 follow each other.
        doubtful = (
            f"({text} >= '-' AND {text} < ':') OR ({text} >= '[' AND {text} < '\\') OR ({text} >= '{{' AND {text} < '|')"
            f" OR (strlen({text}) IN (3, 4, 5, 8) AND lower({text}) IN ('true', 'false', 'nan', 'inf', 'infinity'))"
        )
        kind = f"json_type({JSON}, {literal(_pointer(column.field_path))})"
        wrong = f"COALESCE({kind} <> 'VARCHAR', FALSE)"
        return f"CASE WHEN {usual} THEN FALSE WHEN {doubtful} THEN {wrong} ELSE FALSE END"


def _taken(column: Column, null_texts: Sequence[str]) -> list[str]:
    """What is taken out of TAKEN for a column: its text, or its number and the text of one that is not plain."""
    member, name = _member(column.field_path), quote(column.name)
    if not _is_number(column):
        return [f"{member} AS {name}"]
    text = f"json_extract_string({JSON}, {literal(_pointer(column.field_path))})"
    plain = f"NOT {LOOSE} AND ({values.is_plain(member, null_texts)})"
    return [
        f"CASE WHEN {member} IS NULL AND NOT {LOOSE} THEN NULL WHEN {plain} THEN NULL ELSE {text} END AS {name}",
        f"CASE WHEN {plain} THEN {member} END AS {values.number_of(column.name)}",
    ]


def _may_round(column: Column) -> bool:
    """Whether a JSON number may have more digits than it is read with."""
    digits = re.match(r"decimal\((\d+)", column.type)
    return digits is not None and int(digits[1]) > EXACT_DIGITS


def _is_number(column: Column) -> bool:
    return column.type == "double"


def _member(path: Path) -> str:
    return f"{TAKEN}." + ".".join(map(quote, path))


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
