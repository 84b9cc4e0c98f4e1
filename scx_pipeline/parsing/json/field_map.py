"""JSON records into texts: which fields a table wants, the SELECT that takes them out, and what a record must not be.
How the texts are typed is in `values`; which files there are, and where their records stand, in `jsonparser`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import VIRTUAL_COLUMNS, internal
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing import values
from scx_pipeline.parsing.values import literal
from scx_pipeline.warehouse.sql_text import quote

# What is passed on beside the columns.
NUMBER, JSON, KEYS, ODD, NUL = map(internal, ("number", "json", "keys", "odd", "nul"))
TAKEN, STRICT, LOOSE = map(internal, ("taken", "strict", "loose"))  # on the way there
PARSED = ", ".join([NUMBER, JSON, KEYS, ODD, NUL])

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},]|[^\s"\[\]{},:]++', re.DOTALL)
_BRACKET = re.compile(r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)  # and all before it

EXACT_DIGITS = 15  # of a number that is read as a double
# A number that is read as a double, if it has a fraction or an exponent, and that may have more digits than one holds, or
# is far below one; and the same once every digit and point is a 0, as that is found in a tenth of the time.
LONG = f"(?:[0-9.]{{{EXACT_DIGITS + 2},}}|[0-9]{{{EXACT_DIGITS + 1},}}[eE]|[0-9.]+[eE]-[0-9]{{3,}})"
_DIGITS = bytes.maketrans(b"123456789.E", b"0000000000e")
_LONG = (b"0" * (EXACT_DIGITS + 2), b"0" * (EXACT_DIGITS + 1) + b"e", b"0e-000")
_SIGN = "-?"
ROUNDED = "may be rounded; write it as a text"

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
            if column.unit is not None:
                item = internal("item")
                finer = f"len(list_filter({self._numbers_of(column)}, lambda {item}: {values.is_finer(item, column.unit)})) > 0"
                found.append(
                    (self._if_rounded(column, finer), column.name, "is more precise than a microsecond")
                )
            if column in self._exact:
                found.append((self._is_rounded(column), column.name, ROUNDED))
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
            item for column in self.table.columns for item in _taken(column, self.source.null_values)
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
            self.source.null_values,
            [column.name for column in self._numbers],
        )

    @property
    def has_exact_numbers(self) -> bool:
        """Whether there are columns whose numbers must be looked at as they are written."""
        return bool(self._exact)

    @property
    def written(self) -> dict[str, str]:
        """Expressions over `typed` of texts as the record has them, where another may have been read."""
        return {
            column.name: f"COALESCE({self._if_rounded(column, f'{self._numbers_of(column)}[1]', 'NULL')}, {values.text_of(column)})"
            for column in self._exact
        }

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

    @property
    def not_regular(self) -> list[str]:
        """Patterns of lines that are in no regular file: of numbers that may have other digits than those that are read."""
        return [f'"{_name(item)}": *{_SIGN}{_inexact(item)}' for item in self._exact]

    def regular(self, records: str) -> str:
        """A SELECT of the typed columns and NUMBER from the records of regular files: their NUMBER, a text of each column."""
        return values.typed_rows(records, self.table.columns, NUMBER, self.source.null_values)

    @property
    def regular_fields(self) -> str:
        """The columns' texts, out of a scan that has them under the names of their fields."""
        return ", ".join(f"{quote(item.field_path[0])} AS {quote(item.name)}" for item in self.table.columns)

    @property
    def _numbers(self) -> list[Column]:
        """The columns that are read as numbers."""
        return [column for column in self.table.columns if _is_number(column)]

    @property
    def _exact(self) -> list[Column]:
        """The columns whose numbers are read as doubles, if they have a fraction, and must not be rounded."""
        return [
            item for item in self.table.columns if item.unit is not None or item.type.startswith("decimal")
        ]

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

    def _is_rounded(self, column: Column) -> str:
        """The condition that a JSON number may have had other digits than the double that it is read as."""
        if _may_round(column):
            return self._if_double(column, "TRUE")
        item, numbers = internal("item"), self._numbers_of(column)
        wrong = f"regexp_matches({item}, {literal(LONG)})"
        if column.unit is not None:
            wrong = values.is_other(item, self._read(column), column.unit)
        return self._if_rounded(
            column, f"len({numbers}) = 0 OR len(list_filter({numbers}, lambda {item}: {wrong})) > 0"
        )

    def _if_rounded(self, column: Column, then: str, otherwise: str = "FALSE") -> str:
        """What holds of a JSON number that is read as a double, where a field of its name has an inexact one."""
        long = f"regexp_matches({JSON}::VARCHAR, {literal(_written(column) + _SIGN + _inexact(column))})"
        return self._if_double(column, f"CASE WHEN {long} THEN {then} ELSE {otherwise} END", otherwise)

    def _if_double(self, column: Column, then: str, otherwise: str = "FALSE") -> str:
        """What holds of a JSON number that is read as a double. A look at its text spares nearly all others another."""
        double = f"COALESCE(json_type({JSON}, {literal(_pointer(column.field_path))}) = 'DOUBLE', FALSE)"
        fraction = values.may_have_a_fraction(column, self.source.null_values)
        return f"CASE WHEN {fraction} THEN CASE WHEN {double} THEN {then} ELSE {otherwise} END ELSE {otherwise} END"

    def _numbers_of(self, column: Column) -> str:
        """A list of the numbers, as they are written, that a column's may be: those that are read as the same double.

        They are looked for in the record's text, wherever in it a field of the name may be.
        """
        item, pattern = internal("item"), f"{_written(column)}({_SIGN}[0-9.]+(?:[eE][-+]?[0-9]+)?)"
        same = f"TRY_CAST({item} AS DOUBLE) IS NOT DISTINCT FROM TRY_CAST({self._read(column)} AS DOUBLE)"
        return (
            f"list_filter(regexp_extract_all({JSON}::VARCHAR, {literal(pattern)}, 1), lambda {item}: {same})"
        )

    @staticmethod
    def _read(column: Column) -> str:
        """The text of what is read of a value, also where it stands for none."""
        return f"json_extract_string({JSON}, {literal(_pointer(column.field_path))})"

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


def _taken(column: Column, null_values: Sequence[str]) -> list[str]:
    """What is taken out of TAKEN for a column: its text, or its number and the text of one that is not plain."""
    member, name = _member(column.field_path), quote(column.name)
    if not _is_number(column):
        return [f"{member} AS {name}"]
    text = f"json_extract_string({JSON}, {literal(_pointer(column.field_path))})"
    plain = f"NOT {LOOSE} AND ({values.is_plain(member, null_values)})"
    return [
        f"CASE WHEN {member} IS NULL AND NOT {LOOSE} THEN NULL WHEN {plain} THEN NULL ELSE {text} END AS {name}",
        f"CASE WHEN {plain} THEN {member} END AS {values.number_of(column.name)}",
    ]


def _may_round(column: Column) -> bool:
    """Whether a JSON number may have more digits than it is read with."""
    digits = re.match(r"decimal\((\d+)", column.type)
    return digits is not None and int(digits[1]) > EXACT_DIGITS


def _name(column: Column) -> str:
    """The pattern of a field's name."""
    return re.sub(r"[^a-zA-Z0-9_]", lambda found: f"\\x{{{ord(found[0]):x}}}", column.field_path[-1])


def _written(column: Column) -> str:
    """The pattern of a field's name and all that stands before its value. One with escapes may be any name."""
    return f'"(?:{_name(column)}|[^"]*\\\\[^"]*)"[ \\t\\r\\n]*:[ \\t\\r\\n]*'


def _inexact(column: Column) -> str:
    """The pattern of how a number without its sign begins that may not be what is read of it; all others surely are."""
    if column.unit is None:
        return LONG
    # Up to 8 * 10**15 microseconds, doubles are closer to each other than microseconds are.
    places = values.MICROSECONDS[column.unit]
    finer = f"[0-9]+[.][0-9]{{{places}}}[0-9]*[1-9]"
    large = f"[0-9]{{{17 - places},}}[.]|[89][0-9]{{{15 - places}}}[.]"
    return f"(?:{finer}|{large}|[0-9.]+[eE])"


def _is_number(column: Column) -> bool:
    return column.type == "double"


def _member(path: Path) -> str:
    return f"{TAKEN}." + ".".join(map(quote, path))


def _pointer(path: Path) -> str:
    """The path as DuckDB's JSON functions take it, names quoted."""
    return "$" + "".join(f'."{name}"' for name in path)


def _within(level: Path) -> str:
    return f" in {'.'.join(level)}" if level else ""


def has_long_number(text: str) -> bool:
    """Whether a JSON text may have a number that is not held exactly as a double."""
    digits = text.encode("utf-8", "surrogatepass").translate(_DIGITS)
    return any(long in digits for long in _LONG)


def element_texts(document: str) -> list[str]:
    """The texts of an array's elements, as they are written; any texts, if the document is no JSON."""
    starts = list(element_starts(document))
    return [document[start:end].rstrip(" \t\r\n,") for start, end in pairwise([*starts, document.rfind("]")])]


def element_starts(document: str) -> Iterator[int]:
    """Where the elements of an array begin, as positions in the document; however deep they are."""
    depth, expected, position = 0, False, 0
    while match := (_TOKEN.search if depth < 2 else _BRACKET.match)(document, position):
        position = match.end()
        token = match[match.re.groups]
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
