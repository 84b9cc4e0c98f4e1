"""Guess the dialect of a CSV file from its text: encoding, delimiter, quote, header, and lines that are no records.

The forms of numbers and times are guessed column by column, elsewhere.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scx_pipeline.model.dialect import Dialect

DELIMITERS = (",", ";", "\t", "|", " ")
MAX_FOOTER_LINES = 5
_VALUE = re.compile(r"[\[(]?[-+]?[0-9][0-9.,:/T Z+-]*[\])]?|true|false|null|-|", re.IGNORECASE)


def guess_encoding(start: bytes, *, is_whole: bool) -> str:
    """Return the encoding of a text's first bytes.

    Args:
        start: The bytes.
        is_whole: Whether they are the whole text, so that its last character is complete.
    """
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start[1:400:2].count(0) > len(start[:400]) // 4:
        return "utf-16-le"
    if start[:400:2].count(0) > len(start[:400]) // 4:
        return "utf-16-be"
    for encoding in ("utf-8", "windows-1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(start, final=is_whole)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


@dataclass(frozen=True)
class _Reading:
    """The records of a text with one delimiter, and how many values most of them have."""

    delimiter: str
    records: Sequence[Sequence[str]]
    lines: Sequence[int]  # before each record

    @property
    def width(self) -> int:
        return Counter(len(record) for record in self.records).most_common(1)[0][0]

    @property
    def share(self) -> float:
        """The share of the records that have most records' number of values."""
        return sum(len(record) == self.width for record in self.records) / len(self.records)


def guess_dialect(text: str, encoding: str) -> Dialect | None:
    """Return the dialect of a whole CSV text; None if it does not look like one."""
    comment = "#" if re.search(r"^#", text, re.MULTILINE) and not re.match(r"#[^\n]*[,;\t|]", text) else None
    lines = [
        "\n" if comment and line.startswith(comment) else line for line in text.splitlines(keepends=True)
    ]
    quote = "'" if '"' not in text and re.search(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n])", text) else '"'
    escape = "\\" if quote and f"\\{quote}" in text and f"{quote}{quote}" not in text else None
    readings = [_read(lines, mark, quote, escape) for mark in DELIMITERS]
    readings = [reading for reading in readings if reading.records]
    if not readings:
        return None
    best = max(
        readings,
        key=lambda reading: (reading.width > 1, reading.share > 0.8, reading.share * min(reading.width, 4)),
    )
    places = [place for place, record in enumerate(best.records) if len(record) == best.width]
    footer = _count_footer(best.records, best.width)
    return Dialect(
        delimiter=best.delimiter if best.width > 1 else ",",
        quote=quote,
        escape=escape,
        encoding=encoding,
        comment=comment,
        header=_is_header(best.records[places[0]], [best.records[place] for place in places[1:50]]),
        skip_lines=best.lines[places[0]] if places[0] else 0,
        skip_footer=footer if footer <= MAX_FOOTER_LINES else 0,
    )


def _read(lines: Sequence[str], delimiter: str, quote: str, escape: str | None) -> _Reading:
    reader = csv.reader(
        lines, delimiter=delimiter, quotechar=quote, doublequote=escape is None, escapechar=escape
    )
    records, starts, line = [], [], 0
    try:
        for record in reader:
            if record and any(record):
                records.append(record)
                starts.append(line)
            line = reader.line_num
    except csv.Error:
        return _Reading(delimiter, [], [])
    return _Reading(delimiter, records, starts)


def _count_footer(records: Sequence[Sequence[str]], width: int) -> int:
    """Return how many records at the end have another width, or a first value unlike all others, such as a total."""
    shapes = [re.sub("[0-9]", "9", record[0]) if len(record) == width else "" for record in records]
    usual, count = Counter(shapes).most_common(1)[0]
    is_uniform = "9" in usual and count > 0.8 * len(records)
    footer = 0
    for record, shape in zip(reversed(records), reversed(shapes), strict=True):
        if len(record) == width and not (is_uniform and "9" not in shape):
            break
        footer += 1
    return footer


def _is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Return whether a record names the others' values: no value looks like one, and each has another name."""
    names = [name.strip() for name in first]
    if len(set(names)) < len(names) or any(_VALUE.fullmatch(name) for name in names):
        return False
    if not others:
        return True
    return any(
        _VALUE.fullmatch(record[place]) for record in others for place in range(len(first))
    ) or not any(name in {record[place] for record in others} for place, name in enumerate(names))


def decode(content: bytes, encoding: str) -> str:
    """Return the text of whole bytes, without a byte order mark."""
    return (
        io.TextIOWrapper(io.BytesIO(content), encoding, "replace", newline="").read().removeprefix("\ufeff")
    )


def read_names(text: str, dialect: Dialect) -> list[str]:
    """Return the names of the values: those of the header, or else numbered ones."""
    for line in _records(text, dialect):
        if dialect.header is True:
            return [name.strip() for name in line]
        return [f"column_{number}" for number in range(1, len(line) + 1)]
    return []


def _records(text: str, dialect: Dialect) -> Iterator[list[str]]:
    lines = io.StringIO(text, newline="").readlines()[dialect.skip_lines :]
    kept = [line for line in lines if not (dialect.comment and line.startswith(dialect.comment))]
    reader = csv.reader(
        kept,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=dialect.escape is None,
        escapechar=dialect.escape,
    )
    return (record for record in reader if any(record))
