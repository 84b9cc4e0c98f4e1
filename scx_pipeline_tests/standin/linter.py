"""Whether statements are Redshift's to another judge than the stand-in: sqlfluff's grammar of its dialect.
What the stand-in itself refuses is in `statements`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Linted:
    """Two folders with a file for each shape of a statement: those that a process of this run has looked at, or is about to, and
    those that were read without a fault, in this run or an earlier one."""

    taken: Path
    passed: Path

    def takes(self, shape: str) -> bool:
        """Whether nobody else looked at a statement of this shape: now nobody else will."""
        name = _name(shape)
        if shape in _taken or (self.passed / name).exists():
            return False
        _taken.add(shape)
        try:
            (self.taken / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def passes(self, shape: str) -> None:
        (self.passed / _name(shape)).touch()


def unparsable(statements: Iterable[str], together: Linted | None = None) -> list[str]:
    """Those of the statements that sqlfluff cannot read; of some that differ in their values and quoted names only, one is looked at.

    Where the processes of a run tell each other what they look at, which takes longer than to run it, a statement that cannot be
    read is told to the first test that sent it, and fails that.
    """
    found = []
    for statement in statements:
        shape = _shape(statement)
        if together is None or together.takes(shape):
            parsed = _linter().parse_string(f"{statement.rstrip(';')};\n")
            if parsed.violations:
                found.append(f"{parsed.violations[0]}: {statement}")
            elif together is not None:
                together.passes(shape)
    return found


def _name(shape: str) -> str:
    return sha256(shape.encode()).hexdigest()


def _shape(statement: str) -> str:
    """What the grammar sees of a statement: its values, its quoted names and the length of its lists are all the same."""
    named = _NAMES.sub('"x"', _LITERALS.sub("'0'", statement))
    return _MORE_ROWS.sub(r"\1", _MORE_NAMES.sub(r"\1, \1", named))


@cache
def _linter() -> Linter:
    from sqlfluff.core import FluffConfig, Linter

    return Linter(config=FluffConfig(overrides={"dialect": "redshift"}))
