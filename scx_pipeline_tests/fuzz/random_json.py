"""Random JSON lines and documents and what they must give, read by Python's json with numbers as they are written.

They have duplicate, nested and unusual fields, very long lines, incomplete records, and numbers with many digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline_tests.fuzz import rules
from scx_pipeline_tests.fuzz.case import (  # fmt: skip
    MONTHS,
    ODD_NUMBERS,
    ODD_TIMES,
    Case,
    File,
    any_timestamp,
    make_columns,
    make_source,
    make_table,
    make_text,
    months_of,
    pack,
    with_event,
    words,
)
from scx_pipeline_tests.fuzz.outcome import REJECT, REJECTED, Expected, Outcome, outcomes_of
from scx_pipeline_tests.fuzz.rules import NO, Cell, instant

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


# ------------------------------------------------------------------ what a file holds


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


# ------------------------------------------------------------------ random files

FIELDS = (None, None, None, "number", "json", "userId", "home.city", "home.zip", "far.in.side", "größe", "a b", "it's", "$", "0", "select", "Number", "X", "%x", "_y")  # fmt: skip
UNDECLARED = (
    "more",
    "number",
    "json",
    "X",
    "Id",
    "file_index",
    "home",
    "rowid",
    "filename",
    "tags",
    "日本",
    "",
)
NUMBERS = (
    "0", "1", "-1", "-0", "7.0", "1e3", "1E2", "1.25", "1.005", "0.004", "12.345", "-0.005", "2147483648", "-2147483649", "32768",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "123456789012345678.12", "99999999999999.9999", "0.1",
    "1541105830796", "1541105830796.25", "1.541105830796e12", "253402300800000", "1e300", "1e309", "-1e309", "5e-324", "1e-400", "0.30000000000000004",
    "1000", "999.99", "1.500", "9007199254740993", "1541105830.1234567", "100000000000000000000000000000000000.25", "1.10", "20210203",
)  # fmt: skip
OTHERS = ("true", "false", "null", "[]", "{}", "[1]", '{"a": 1}', "NaN", "-Infinity", "Infinity", '"\\ud800"', '"\\u0000"', '"\\ud83c\\udf89"', '"a\\tb"', '""', "1_0", "'x'", "+1", ".5", "01", "1.", "tru", "nul", "nan")  # fmt: skip


def create_lines_case(rng: Random) -> Case:
    """A random case of JSON lines."""
    return _make(rng, "json_lines")


def create_documents_case(rng: Random) -> Case:
    """A random case of JSON documents."""
    return _make(rng, "json")


def _make(rng: Random, kind: str) -> Case:
    columns, event = with_event(rng, _with_fields(rng, make_columns(rng, rng.choice([1, 2, 3, 5, 8]))))
    source = make_source(kind, rng.choice([(), (), ("",), ("NULL", ""), ("", "-1", "0")]), event)
    table = make_table(columns, event)
    reader, suffix, files = Reader(table, source), rng.choice(["", "", "", ".gz", ".zst"]), []
    for number in range(rng.choice([1, 1, 2, 4])):
        writer = _Writer(rng, columns)
        plain = writer.lines() if kind == "json_lines" else writer.document()
        own = suffix if rng.random() < 0.8 else ""
        expected = reader.lines(plain) if kind == "json_lines" else reader.document(plain)
        if own == ".zst" and not plain:
            own = ""
        files.append(File(f"in/{number}.json{own}", pack(plain, own), expected))
    return Case(source, table, MONTHS if event else UNPARTITIONED, files, rng.choice([1, 2, 2, 4]))


def _with_fields(rng: Random, columns: Sequence[Column]) -> list[Column]:
    """The columns, some of them read from fields of other names, such that no two meet."""
    chosen, taken = [], {column.name.lower() for column in columns}
    for column in columns:
        field = rng.choice(FIELDS)
        if field is not None and field.lower() not in taken and field.split(".")[0].lower() not in taken:
            taken.add(field.lower())
            column = column.model_copy(update={"field": field})
        chosen.append(column)
    return chosen


class _Writer:
    """Writes records of a file in one style."""

    def __init__(self, rng: Random, columns: Sequence[Column]) -> None:
        self.rng, self.columns = rng, columns
        self.odd, self.flaws = rng.choice([0, 0, 0.05, 0.4]), rng.choice([0, 0, 0.02, 0.3])
        self.comma, self.colon = rng.choice([(",", ":"), (", ", ": "), (" , ", " : "), (",\t", ":")])
        self.shuffles, self.more = rng.random() < 0.2, rng.choice([0, 0, 0.2])
        self.absent, self.ascii = rng.choice([0, 0, 0.1]), rng.random() < 0.5

    def lines(self) -> bytes:
        rng, newline = self.rng, self.rng.choice([b"\n", b"\n", b"\n", b"\r\n"])
        parts = [self._line() for _ in range(rng.choice([0, 1, 5, 40, 40, 300]))]
        if rng.random() < 0.04:
            parts.insert(rng.randint(0, len(parts)), self._huge())
        content = newline.join(parts)
        if parts and rng.random() < 0.7:
            content += newline
        elif content and rng.random() < 0.3:
            content = content[: -rng.randint(1, min(20, len(content)))]
        if rng.random() < 0.02:
            content = content.decode("utf-8", "replace").encode("utf-16")
        return (BOM if rng.random() < 0.08 else b"") + content

    def _line(self) -> bytes:
        rng = self.rng
        if rng.random() < self.flaws:
            return rng.choice([self._flaw(), b"", b"   ", b"\t", b"\r"])
        return self.record().encode("utf-8", "surrogatepass")

    def _flaw(self) -> bytes:
        rng, text = self.rng, self.record()
        place = rng.randint(0, len(text))
        encoded = text.encode("utf-8", "surrogatepass")
        return rng.choice(
            [
                encoded[: rng.randint(1, len(encoded))],
                (
                    text[:place]
                    + rng.choice(['"', ",", "}", "{", "\\", "x", "\0", "\x01", " ", "\r", "\t", ":"])
                    + text[place:]
                ).encode(),
                (text[:place] + text[place + 1 :]).encode(),
                encoded + encoded,
                encoded + b" " + encoded,
                encoded[:-1] + b",}",
                encoded[: len(encoded) // 2]
                + rng.choice([b"\xff", b"\xe9", b"\xed\xa0\x80"])
                + encoded[len(encoded) // 2 :],
                rng.choice(
                    [
                        b"[]",
                        b"7",
                        b"null",
                        b'"x"',
                        b"[" + encoded + b"]",
                        b"{}",
                        b"{",
                        b"true",
                        b"NaN",
                        b"\xef\xbb\xbf" + encoded,
                    ]
                ),
                DEEP,
            ]
        )

    def _huge(self) -> bytes:
        rng = self.rng
        size = rng.choice(
            [
                1 << 20,
                2 << 20,
                8 << 20,
                MAX_LINE - 40,
                MAX_LINE - 2000,
                MAX_LINE + 1000,
                MAX_LINE + (1 << 20),
                33 << 20,
            ]
        )
        text = self.record()
        return (
            text[:-1] + (self.comma if text != "{}" else "") + '"huge"' + self.colon + '"' + "h" * size + '"}'
        ).encode("utf-8", "replace")

    def document(self) -> bytes:
        rng = self.rng
        records = [self.record() for _ in range(rng.choice([0, 1, 1, 2, 10, 50]))]
        indent = rng.choice(["", "", "\n", "\r\n  ", " "])
        if len(records) == 1 and rng.random() < 0.6:
            text = records[0]
        else:
            if rng.random() < self.flaws and records:
                records[rng.randrange(len(records))] = rng.choice(
                    ["7", "null", "[]", '"x"', "{}", '[{"a": 1}]']
                )
            text = f"[{indent}" + f",{indent}".join(records) + f"{indent}]"
        content = (indent + text + indent).encode("utf-8", "surrogatepass")
        if rng.random() < self.flaws:
            content = rng.choice(
                [
                    content[: rng.randint(0, len(content))],
                    content + b"]",
                    content + content,
                    content[:-1] + b"\xff" + content[-1:],
                    b"7",
                    b"null",
                    b"",
                    b" \n",
                ]
            )
        if rng.random() < 0.01:
            content = (
                b"["
                + content
                + b' , {"huge": "'
                + b"h" * rng.choice([1 << 20, MAX_LINE - 1000, MAX_LINE + 10])
                + b'"}]'
            )
        return (BOM if rng.random() < 0.08 else b"") + content

    def record(self) -> str:
        """A record, as an object."""
        rng, tree = self.rng, {}
        columns = list(self.columns)
        if self.shuffles:
            rng.shuffle(columns)
        for column in columns:
            if rng.random() >= self.absent:
                place = tree
                for name in column.field_path[:-1]:
                    place = place.setdefault(name, {})
                place[column.field_path[-1]] = self.value(column)
        text = self.written(tree)
        if rng.random() < self.more:
            text = self._with_more(text)
        return text

    def _with_more(self, text: str) -> str:
        rng, names = self.rng, [column.field_path[0] for column in self.columns]
        name = rng.choice([*UNDECLARED, *names, *(name.upper() for name in names)])
        value = rng.choice(
            [
                *OTHERS[:14],
                "1",
                '"x"',
                '{"city": "Ulm", "city": 5}',
                json.dumps(words(rng), ensure_ascii=self.ascii),
            ]
        )
        field = f"{json.dumps(name, ensure_ascii=self.ascii)}{self.colon}{value}"
        if text == "{}":
            return "{" + field + "}"
        return (
            "{" + field + self.comma + text[1:]
            if rng.random() < 0.5
            else text[:-1] + self.comma + field + "}"
        )

    def written(self, tree: dict[str, Any]) -> str:
        fields = (
            f"{json.dumps(name, ensure_ascii=self.ascii)}{self.colon}{self.written(value) if isinstance(value, dict) else value}"
            for name, value in tree.items()
        )
        return "{" + self.comma.join(fields) + "}"

    def value(self, column: Column) -> str:
        """A value as it is written."""
        rng = self.rng
        if rng.random() < self.odd:
            return rng.choice(
                [
                    rng.choice(NUMBERS),
                    rng.choice(OTHERS),
                    json.dumps(rng.choice([*ODD_NUMBERS, *ODD_TIMES]), ensure_ascii=self.ascii),
                    "null",
                ]
            )
        if rng.random() < 0.05:
            return "null"
        text = make_text(rng, column, self.odd)
        if column.unit:
            text = str(instant(any_timestamp(rng)) // rules.UNITS[column.unit])
        as_number = (
            column.unit
            or column.type in rules.BITS
            or column.type.startswith("decimal")
            or column.type == "double"
        )
        if (
            as_number
            and rng.random() < 0.8
            and re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", text)
        ):
            return text
        if column.type == "boolean" and text.lower() in ("true", "false") and rng.random() < 0.8:
            return text.lower()
        return json.dumps(text, ensure_ascii=self.ascii)
