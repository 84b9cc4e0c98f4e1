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
_TOTAL = re.compile(r"(?:(?:grand |sub)?total|sum|summe|saldo|gesamt|somme|totale)\b", re.IGNORECASE)
_VALUE = re.compile(r"[\[(]?[-+]?[0-9][0-9.,:/T Z+-]*[\])]?|true|false|null|-|", re.IGNORECASE)


def likely_encodings(start: bytes) -> tuple[str, ...]:
    """Return the encodings that a text with these first bytes may have, the likeliest first; the last one has no errors."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16",)
    half = len(start[:400]) // 4
    if start[1:400:2].count(0) > half:
        return ("utf-16-le",)
    if start[:400:2].count(0) > half:
        return ("utf-16-be",)
    return "utf-8", "windows-1252", "latin-1"


@dataclass(frozen=True)
class DialectGuess:
    """A dialect, the names of the values, and the share of the records that have as many values as most."""

    dialect: Dialect
    names: Sequence[str]
    share: float


@dataclass(frozen=True)
class _Reading:
    """The records of a text with one delimiter, and how many values most of them have."""

    delimiter: str
    records: Sequence[Sequence[str]]
    lines: Sequence[int]  # before each record
    width: int
    share: float  # of the records, those with this number of values


def guess_dialect(text: str, encoding: str, *, is_whole: bool) -> DialectGuess | None:
    """Return the dialect of a CSV text; None if it does not look like one.

    Args:
        text: The text, which ends with a line if it is not whole.
        encoding: Its encoding.
        is_whole: Whether it is the whole text, so that its last lines may be a footer.
    """
    lines = io.StringIO(text, newline="").readlines()
    quote = "'" if '"' not in text and re.search(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n])", text) else '"'
    escape = "\\" if f"\\{quote}" in text and f"{quote}{quote}" not in text else None
    best, comment = _best_reading(lines, quote, escape), None
    if any(line.startswith("#") for line in lines):
        others = ["\n" if line.startswith("#") else line for line in lines]
        without = _best_reading(others, quote, escape)
        if without and (best is None or without.share > best.share):
            best, comment = without, "#"
    if best is None:
        return None
    records = [record for record in best.records if len(record) == best.width]
    first = next(place for place, record in enumerate(best.records) if len(record) == best.width)
    footer = _count_footer(best) if is_whole else 0
    has_header = _is_header(records[0], records[1:50])
    dialect = Dialect(
        delimiter=best.delimiter if best.width > 1 else ",",
        quote=quote,
        escape=escape,
        encoding=encoding,
        comment=comment,
        header=has_header,
        skip_lines=best.lines[first] if first else 0,
        skip_footer=footer if footer <= MAX_FOOTER_LINES else 0,
    )
    names = [name.strip() for name in records[0]] if has_header else _numbered(best.width)
    return DialectGuess(dialect, names, best.share)


def _best_reading(lines: Sequence[str], quote: str, escape: str | None) -> _Reading | None:
    """Return the records by the likeliest delimiter."""
    readings = [_read(lines, mark, quote, escape) for mark in DELIMITERS]
    return max(
        (reading for reading in readings if reading is not None),
        key=lambda item: (item.width > 1, item.share > 0.8, item.share * min(item.width, 4)),
        default=None,
    )


def _read(lines: Sequence[str], delimiter: str, quote: str, escape: str | None) -> _Reading | None:
    reader = csv.reader(
        lines, delimiter=delimiter, quotechar=quote, doublequote=escape is None, escapechar=escape
    )
    records, starts, line = [], [], 0
    try:
        for record in reader:
            if any(record):
                records.append(record)
                starts.append(line)
            line = reader.line_num
    except csv.Error:
        return None
    if not records:
        return None
    [(width, count)] = Counter(map(len, records)).most_common(1)
    return _Reading(delimiter, records, starts, width, count / len(records))


def _count_footer(reading: _Reading) -> int:
    """Return how many records at the end have another number of values, or begin as a total does."""
    footer = 0
    for record in reversed(reading.records):
        if len(record) == reading.width and not _TOTAL.match(record[0]):
            break
        footer += 1
    return footer


def _is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Return whether a record names the others' values: none of its texts looks like a value.

    A name that is empty or occurs twice is reported when the header is read.
    """
    names = [name.strip() for name in first]
    if not any(names) or any(name and _VALUE.fullmatch(name) for name in names):
        return False
    if not others:
        return True
    looks_like_values = any(_VALUE.fullmatch(value) for record in others for value in record)
    return looks_like_values or not any(
        name in {record[place] for record in others} for place, name in enumerate(names)
    )


def _numbered(count: int) -> list[str]:
    return [f"column_{number}" for number in range(1, count + 1)]


def iterate_decoded(blocks: Iterator[bytes], encoding: str) -> Iterator[str]:
    """Yield the text of consecutive bytes. Raises UnicodeDecodeError for bytes that are not of the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for block in blocks:
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)
