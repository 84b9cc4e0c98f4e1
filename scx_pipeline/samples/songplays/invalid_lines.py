"""What a loader must handle in a log of events: invalid lines, and duplicates.

Clean lines do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from scx_pipeline.samples.writing import Chunk, insert_lines, share

LineEdit = Callable[[str], str]


def _replace_value(field: str, value: str) -> LineEdit:
    """Return the edit that gives the field of a line another value."""
    pattern = re.compile(rf'"{field}":(?:"(?:[^"\\]|\\.)*"|[^,}}]*)')
    return lambda line: pattern.sub(lambda _: f'"{field}":{value}', line, count=1)


_KINDS: dict[str, LineEdit] = {
    "cut off": lambda line: line[: len(line) * 2 // 3],
    "an array": lambda line: f"[{line}]",
    "a bare number": lambda line: str(len(line)),
    "half a surrogate pair": _replace_value("song", '"\\ud83c"'),
    "an escaped NUL": _replace_value("song", '"a\\u0000b"'),
    "seconds for milliseconds": lambda line: re.sub(r'"ts":(\d+)\d{3}', r'"ts":\1', line),
    "a word for a timestamp": _replace_value("ts", '"noon"'),
    "an object for a song": _replace_value("song", '{"title":"Undo"}'),
    "half an item": _replace_value("itemInSession", "2.5"),
}
INVALID_KINDS = tuple(_KINDS)
_PLAY = '"page":"NextSong"'


@dataclass(frozen=True)
class InvalidLines:
    """How many invalid lines and duplicates the log has, and what distinguishes them from the clean events."""

    events: int
    bad_lines: int
    duplicates: int
    # Greater than every session of a clean event.
    next_session: int

    def share(self, amount: int, first: int, count: int) -> range:
        """Return which of the log's `amount` lines belong to these events: all blocks together have each exactly once."""
        return share(amount, self.events, first, count)


def insert_invalid_lines(lines: Any, bad: range, duplicates: int, next_session: int) -> Iterator[Chunk]:
    """Return the bytes of the lines in chunks, with this many of them twice, and an invalid line for each number in `bad`."""
    extra = [(index * len(lines) // duplicates, 0, "") for index in range(duplicates)]
    extra += [_invalid_line(lines, number, next_session) for number in bad]
    return insert_lines(
        lines, ((position, text or lines[position].as_py()) for position, _, text in sorted(extra))
    )


def _invalid_line(lines: Any, number: int, next_session: int) -> tuple[int, int, str]:
    """Return the position, the number and the text of an invalid line, derived from a play at that position.

    It has a session of its own: if it is accepted, no valid line can hide it.
    """
    place = number * 7_919 % len(lines)
    near = (place + step for step in range(min(len(lines), 1000)))
    anchor = next((at % len(lines) for at in near if _PLAY in lines[at % len(lines)].as_py()), place)
    line = lines[anchor].as_py().rstrip("\n")
    apart = _replace_value("sessionId", str(next_session + number))(line)
    return anchor, number, _KINDS[INVALID_KINDS[number % len(INVALID_KINDS)]](apart) + "\n"
