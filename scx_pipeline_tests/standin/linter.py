"""Whether statements are Redshift's to another judge than the stand-in: sqlfluff's grammar of its dialect.
What the stand-in itself refuses is in `statements`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlfluff.core import Linter

_LITERALS = re.compile(r"'(?:[^'\\]|''|\\.)*'|\b\d+(?:\.\d+)?\b|\b(?:true|false|NULL)\b")
_MORE_ROWS = re.compile(r"(VALUES \([^()]*\))(?:, \([^()]*\))+")
_known: set[str] = set()  # statements that were found well, without their values


def unparsable(statements: Iterable[str], together: Path | None = None) -> list[str]:
    """Those of the statements that sqlfluff cannot read; of some that differ in their values only, one is looked at.

    In the folder, if one is given, the processes of a run of the tests tell each other what was found well: to look at
    a statement takes longer than to run it.
    """
    found = []
    for statement in statements:
        shape = _MORE_ROWS.sub(r"\1", _LITERALS.sub("'0'", statement))
        told = together / sha256(shape.encode()).hexdigest() if together else None
        if shape in _known or (told and told.exists()):
            continue
        parsed = _linter().parse_string(f"{statement.rstrip(';')};\n")
        if parsed.violations:
            found.append(f"{parsed.violations[0]}: {statement}")
        else:
            _known.add(shape)
            if told:
                told.touch()
    return found


@cache
def _linter() -> Linter:
    from sqlfluff.core import FluffConfig, Linter

    return Linter(config=FluffConfig(overrides={"dialect": "redshift"}))
