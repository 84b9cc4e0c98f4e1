"""A SQL file of a star: its text and its one SELECT, parsed in Redshift's dialect.

What the SELECT may contain does not belong here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scx_pipeline.errors import DeclarationError

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

AUTHORED_DIALECT = "redshift"


@dataclass(frozen=True)
class SqlFile:
    """A SQL file of a star: its path and its text."""

    path: Path
    text: str

    def at_line(self, number: int) -> str:
        """Return the path and a line number, for errors."""
        return f"{self.path}, line {number}"


def read_sql_file(path: Path) -> SqlFile:
    """Read a SQL file. Raises DeclarationError if it is missing or not UTF-8."""
    try:
        return SqlFile(path, path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise DeclarationError(f"{path}: not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise DeclarationError(
            f"{path}: cannot be read ({error.strerror}); every derived table and query needs its SQL file"
        ) from None


def parse_select(file: SqlFile) -> exp.Query:
    """Parse the file's SELECT. Raises DeclarationError, with the line of a syntax error, if it is not a single SELECT."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [item for item in sqlglot.parse(file.text, read=AUTHORED_DIALECT) if item is not None]
    except SqlglotError as error:
        line, message = _locate_syntax_error(error, file.text)
        raise DeclarationError(f"{file.at_line(line)}: {message}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise DeclarationError(f"{file.path}: must contain exactly one SELECT and nothing else")
    return statements[0]


def _locate_syntax_error(error: SqlglotError, text: str) -> tuple[int, str]:
    """Return the line and the description of a syntax error."""
    details = getattr(error, "errors", None)
    if details:
        description = re.sub(r"<Token .*?text: (.*?), line.*>", r"\1", details[0]["description"])
        return details[0]["line"], description
    unclosed = re.match(r"Missing (\S+) from \d+:(\d+)", str(error.__cause__))
    if unclosed:
        return text.count("\n", 0, int(unclosed[2])) + 1, f"{unclosed[1]} is opened but never closed"
    return 1, str(error).split("\n")[0]


def line_of(node: exp.Expr) -> int:
    """Return the line of the first token under the node that has one, or else under one of its ancestors."""
    for item in node.walk():
        if "line" in item.meta:
            return int(item.meta["line"])
    return line_of(node.parent) if node.parent else 1
