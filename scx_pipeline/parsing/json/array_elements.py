"""Split the text of a JSON array into the texts of its elements, exactly as they are written.

Values are not parsed: a JSON parser would change numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},]|[^\s"\[\]{},:]++', re.DOTALL)


_BRACKET = re.compile(
    r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL
)  # with all text before it


def element_texts(document: str) -> list[str]:
    """Return the texts of an array's elements; any texts, if the document is not JSON."""
    starts = list(element_starts(document))
    return [document[start:end].rstrip(" \t\r\n,") for start, end in pairwise([*starts, document.rfind("]")])]


def element_starts(document: str) -> Iterator[int]:
    """Yield the positions at which an array's elements begin; they may be nested to any depth."""
    depth, expected, position = 0, False, 0
    while match := (_TOKEN.search if depth < 2 else _BRACKET.match)(document, position):
        position = match.end()
        token = match[match.re.groups]
        if depth == 1 and expected and token not in "],":
            yield match.start()
            expected = False
        if token in "[{":
            depth += 1
            expected = expected or depth == 1
        elif token in "]}":
            depth -= 1
        elif token == "," and depth == 1:
            expected = True
