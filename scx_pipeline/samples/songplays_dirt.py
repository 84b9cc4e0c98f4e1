"""Dirt in a log of events: lines that no loader may accept, and events that are written twice.
What a clean line looks like is in `songplays_events`."""

from __future__ import annotations

import re
from collections.abc import Callable
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
    "seconds for milliseconds": lambda line: re.sub(r'"ts":(\d{10})\d{3}', r'"ts":\1', line),
    "a word for a moment": _with("ts", '"noon"'),
    "an object for a song": _with("song", '{"title":"Undo"}'),
    "half an item": _with("itemInSession", "2.5"),
}
BAD_KINDS = tuple(_KINDS)


def soil(lines: Any, bad: range, doubled: int) -> list[bytes]:
    """The lines of a day as pieces of its file: with so many of them twice, and a bad line for each number of `bad`."""
    count = len(lines)
    if not count:
        return []
    if not bad and not doubled:
        return [_bytes(lines)]
    texts: list[str] = lines.to_pylist()
    extra = [(index * count // doubled, texts[index * count // doubled]) for index in range(doubled)]
    for number in bad:
        place = number * 7_919 % count
        spoilt = _KINDS[BAD_KINDS[number % len(BAD_KINDS)]](texts[place].rstrip("\n"))
        extra.append((place, f"{spoilt}\n"))
    for place, text in sorted(extra, key=lambda item: item[0], reverse=True):
        texts.insert(place, text)
    return ["".join(texts).encode()]


def _bytes(lines: Any) -> bytes:
    """An Arrow array of texts as the bytes that lie one after another in it."""
    _, offsets, data = lines.buffers()
    import numpy as np

    bounds = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(data)[int(bounds[0]) : int(bounds[-1])])
