"""A second check that statements are valid in Redshift: sqlfluff's grammar of the dialect."""

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

# Matched from left to right, as each may contain the other's quote.
_NAMES_AND_LITERALS = re.compile(
    r""" ("(?:[^"]|"")*") | '(?:[^'\\]|''|\\.)*' | \b\d+(?:\.\d+)?\b | \b(?:true|false|NULL)\b """, re.VERBOSE
)
_MORE_NAMES = re.compile(r'((?:"x"\.)*"x")(?:, \1)+(?![.\w])')
_MORE_ROWS = re.compile(r"(VALUES \([^()]*\))(?:, \([^()]*\))+")
_taken: set[str] = set()  # shapes that were checked


@dataclass(frozen=True)
class Linted:
    """Two folders with a file per statement shape: those claimed by a process of this run, and those that were valid in any run."""

    taken: Path
    passed: Path

    def takes(self, shape: str) -> bool:
        """Claim a shape, and return whether this process is the first, which then checks it."""
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
    """Return the statements that sqlfluff cannot parse; of each shape, one is checked.

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
    """Return a name for everything that decides whether a statement is valid, and which shape it has."""
    return sha256(version("sqlfluff").encode() + Path(__file__).read_bytes()).hexdigest()[:12]


def _name(shape: str) -> str:
    return sha256(shape.encode()).hexdigest()


def _shape(statement: str) -> str:
    """Return the statement with all values, quoted names and list lengths normalized."""
    named = _NAMES_AND_LITERALS.sub(lambda found: '"x"' if found[1] else "'0'", statement)
    return _MORE_ROWS.sub(r"\1", _MORE_NAMES.sub(r"\1, \1", named))


@cache
def _linter() -> Linter:
    from sqlfluff.core import FluffConfig, Linter

    return Linter(config=FluffConfig(overrides={"dialect": "redshift"}))
