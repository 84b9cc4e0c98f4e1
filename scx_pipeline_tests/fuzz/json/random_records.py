"""Random JSON records in one style: absent, duplicate, nested and unusual fields, and numbers with many digits."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from scx_pipeline.model.column import Column
from scx_pipeline_tests.fuzz import rules
from scx_pipeline_tests.fuzz.case import ODD_NUMBERS, ODD_TIMES, any_timestamp, make_text, words
from scx_pipeline_tests.fuzz.rules import instant

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


class RecordWriter:
    """Writes records of a file in one style."""

    def __init__(self, rng: Random, columns: Sequence[Column]) -> None:
        self.rng, self.columns = rng, columns
        self.odd, self.flaws = rng.choice([0, 0, 0.05, 0.4]), rng.choice([0, 0, 0.02, 0.3])
        self.comma, self.colon = rng.choice([(",", ":"), (", ", ": "), (" , ", " : "), (",\t", ":")])
        self.shuffles, self.more = rng.random() < 0.2, rng.choice([0, 0, 0.2])
        self.absent, self.ascii = rng.choice([0, 0, 0.1]), rng.random() < 0.5

    def record(self) -> str:
        """A record, as an object."""
        rng = self.rng
        tree: dict[str, Any] = {}
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
