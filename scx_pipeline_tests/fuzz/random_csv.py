"""Random CSV files and what they must give: quotes, line ends, unusual names, runs of bad rows, lengths around buffers.

Records are split by a pattern of our own, which is compared with Python's csv for every file; values are typed by the rules.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline_tests.fuzz import rules
from scx_pipeline_tests.fuzz.case import (  # fmt: skip
    MONTHS,
    Case,
    File,
    good_text,
    make_columns,
    make_source,
    make_table,
    make_text,
    months_of,
    pack,
    with_event,
    words,
)
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


# ------------------------------------------------------------------ what a file holds


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


def held_against_csv(text: str, cut: Sequence[Record]) -> None:
    """Fail where Python's csv cuts the text otherwise."""
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
    held_against_csv(text, cut)
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


# ------------------------------------------------------------------ random files

UNDECLARED = (
    "file_index", "file_row_number", "filename", "number", "rowid", "X", "größe", "a b", 'q"q', "_object", "comma,name", "id text", "the number",
    "column0", "line", "csv_line", "select", "Note", "ID", "x text", "v count", "_n", "rejects", " spaced ",
)  # fmt: skip
BUFFERS = (1 << 24, 1 << 25, 3 << 24, 1 << 26, 32_000_000, 8 << 20)
SIZES = (64 << 10, 10_000, 32 << 10, 2048, 1 << 18)


def create_case(rng: Random) -> Case:
    """A random case of CSV files."""
    columns, event = with_event(rng, make_columns(rng, rng.choice([1, 2, 3, 4, 6, 8])))
    source = make_source("csv", rng.choice([(), (), ("",), ("NULL",), ("", "-", "\\N")]), event)
    table = make_table(columns, event)
    months = months_of(table)
    suffix = rng.choice(["", "", "", ".gz", ".zst"])
    big = rng.random() < 0.05
    files, shared = [], _header(rng, columns)
    for number in range(1 if big else rng.choice([1, 1, 2, 3])):
        header = shared if rng.random() < 0.7 else _header(rng, columns)
        plain = (_big if big else _small)(rng, header, columns)
        # A big file must be plain or quick to pack: gzip at level 1.
        own = suffix if rng.random() < 0.8 else ""
        files.append(File(f"in/{number}.csv{own}", pack(plain, own), expect(plain, table, source, months)))
    return Case(source, table, MONTHS if event else UNPARTITIONED, files, rng.choice([1, 2, 2, 4]))


def _header(rng: Random, columns: Sequence[Column]) -> list[str]:
    names = [column.name for column in columns]
    names += [name for name in rng.sample(UNDECLARED, rng.choice([0, 0, 0, 1, 2, 4])) if name not in names]
    rng.shuffle(names)
    chance = rng.random()
    if chance < 0.02:
        names.remove(rng.choice(columns).name)
    elif chance < 0.04:
        names.append(rng.choice(names))
    elif chance < 0.07:
        names.append(rng.choice(names).upper())
    elif chance < 0.08:
        names.append("")
    elif chance < 0.10:
        names += [f"wide_{'w' * 40}_{number}" for number in range(rng.choice([1300, 1310, 1400, 2000]))]
    return names or ["other"]


class _Writer:
    """Writes records of a header, in a style of quotes and line ends."""

    def __init__(self, rng: Random, header: Sequence[str], columns: Sequence[Column]) -> None:
        self.rng, self.header = rng, header
        self.columns = {column.name: column for column in columns}
        self.newline = rng.choice(["\n", "\n", "\r\n", "\r"])
        self.quote_all, self.odd = rng.random() < 0.2, rng.choice([0, 0.02, 0.1, 0.5])
        self.inner = rng.choice([self.newline, "\n", "\r\n", "\r"])

    def head(self) -> str:
        return ",".join(self.put(name, "") for name in self.header) + self.newline

    def put(self, text: str, null: str) -> str:
        """A value as it is written; a stray quote inside may be left as it is."""
        must = any(mark in text for mark in ",\r\n") or text.startswith('"')
        if must or self.quote_all or (text and self.rng.random() < 0.05):
            return '"' + text.replace('"', '""') + '"'
        if '"' in text and self.rng.random() < 0.5:
            return '"' + text.replace('"', '""') + '"'
        return text or null

    def values(self) -> list[str]:
        return [self.value(name) for name in self.header]

    def value(self, name: str) -> str:
        column, rng = self.columns.get(name), self.rng
        if len(self.header) > 1 and rng.random() < 0.05:
            return rng.choice(["", "", '""'])
        if column is None:
            return self.put(words(rng, 2) if rng.random() < 0.9 else self.rows_inside(), '""')
        if column.max_bytes is not None and column.max_bytes > 100 and rng.random() < 0.15:
            return self.put(self.rows_inside(), '""')
        return self.put(make_text(rng, column, self.odd), '""')

    def rows_inside(self, most: int = 4) -> str:
        """A text of several lines that look like rows."""
        rng = self.rng
        lines = [
            ",".join(
                good_text(rng, self.columns[name]).replace('"', "") if name in self.columns else "x"
                for name in self.header[:30]
            )
            for _ in range(rng.randint(1, most))
        ]
        return self.inner.join([*lines, rng.choice(["", '"', 'a"b', ""])])

    def row(self) -> str:
        return ",".join(self.values()) + self.newline

    def bad(self) -> str:
        """A record with a flaw, or a line that is none."""
        rng, parts, end = self.rng, self.values(), self.newline
        kind = rng.choice(
            ["short", "short", "long", "more", "stray", "after", "blank", "blank", "spaces", "two", "nul"]
        )
        if kind == "short":
            parts = parts[: rng.randint(0, max(0, len(parts) - 1))] or ["x" * rng.randint(0, 3)]
        elif kind == "long":
            parts += [self.put(words(rng, 1), "")] * rng.randint(1, 3)
        elif kind == "more":
            parts += [""] * rng.randint(1, 2)
        elif kind == "stray":
            parts[rng.randrange(len(parts))] = rng.choice(
                ['5" disk', 'a"b"c', 'a""b', 'x"', ' "quoted"', 'a"']
            )
        elif kind == "after":
            parts[rng.randrange(len(parts))] = rng.choice(
                ['"ab"c', '"ab" ', '"a"b"c"', '""x', '"a" "b"', '"x"y']
            )
        elif kind == "nul":
            parts[rng.randrange(len(parts))] = rng.choice(["\0", "a\0b"])
        elif kind == "two":
            return "".join(rng.choice(["", "x"]) + "," * rng.randint(0, 3) + end for _ in range(2))
        else:
            return {"blank": end, "spaces": " " * rng.randint(1, 3) + end}[kind]
        return ",".join(parts) + end


def _small(rng: Random, header: Sequence[str], columns: Sequence[Column]) -> bytes:
    writer = _Writer(rng, header, columns)
    share = rng.choice([0, 0, 0.03, 0.3, 1])
    parts = [writer.head()]
    wide = len(header) > 100
    for _ in range(rng.choice([0, 1, 3]) if wide else rng.choice([0, 1, 5, 30, 30, 200])):
        if rng.random() < share:
            parts += [writer.bad() for _ in range(rng.choice([1, 1, 3, 20]))]
        else:
            parts.append(writer.row())
        if not wide and rng.random() < 0.01:
            parts.append(_long(rng, writer))
    return _broken(rng, "".join(parts), writer)


def _long(rng: Random, writer: _Writer) -> str:
    """A record of a length about a limit, good or bad."""
    size = rng.choice(SIZES) + rng.randint(-3, 3)
    values = writer.values()
    place = rng.randrange(len(values))
    values[place] = rng.choice(
        ["x" * size, '"' + 'y"",' * (size // 4) + '"', '"' + ("z" * 99 + writer.inner) * (size // 100) + '"']
    )
    return ",".join(values[: len(values) - rng.choice([0, 0, 0, 1])]) + writer.newline


def _broken(rng: Random, text: str, writer: _Writer) -> bytes:
    """The text's bytes, at times with a flaw of the entire file."""
    chance = rng.random()
    if chance < 0.15:
        text = text.removesuffix(writer.newline)
    elif chance < 0.17:
        place = rng.randint(0, len(text))
        text = text[:place] + '"' + text[place:]
    elif chance < 0.19:
        text += rng.choice(['"open', ',"open', '1,2,"open' + writer.newline + "x,y" + writer.newline])
    elif chance < 0.21:
        text = text.replace(writer.newline, rng.choice(["\n", "\r\n", "\r"]), rng.randint(1, 3))
    elif chance < 0.23:
        text += writer.newline * rng.randint(1, 3)
    content = text.encode("utf-8", "surrogateescape")
    if rng.random() < 0.02 and content:
        place = rng.randrange(len(content))
        content = content[:place] + rng.choice([b"\xff", b"\xc3", b"\xe9", b"\xed\xa0\x80"]) + content[place:]
    if rng.random() < 0.01:
        content = text.encode("utf-16", "ignore")
    return (BOM if rng.random() < 0.1 else b"") + content


def _big(rng: Random, header: Sequence[str], columns: Sequence[Column]) -> bytes:
    """A file with something at a buffer's end: a run of bad rows, quoted lines, a long record, a quote that stays open."""
    header = (
        header[:12]
        if set(header[:12]) >= {column.name for column in columns}
        else [column.name for column in columns]
    )
    header = [*header, "filler"]
    writer = _Writer(rng, header, columns)
    writer.odd = 0
    pool = [_filled(rng, writer) for _ in range(50)]
    special = rng.choice(["bad", "bad", "inner", "inner", "long", "open", "giant", "late", "stray"])
    if special == "inner":
        pool = [row if rng.random() < 0.5 else _filled(rng, writer, lines=True) for row in pool]
    # The special part begins at, or a little before, a buffer's end.
    target = rng.choice(BUFFERS[:3] if rng.random() < 0.8 else BUFFERS) - rng.choice(
        [0, 1, 2, -1, rng.randint(0, 400)]
    )
    block = "".join(pool)
    body = [writer.head(), block * (target // len(block.encode()))]
    row = _filled(rng, writer)
    left = target - sum(len(part.encode()) for part in body) - len(row.encode())
    body.append(row.removesuffix(writer.newline) + "p" * max(0, left) + writer.newline)
    return ("".join(body) + _special(rng, writer, special) + block * rng.choice([1, 40, 200])).encode()


def _filled(rng: Random, writer: _Writer, lines: bool = False) -> str:
    """A good row of a few hundred bytes, so that a file of many megabytes has not too many."""
    values = [
        good_text(rng, writer.columns[name]).replace('"', "").replace(",", "")
        if name in writer.columns
        else "u"
        for name in writer.header[:-1]
    ]
    long = rng.randint(300, 2000)
    if lines:
        line = ",".join(values) + ",f" + writer.newline
        return (
            ",".join(values) + ',"' + (line * (long // len(line) + 1)).replace('"', "") + '"' + writer.newline
        )
    return ",".join(values) + "," + "f" * long + writer.newline


def _special(rng: Random, writer: _Writer, kind: str) -> str:
    if kind == "bad":
        row = _filled(rng, writer)
        return "".join(row.rsplit(",", 1)[0] + writer.newline for _ in range(rng.choice([1, 6, 60])))
    if kind == "inner":
        return "".join(_filled(rng, writer, lines=True) for _ in range(rng.choice([1, 5, 500])))
    if kind == "open":
        return _filled(rng, writer).rsplit(",", 1)[0] + ',"open' + writer.newline
    if kind == "stray":
        return "".join(
            _filled(rng, writer).rsplit(",", 1)[0]
            + rng.choice([',5" disk', ',"a"b', ',"a" '])
            + writer.newline
            for _ in range(3)
        )
    if kind in ("long", "giant"):
        size = (
            MAX_RECORD + rng.choice([-100, -4, 0, 4, 100, 1 << 20])
            if kind == "long"
            else rng.choice([17, 33, 65]) << 20
        )
        row = _filled(rng, writer)
        left = row.rsplit(",", 1)[0] + ","
        return left + "g" * max(1, size - len(left.encode())) + writer.newline
    return ""
