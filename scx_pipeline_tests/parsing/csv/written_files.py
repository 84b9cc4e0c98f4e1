"""CSV files written in a dialect, independently of what reads them: rows, lines that are not read, and the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from scx_pipeline.model.dialect import Dialect

Row = Sequence[str | None]
LETTERS = {"utf-8": "aé日", "utf-16": "aé日", "utf-16-be": "aé日", "windows-1252": "aé€", "latin-1": "aé"}
COLUMNS = ("no", "text one", 'text "2"')

delimiters, quotes = st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(['"', "'", ""])


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    quote = draw(quotes)
    return Dialect(
        delimiter=draw(delimiters),
        quote=quote,
        escape=draw(st.sampled_from([None, "\\"])) if quote else None,
        encoding=draw(st.sampled_from(list(LETTERS))),
        header=draw(st.sampled_from([True, False, COLUMNS])) if quote else draw(st.booleans()),
        skip_lines=draw(st.integers(0, 2)),
        skip_footer=draw(st.integers(0, 2)),
        comment=draw(st.sampled_from([None, "#", "--"])),
    )


@dataclass(frozen=True)
class WrittenFile:
    """A file of a dialect: its rows, and its text."""

    dialect: Dialect
    rows: list[Row]
    text: str

    @property
    def content(self) -> bytes:
        return self.text.encode(self.dialect.encoding)


@st.composite
def written_files(draw: st.DrawFn) -> WrittenFile:
    """Files of any dialect with rows of three texts, comments, blank lines, and lines to be skipped before and after."""
    dialect, newline = draw(dialects()), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    marks = [dialect.delimiter, "#", "-", " ", "\\", ",", '"', "'", *LETTERS[dialect.encoding]]
    within = [*marks, "\n", "\r\n", newline + "#", newline + "--"]
    junk = st.text(st.sampled_from([*LETTERS[dialect.encoding], '"', ",", ";"]), min_size=1, max_size=5)
    lines = [draw(junk) for _ in range(dialect.skip_lines)]
    comments = st.sampled_from(["", *([dialect.comment + "'\" it's; x"] if dialect.comment else [])])
    if dialect.header is True:
        lines += [draw(comments)] if dialect.comment else []
        lines.append(
            dialect.delimiter.join(_quoted(name, dialect) if dialect.quote else name for name in COLUMNS)
        )
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 6))):
        row = [draw(_values(dialect, marks, within)) for _ in COLUMNS]
        lines.append(dialect.delimiter.join(draw(_written(value, dialect)) for value in row))
        rows.append(row)
        if draw(st.booleans()):
            lines.append(draw(comments))
    lines += [draw(junk) for _ in range(dialect.skip_footer)]
    end = newline if draw(st.booleans()) else ""
    return WrittenFile(dialect, rows, newline.join(lines) + end)


def _values(dialect: Dialect, marks: Sequence[str], within: Sequence[str]) -> st.SearchStrategy[str | None]:
    letters = within if dialect.quote else [mark for mark in marks if mark != dialect.delimiter]
    texts = st.lists(st.sampled_from(letters), max_size=5).map("".join)
    return st.none() | (texts if dialect.quote else texts.map(lambda text: f"x{text}"))


@st.composite
def _written(draw: st.DrawFn, value: str | None, dialect: Dialect) -> str:
    if value is None:
        return ""
    if not dialect.quote:
        return value
    plain = value and not value.startswith((dialect.quote, dialect.comment or dialect.quote))
    plain = plain and not {dialect.delimiter, "\r", "\n"} & set(value)
    return value if plain and draw(st.booleans()) else _quoted(value, dialect)


def _quoted(value: str, dialect: Dialect) -> str:
    if dialect.escape:
        value = value.replace(dialect.escape, dialect.escape * 2)
    inner = value.replace(dialect.quote, (dialect.escape or dialect.quote) + dialect.quote)
    return f"{dialect.quote}{inner}{dialect.quote}"
