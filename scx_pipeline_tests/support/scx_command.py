"""The `scx` command, run in this process.

No tests belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from scx_pipeline.cli.main import app, main


@dataclass(frozen=True)
class CommandResult:
    """The exit code of a command and its output."""

    code: int
    out: str
    err: str


Scx = Callable[..., CommandResult]


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> CommandResult:
    """Run `scx` with arguments, as the console script does."""
    code = 0
    capsys.readouterr()
    try:
        main(lambda: app(list(arguments), prog_name="scx"))
    except SystemExit as end:
        code = int(end.code or 0) if not isinstance(end.code, str) else 1
    output = capsys.readouterr()
    return CommandResult(code, output.out, output.err)
