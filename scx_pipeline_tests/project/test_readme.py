"""The README is true: its commands run and print what it shows, and it names every command.
What the commands do in detail is tested beside it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scx_pipeline.settings import Settings
from scx_pipeline_tests.cli.test_cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_make_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("the virtual environment was not made by `make setup`")
    told = subprocess.run(
        ["make", "demo", f"SCX_HOME={tmp_path / 'home'}"],
        cwd=ROOT, capture_output=True, text=True, env=_environment(), timeout=240,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    shown = _console("make demo")
    for line in shown:
        assert _shape(line) in _shape(told.stdout), line
    again = subprocess.run(
        ["make", "demo", f"SCX_HOME={tmp_path / 'home'}"],
        cwd=ROOT, capture_output=True, text=True, env=_environment(), timeout=240,
    )  # fmt: skip
    assert again.returncode == 0
    assert "1. generate" not in again.stdout


def test_the_readme_names_every_command() -> None:
    listed = set(re.findall(r"^scx (\w+) ", README, re.MULTILINE))
    assert {words[0] for words in COMMANDS} <= listed


def test_the_readmes_settings_have_the_defaults_that_it_names() -> None:
    rows = dict(re.findall(r"^\| `SCX_(\w+)` \| `([^`]*)` \|", README, re.MULTILINE))
    assert len(rows) >= 5
    for name, default in rows.items():
        known = Settings.model_fields[name.lower()].default
        assert default == str(known) or default.startswith("$SCX_HOME/")


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def _console(command: str) -> list[str]:
    """The lines that the README shows as the command's output, without those that stand for more."""
    block = re.search(rf"```console\n\$ {re.escape(command)}\n(.*?)```", README, re.DOTALL)
    assert block is not None
    return [line for line in block[1].splitlines() if line.strip() != "…"]


def _shape(text: str) -> str:
    """A text without what differs from day to day: numbers, paths and the width of columns."""
    text = (
        re.sub(r"(file|duckdb):///\S+", r"\1://", text).split("the limit is 5%")[0]
        if "\n" not in text
        else re.sub(r"(file|duckdb):///\S+", r"\1://", text)
    )
    return re.sub(r"\s+", " ", re.sub(r"[\d,.]+", "0", text)).strip()


def _environment() -> dict[str, str]:
    path = shutil.os.environ["PATH"]  # type: ignore[attr-defined]
    return {"PATH": path, "HOME": shutil.os.environ.get("HOME", "/"), "COLUMNS": "200"}  # type: ignore[attr-defined]
