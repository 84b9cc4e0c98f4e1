"""Random CSV files: quotes, line ends, unusual names, runs of bad rows, and lengths around buffers.

What a file must give is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.column import Column
from scx_pipeline_tests.fuzz.case import (
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
from scx_pipeline_tests.fuzz.csv.expected_csv import BOM, MAX_RECORD, expect

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


class _CsvWriter:
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
    writer = _CsvWriter(rng, header, columns)
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


def _long(rng: Random, writer: _CsvWriter) -> str:
    """A record of a length about a limit, good or bad."""
    size = rng.choice(SIZES) + rng.randint(-3, 3)
    values = writer.values()
    place = rng.randrange(len(values))
    values[place] = rng.choice(
        ["x" * size, '"' + 'y"",' * (size // 4) + '"', '"' + ("z" * 99 + writer.inner) * (size // 100) + '"']
    )
    return ",".join(values[: len(values) - rng.choice([0, 0, 0, 1])]) + writer.newline


def _broken(rng: Random, text: str, writer: _CsvWriter) -> bytes:
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
    writer = _CsvWriter(rng, header, columns)
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


def _filled(rng: Random, writer: _CsvWriter, lines: bool = False) -> str:
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


def _special(rng: Random, writer: _CsvWriter, kind: str) -> str:
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
