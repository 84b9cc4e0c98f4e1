"""The statements that loads send, compared with files of one section per situation.

With SCX_GOLDEN=write, the sections are rewritten (in one process: `pytest -n 0`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
_HEADING = re.compile(r"^-- ===== (.+) =====\n", re.MULTILINE)
_VARIABLE_PARTS = (
    (r"s3://scx-[0-9a-f]+/", "s3://bucket/"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"'[0-9a-f]{16}'", "'<version>'"),
    (r"query_id = \d+", "query_id = <query>"),
    (r"'[\dT:.-]+'::timestamp", "'<now>'::timestamp"),
    (r"""'"[0-9a-f-]+"'""", "'<etag>'"),
)


def check_statements(star: str, situation: str, statements: Sequence[str]) -> None:
    """Assert that the statements are those of a section of the star's file."""
    text = ";\n".join(statements) + ";\n"
    for pattern, replacement in _VARIABLE_PARTS:
        text = re.sub(pattern, replacement, text)
    path = FOLDER / f"{star}.sql"
    _, *parts = _HEADING.split(path.read_text() if path.exists() else "")
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    expected = sections.get(situation, "").rstrip("\n") + "\n"
    if os.environ.get("SCX_GOLDEN") == "write":
        sections[situation] = expected = text
        content = (f"-- ===== {title} =====\n{body.rstrip()}\n" for title, body in sections.items())
        path.write_text("\n".join(content))
    assert text == expected, (
        f"section {situation!r} of {path} differs: if that is intended, run with SCX_GOLDEN=write"
    )
