"""A runner of the `scx` command in this process, and a small generated bucket.

Fixtures of one command are in its test module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scx_pipeline.cli.main import app, main


@dataclass(frozen=True)
class CommandResult:
    """The exit code of a command and its output."""

    code: int
    out: str
    err: str


Scx = Callable[..., CommandResult]


@pytest.fixture
def scx(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Scx:
    """Return a function that runs `scx` with arguments, as the console script does."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> CommandResult:
        code = 0
        capsys.readouterr()
        try:
            main(lambda: app(list(arguments), prog_name="scx"))
        except SystemExit as end:
            code = int(end.code or 0) if not isinstance(end.code, str) else 1
        output = capsys.readouterr()
        return CommandResult(code, output.out, output.err)

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty SCX_HOME."""
    monkeypatch.setenv("SCX_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"


@pytest.fixture
def bucket(home: Path, scx: Scx) -> Path:
    """Return the bucket of an SCX_HOME: three months of 2021, with some invalid rows."""
    result = scx(
        *("generate", "scx", "--to", "2021-03", "--months", "3", "--jobs", "300"),
        *("--bad-rows", "6", "--duplicates", "4", "--late-rows", "2"),
    )
    assert result.code == 0, result.err
    return home / "bucket"
