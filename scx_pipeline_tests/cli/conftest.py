"""A runner for the `scx` command in this process, and a small generated bucket that is loaded once.
Tests of single commands are beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scx_pipeline.cli.main import app, main


@dataclass(frozen=True)
class Told:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Scx = Callable[..., Told]


@pytest.fixture
def scx(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Scx:
    """Run `scx` with arguments, as the console script does."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Told:
        code = 0
        capsys.readouterr()
        try:
            main(lambda: app(list(arguments), prog_name="scx"))
        except SystemExit as end:
            code = int(end.code or 0) if not isinstance(end.code, str) else 1
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty SCX_HOME."""
    monkeypatch.setenv("SCX_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"


@pytest.fixture
def bucket(home: Path, scx: Scx) -> Path:
    """An SCX_HOME with a small generated bucket: three months of 2021, some dirt in them."""
    told = scx(
        *("generate", "scx", "--to", "2021-03", "--months", "3", "--jobs", "300"),
        *("--bad-rows", "6", "--duplicates", "4", "--late-rows", "2"),
    )
    assert told.code == 0, told.err
    return home / "bucket"
