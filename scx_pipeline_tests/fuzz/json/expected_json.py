"""What a file of JSON lines, or a JSON document, must give: Python's json reads it, with numbers as they are written.

Which files are tried is not decided here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline_tests.fuzz import rules
from scx_pipeline_tests.fuzz.case import months_of
from scx_pipeline_tests.fuzz.outcome import REJECT, REJECTED, Expected, Outcome, outcomes_of
from scx_pipeline_tests.fuzz.rules import NO, Cell

BOM = b"\xef\xbb\xbf"
MAX_LINE = 16 << 20
SLACK = 8
BLANKS = b" \t\r\n"
DEEP = b'{"a":' * 2000 + b"1" + b"}" * 2000
EXACT_DIGITS = 15  # above which a decimal's numbers may be refused, as they may have been read as doubles


class Number(str):
    """A number as it is written."""


class Pairs(list[tuple[str, Any]]):
    """An object's fields in their order, those that are there twice too."""


class Constant(str):
    """NaN or an infinity, which no number is."""


_DECODER = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_float=Number, parse_int=Number, parse_constant=Constant
)


class Reader:
    """What records must give, for one table."""

    def __init__(self, table: Table, source: Source) -> None:
        self.table, self.source, self.months = table, source, months_of(table)
        # A number may be written otherwise than the null value.
        self.null_numbers = {float(text) for text in source.null_values if re.fullmatch(r"-?[0-9.]+", text)}
        self.levels = {
            column.field_path[:depth] for column in table.columns for depth in range(len(column.field_path))
        }

    def lines(self, content: bytes) -> Expected:
        """What a file of JSON lines must give."""
        expected = Expected()
        if b"\0" in content[:4] or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            expected.refuse("must" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "may", "not UTF-8")
        for number, line in enumerate(content.removeprefix(BOM).split(b"\n"), start=1):
            if len(line) > MAX_LINE - SLACK:
                expected.refuse(
                    "must" if len(line) > MAX_LINE + SLACK else "may", f"a line of {len(line)} bytes"
                )
            if line.strip(BLANKS):
                expected.add(self.record(line), number)
        return expected

    def document(self, content: bytes) -> Expected:
        """What a file of one document must give."""
        expected = Expected()
        if len(content) > MAX_LINE - SLACK:
            expected.refuse(
                "must" if len(content) > MAX_LINE else "may", f"a document of {len(content)} bytes"
            )
        content = content.removeprefix(BOM)
        if not content.strip(BLANKS):
            return expected
        parsed, odd = parse(content)
        records = parsed if isinstance(parsed, list) and not isinstance(parsed, Pairs) else [parsed]
        if parsed is None and odd:
            expected.add([REJECTED])
            return expected
        for record in records:
            expected.add(self.value(record), None)
        if odd or any(map(_doubtful, records)):  # which some readers take for no JSON at all
            expected.otherwise = Expected(rejected=1)
        return expected

    def record(self, line: bytes) -> list[Outcome]:
        """The outcomes of a line."""
        parsed, odd = parse(line)
        if odd and parsed is None:
            return [REJECTED]
        return [*self.value(parsed), *([REJECTED] if odd else [])]

    def value(self, record: Any) -> list[Outcome]:
        """The outcomes of a record that is JSON."""
        if not isinstance(record, Pairs):
            return [REJECTED]
        doubtful = _doubtful(record)
        for level in self.levels:
            found = _at(record, level)
            names = [name for name, _ in found] if isinstance(found, Pairs) else []
            declared = {
                column.field_path[len(level)]
                for column in self.table.columns
                if column.field_path[: len(level)] == level
            }
            twice = {name for name in names if names.count(name) > 1}
            if twice & declared or (level and not isinstance(found, Pairs) and found is not None):
                return [REJECTED]
            doubtful = doubtful or bool(twice)
        outcomes = outcomes_of(
            [self._cell(_at(record, column.field_path), column) for column in self.table.columns], self.months
        )
        return [*outcomes, REJECTED] if doubtful else outcomes

    def _cell(self, value: Any, column: Column) -> Cell:
        null: Cell = (None,) if column.nullable else NO
        if value is None:
            return null
        if (
            isinstance(value, str)
            and not isinstance(value, Constant)
            and str(value) in self.source.null_values
        ):
            # A number may be declared a null value of a number column; a text column accepts texts only.
            if not isinstance(value, Number):
                return null
            return (REJECT, *null) if column.max_bytes is not None else (*null, *_number(value, column))
        if isinstance(value, bool):
            text = "1" if value else "0"
            is_null_value = text in self.source.null_values or str(value).lower() in self.source.null_values
            return ((value,) if column.type == "boolean" else NO) + (null if is_null_value else ())
        if isinstance(value, Number):
            is_null_value = column.max_bytes is None and float(value) in self.null_numbers
            return (*_number(value, column), *(null if is_null_value else ()))
        if isinstance(value, str) and not isinstance(value, Constant):
            if re.search("[\ud800-\udfff]", value):
                return NO
            return rules.of_text(column.type, column.unit, value)
        return NO


def parse(text: bytes) -> tuple[Any, bool]:
    """A JSON value, and whether a reader may refuse it, or read it although it is none; None then, if Python cannot either."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        return None, True
    try:
        bare = decoded.strip(" \t\r\n")
        value, end = _DECODER.raw_decode(bare)
        if end < len(bare):
            return None, True
    except RecursionError:  # only `DEEP` is nested so
        return (Pairs([("a", Pairs())]) if text.strip(BLANKS) == DEEP else None), True
    except ValueError:
        lenient = re.sub(r",(\s*[}\]])", r"\1", decoded)  # a trailing comma, which some read over
        lenient = re.sub(r"(?i)(?<=[:,\[\s])-?(?:nan|inf|infinity)(?=[,\]}\s])", "NaN", lenient)
        if lenient != decoded:
            found, _ = parse(lenient.encode())
            return found, True
        return None, True
    return value, False


def _doubtful(value: Any) -> bool:
    """Whether something in it is read by some and refused by others: NaN, NUL and half surrogate pairs in what no column takes."""
    if isinstance(value, Constant):
        return True
    if isinstance(value, Pairs):
        return any(_doubtful(name) or _doubtful(part) for name, part in value)
    if isinstance(value, list):
        return any(map(_doubtful, value))
    return isinstance(value, str) and re.search("[\0\ud800-\udfff]", value) is not None


def _at(value: Any, path: Sequence[str]) -> Any:
    """What is found along a path of fields; None where there is nothing."""
    for name in path:
        value = dict(value).get(name) if isinstance(value, Pairs) else None
    return value


def _number(value: Number, column: Column) -> Cell:
    """What a JSON number becomes."""
    kind, text = column.type, str(value)
    if column.max_bytes is not None or kind == "date" or (kind == "timestamp" and not column.unit):
        return NO
    if kind == "boolean":
        return {"0": (False, REJECT), "1": (True, REJECT), "-0": (False, REJECT)}.get(text, NO)
    written = re.search("[.eE]", text) is not None
    if kind.startswith("decimal"):
        precision = int(re.findall(r"\d+", kind)[0])
        cell = rules.of_text(kind, None, text)
        # A number that a double does not keep may be refused; it is never rounded.
        long = re.search(r"[0-9.]{17}|[eE]-[0-9]{3}", text) is not None
        rounds = precision > EXACT_DIGITS and (written or abs(int(text)) >= 1 << 63)
        return (*cell, REJECT) if long or rounds else cell
    if column.unit:
        plain = rules.of_text(kind, column.unit, text)
        if re.search("[eE]", text):
            exact = rules.decimal_of(60, 30, text)
            return (REJECT, *rules.of_text(kind, column.unit, f"{exact[0]:f}")) if exact != NO else NO
        return plain
    return rules.of_text(kind, column.unit, text)
