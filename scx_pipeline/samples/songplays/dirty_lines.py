"""Dirt in a log of events: lines that no loader may accept, and events that are written twice.
What a clean line looks like is in `songplays_events`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Spoil = Callable[[str], str]


def _with(field: str, value: str) -> Spoil:
    """A line in which the field has another value."""
    pattern = re.compile(rf'"{field}":(?:"(?:[^"\\]|\\.)*"|[^,}}]*)')
    return lambda line: pattern.sub(lambda _: f'"{field}":{value}', line, count=1)


_KINDS: dict[str, Spoil] = {
    "cut off": lambda line: line[: len(line) * 2 // 3],
    "an array": lambda line: f"[{line}]",
    "a bare number": lambda line: str(len(line)),
    "half a surrogate pair": _with("song", '"\\ud83c"'),
    "an escaped NUL": _with("song", '"a\\u0000b"'),
    "seconds for milliseconds": lambda line: re.sub(r'"ts":(\d+)\d{3}', r'"ts":\1', line),
    "a word for a moment": _with("ts", '"noon"'),
    "an object for a song": _with("song", '{"title":"Undo"}'),
    "half an item": _with("itemInSession", "2.5"),
}
BAD_KINDS = tuple(_KINDS)
_PLAY = '"page":"NextSong"'


@dataclass(frozen=True)
class Dirt:
    """How much dirt the whole log gets, and what keeps it apart from the clean events."""

    events: int
    bad_lines: int
    duplicates: int
    next_session: int  # above every clean one

    def share(self, amount: int, first: int, count: int) -> range:
        """Which of the log's `amount` pieces belong to these events: blocks together get each exactly once."""
        return range(amount * first // self.events, amount * (first + count) // self.events)


def soil(lines: Any, bad: range, doubled: int, next_session: int) -> Iterator[memoryview]:
    """The bytes of some lines, in pieces: with so many of them twice, and a bad line for each number of `bad`."""
    import numpy as np

    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
    whole = memoryview(lines.buffers()[2]).cast("B")
    extra = [(index * len(lines) // doubled, 0, "") for index in range(doubled)]
    extra += [_bad_line(lines, number, next_session) for number in bad]
    begin = int(offsets[0])
    for place, _, text in sorted(extra):
        end = int(offsets[place])
        yield whole[begin:end]
        yield memoryview(text.encode()) if text else whole[end : int(offsets[place + 1])]
        begin = end
    yield whole[begin : int(offsets[-1])]


def _bad_line(lines: Any, number: int, next_session: int) -> tuple[int, int, str]:
    """Where it belongs, its number, and a line made of a play there, under a session of its own: once accepted, it
    cannot hide behind a good one."""
    place = number * 7_919 % len(lines)
    near = (place + step for step in range(min(len(lines), 1000)))
    anchor = next((at % len(lines) for at in near if _PLAY in lines[at % len(lines)].as_py()), place)
    line = lines[anchor].as_py().rstrip("\n")
    apart = _with("sessionId", str(next_session + number))(line)
    return anchor, number, _KINDS[BAD_KINDS[number % len(BAD_KINDS)]](apart) + "\n"
