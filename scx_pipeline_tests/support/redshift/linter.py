"""Whether statements are Redshift's to another judge than the stand-in: sqlfluff's grammar of its dialect.
What the stand-in itself refuses is in `statements`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlfluff.core import Linter

# From left to right, as either may hold the other's quote.
_NAMES_AND_LITERALS = re.compile(
    r""" ("(?:[^"]|"")*") | '(?:[^'\\]|''|\\.)*' | \b\d+(?:\.\d+)?\b | \b(?:true|false|NULL)\b """, re.VERBOSE
)
_MORE_NAMES = re.compile(r'((?:"x"\.)*"x")(?:, \1)+(?![.\w])')
_MORE_ROWS = re.compile(r"(VALUES \([^()]*\))(?:, \([^()]*\))+")
_taken: set[str] = set()  # shapes that need no look any more


@dataclass(frozen=True)
class Linted:
    """Two folders with a file for each shape of a statement: those that a process of this run has looked at, or is about to, and
    those that were read without a fault, in this run or an earlier one."""

    taken: Path
    passed: Path

    def takes(self, shape: str) -> bool:
        """Claim a shape: whether this process is the first to look at it, as then no other one will."""
        name = _name(shape)
        if shape in _taken:
            return False
        _taken.add(shape)
        if (self.passed / name).exists():
            return False
        try:
            (self.taken / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def passes(self, shape: str) -> None:
        (self.passed / _name(shape)).touch()


def unparsable(statements: Iterable[str], together: Linted | None = None) -> list[str]:
    """Those of the statements that sqlfluff cannot read; of those of one shape, one is looked at.

    Where the processes of a run share what they look at, which takes longer than to run it, a statement that cannot be read is
    reported to the first test that sent it, and fails that.
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


def rules() -> str:
    """What decides whether a statement passes, and which are of one shape, as a name."""
    return sha256(version("sqlfluff").encode() + Path(__file__).read_bytes()).hexdigest()[:12]


def _name(shape: str) -> str:
    return sha256(shape.encode()).hexdigest()


def _shape(statement: str) -> str:
    """The statement as the grammar sees it: all values, quoted names and lengths of lists made alike."""
    named = _NAMES_AND_LITERALS.sub(lambda found: '"x"' if found[1] else "'0'", statement)
    return _MORE_ROWS.sub(r"\1", _MORE_NAMES.sub(r"\1, \1", named))


@cache
def _linter() -> Linter:
    from sqlfluff.core import FluffConfig, Linter

    return Linter(config=FluffConfig(overrides={"dialect": "redshift"}))
