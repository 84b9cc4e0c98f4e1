"""Turn the names of fields into names that are valid on every engine.

Which names a declaration may use is decided by the model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from scx_pipeline.model.reserved_names import RESERVED_COLUMNS, RESERVED_PREFIX, SYSTEM_COLUMNS

_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l"}
)


def to_identifier(name: str) -> str:
    """Return a name that is valid on every engine: userId → user_id, Betrag in EUR → betrag_in_eur."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", spaced).encode("ascii", "ignore").decode()
    text = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50]
    if not re.match(r"[a-z]", text):
        text = f"c_{text}".rstrip("_")
    taken = text in {*RESERVED_COLUMNS, *SYSTEM_COLUMNS} or text.startswith(RESERVED_PREFIX)
    return f"{text}_value" if taken else text


def unique_identifiers(names: Iterable[str]) -> list[str]:
    """Return an identifier for each name, with a number where two would be the same."""
    found: list[str] = []
    for name in names:
        base = to_identifier(name)
        candidate, number = base, 1
        while candidate in found:
            number += 1
            candidate = f"{base}_{number}"
        found.append(candidate)
    return found
