"""What a CSV file must give: its records, cut by a pattern of our own, with the values that the rules allow.

Every file is also cut by Python's csv, and the test fails where the two differ.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline_tests.fuzz import rules
from scx_pipeline_tests.fuzz.outcome import REJECT, REJECTED, SKIPPED, Expected, Months, outcomes_of

MAX_RECORD = 4 << 20
SLACK = 8  # bytes about a limit in which either is right: line ends may count or not
BOM = b"\xef\xbb\xbf"
_QUOTED = re.compile('"([^"]*+(?:""[^"]*+)*+)"')
_PLAIN = re.compile(r"[^,\r\n]*")
_LED = re.compile(' +"')
_END = re.compile(r"\r\n|\r|\n|\Z")
_LINE = re.compile(r"\r\n|\r|\n")
SURROGATE = re.compile("[\udc80-\udcff]")


@dataclass
class Record:
    """A record as it is cut: its values, which of them are quoted, its flaw if any, and where it is."""

    values: list[str]
    quoted: list[bool]
    flaw: str = ""  # "unclosed"; "after": text after a closing quote; "spaces" after one; "lead": spaces before a quote; "hard": a flaw whose extent is open
    start: int = 0
    end: int = 0
    newline: str = ""


def records(text: str) -> Iterator[Record]:
    """Cut a text into records; blank lines are none, so they have no values."""
    position = 0
    while position < len(text):
        record = Record([], [], start=position)
        while True:
            position = _value(text, position, record)
            if text[position : position + 1] != ",":
                break
            position += 1
        end = _END.match(text, position)
        assert end is not None
        record.end, record.newline = position, end[0]
        if record.values == [""] and not record.quoted[0] and record.end == record.start:
            record.values = []
        position = end.end()
        yield record


def _value(text: str, position: int, record: Record) -> int:
    """Take one value; the position after it."""
    if text[position : position + 1] != '"':
        end = _PLAIN.match(text, position)
        assert end is not None
        record.values.append(end[0])
        record.quoted.append(False)
        if _LED.match(end[0]):
            record.flaw = record.flaw or "lead"
        return end.end()
    match = _QUOTED.match(text, position)
    if not match:
        record.values.append(text[position + 1 :].replace('""', '"'))
        record.quoted.append(True)
        record.flaw = "unclosed"
        return len(text)
    rest = _PLAIN.match(text, match.end())
    assert rest is not None
    record.values.append(match[1].replace('""', '"') + rest[0])
    record.quoted.append(True)
    if rest[0]:
        bare = not rest[0].strip(" ")
        record.flaw = record.flaw or ("spaces" if bare else "after")
        if '"' in rest[0] or _LINE.search(text, record.start, rest.end()):
            record.flaw = "hard"
    return rest.end()


def assert_agrees_with_csv_module(text: str, cut: Sequence[Record]) -> None:
    """Fail unless Python's csv module splits the text into the same records."""
    limit = csv.field_size_limit(1 << 30)
    theirs = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    csv.field_size_limit(limit)
    ours = [record.values for record in cut if record.values]
    if ours and any(record.flaw == "unclosed" for record in cut):
        assert theirs[:-1] == ours[:-1]
        return
    assert theirs == ours, "the test's own reading differs from Python's csv"


def expect(content: bytes, table: Table, source: Source, months: Months | None) -> Expected:
    """What a plain CSV file must give."""
    expected = Expected()
    text = content.removeprefix(BOM).decode("utf-8", "surrogateescape")
    if not text.strip():
        return expected
    cut = list(records(text))
    assert_agrees_with_csv_module(text, cut)
    header = cut[0]
    names = [name.strip() for name in header.values]
    _check_header(header, names, table, expected)
    if expected.refusal == "must":
        return expected
    _Body(text, names, table, source, months, expected).read(cut[1:])
    if len({record.newline for record in cut if record.newline}) > 1:
        expected.refuse("may", "mixed line ends")
    return expected


def _check_header(header: Record, names: Sequence[str], table: Table, expected: Expected) -> None:
    if not header.values or (not header.values[0].strip() and len(header.values) == 1):
        expected.refuse("must", "the first line is blank")
        return
    if header.flaw or any("\n" in name or "\r" in name for name in names):
        expected.refuse("may", "an odd header")
    if header.flaw in ("unclosed", "hard", "after"):
        expected.refuse("must", "a header with a stray quote")
    if SURROGATE.search("".join(names)) or "\0" in "".join(names):
        expected.refuse("must", "a header that is not UTF-8")
    if "" in names or len(set(names)) < len(names) or not set(table.column_names) <= set(names):
        expected.refuse("must", f"header {names}"[:200])
    elif len({name.lower() for name in names}) < len(names):
        expected.refuse("may", "names that differ in case only")


def _bare(value: str) -> str:
    """The value as a reader takes it that reads over spaces about quotes."""
    led = re.fullmatch(' +"([^"]*)" *', value)
    return led[1] if led else value.rstrip(" ")


class _Body:
    """The records after the header."""

    def __init__(
        self,
        text: str,
        names: Sequence[str],
        table: Table,
        source: Source,
        months: Months | None,
        expected: Expected,
    ) -> None:
        self.text, self.names, self.table, self.source = text, names, table, source
        self.months, self.expected = months, expected
        self.invalid, self.nul = (
            SURROGATE.search(text) is not None,
            "\0" in text,
        )  # looked for once, as most have none
        self.places = [names.index(column.name) for column in table.columns]

    def read(self, cut: Sequence[Record]) -> None:
        """Add every record."""
        line, counted = 1, 0
        for record in cut:
            if not record.values:
                continue
            outcomes = self._outcomes(record)
            if {*outcomes} == {REJECTED}:
                line += len(_LINE.findall(self.text, counted, record.start))
                counted = record.start
            self.expected.add(outcomes, line)

    def _outcomes(self, record: Record) -> list[tuple[str, tuple[object, ...]]]:
        self._check_size(record)
        if record.flaw == "unclosed":
            # In the last line it takes no other record with it, so that rejecting the record is right as well.
            last = not _LINE.search(self.text[record.start :].rstrip("\r\n"))
            self.expected.refuse("may" if last else "must", "a quote that is never closed")
            return [REJECTED]
        wrong_number = len(record.values) != len(self.names)
        raw = self.text[record.start : record.end]
        if self.invalid and SURROGATE.search(raw):
            at = [
                place
                for place in self.places
                if place < len(record.values) and SURROGATE.search(record.values[place])
            ]
            sure = at and not wrong_number and not record.flaw
            self.expected.refuse("must" if sure else "may", "bytes that are not UTF-8")
        if record.flaw == "hard":
            self.expected.refuse("may", "text after a closing quote, and more quotes or lines")
            return [REJECTED]
        if wrong_number or record.flaw == "after":
            blank = not raw.strip(" \t")
            return [REJECTED, SKIPPED] if blank else [REJECTED]
        found = outcomes_of(
            [
                self._cell(record, place, column)
                for place, column in zip(self.places, self.table.columns, strict=True)
            ],
            self.months,
        )
        if record.flaw in ("spaces", "lead"):
            self.expected.refuse("may", "spaces about a quoted value")
            trimmed = Record([_bare(value) for value in record.values], record.quoted)
            found += outcomes_of(
                [
                    self._cell(trimmed, place, column)
                    for place, column in zip(self.places, self.table.columns, strict=True)
                ],
                self.months,
            )
            return [*found, REJECTED]
        return [*found, REJECTED] if self.nul and "\0" in raw else found

    def _check_size(self, record: Record) -> None:
        if record.end - record.start > MAX_RECORD // 4:
            size = len(self.text[record.start : record.end].encode("utf-8", "surrogateescape"))
            if size > MAX_RECORD + SLACK:
                self.expected.refuse("must", f"a record of {size} bytes")
            elif size > MAX_RECORD - SLACK:
                self.expected.refuse("may", f"a record of {size} bytes")

    def _cell(self, record: Record, place: int, column: Column) -> rules.Cell:
        text, quoted = record.values[place], record.quoted[place]
        null: rules.Cell = (None,) if column.nullable else rules.NO
        if text in self.source.null_values or (not text and not quoted):
            return null
        if not text and column.max_bytes is None:
            return (REJECT, *null)  # a quoted "" in a column of numbers
        return rules.of_text(column.type, column.unit, text)
