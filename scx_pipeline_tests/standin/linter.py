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

_NAMES = re.compile(r'"(?:[^"]|"")*"')
_LITERALS = re.compile(r"'(?:[^'\\]|''|\\.)*'|\b\d+(?:\.\d+)?\b|\b(?:true|false|NULL)\b")
_MORE_NAMES = re.compile(r'((?:"x"\.)*"x")(?:, \1)+(?![.\w])')
_MORE_ROWS = re.compile(r"(VALUES \([^()]*\))(?:, \([^()]*\))+")
_taken: set[str] = set()  # statements that were looked at, without their values


def unparsable(statements: Iterable[str], together: Path | None = None) -> list[str]:
    """Those of the statements that sqlfluff cannot read; of some that differ in their values and quoted names only, one is looked at.

    In the folder, if one is given, the processes of a run of the tests tell each other what they look at: that takes
    longer than to run it. A statement that cannot be read is then told to the first test that sent it, and fails that.
    """
    found = []
    for statement in statements:
        shape = _shape(statement)
        if together is None or _takes(shape, together):
            parsed = _linter().parse_string(f"{statement.rstrip(';')};\n")
            if parsed.violations:
                found.append(f"{parsed.violations[0]}: {statement}")
    return found


def _shape(statement: str) -> str:
    """What the grammar sees of a statement: its values, its quoted names and the length of its lists are all the same."""
    named = _NAMES.sub('"x"', _LITERALS.sub("'0'", statement))
    return _MORE_ROWS.sub(r"\1", _MORE_NAMES.sub(r"\1, \1", named))


def _takes(shape: str, together: Path) -> bool:
    """Whether nobody else looked at a statement of this shape, or is about to: now nobody else will."""
    if shape in _taken:
        return False
    _taken.add(shape)
    try:
        (together / sha256(shape.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@cache
def _linter() -> Linter:
    from sqlfluff.core import FluffConfig, Linter

    return Linter(config=FluffConfig(overrides={"dialect": "redshift"}))
