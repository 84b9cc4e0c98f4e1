"""The README is true: its commands run and print the output that it shows, its links and settings exist, and it is short."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from scx_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_make_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("the virtual environment was not created by `make setup`")
    demo = ["make", "demo", f"SCX_HOME={tmp_path / 'home'}"]
    first = run(demo, cwd=ROOT)
    for line in shown_lines(r"```console\n\$ make demo\n(.*?)```"):
        assert normalize(line) in normalize(first), line
    assert "1. generate" not in run(demo, cwd=ROOT)


def test_the_example_of_own_files_runs_as_written_and_prints_what_the_readme_shows(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "scx_pipeline", tmp_path / "scx_pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / ".venv").symlink_to(sys.prefix)
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    printed = run(["bash", "-e", "-c", block[1]], cwd=tmp_path, PYTHONPATH=str(tmp_path))
    for line in shown_lines(r"```sh\n.*?```\n\n```\n(.*?)```"):
        assert normalize(line) in normalize(printed), line


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(README.splitlines()) <= 120


def test_the_readme_lists_no_command_twice() -> None:
    code = re.findall(r"```.*?```|`[^`\n]+`", README, re.DOTALL)
    commands = Counter(re.findall(r"\b(?:make|scx|docker compose) [a-z]\S*", "\n".join(code)))
    assert {"make demo", "make ui", "scx new"} <= set(commands)
    assert {command: times for command, times in commands.items() if times > 1} == {}


def test_every_setting_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"SCX_(\w+)", README))
    assert len(named) >= 4
    assert named <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", (ROOT / page).read_text("utf-8")
    ):
        file = ROOT / (target or page)
        assert file.exists(), target
        assert not anchor or anchor in headings(file), anchor


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


def run(command: list[str], cwd: Path, **environment: str) -> str:
    """Run a command with the environment of a new user and return what it printed."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=240,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "COLUMNS": "200", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown_lines(pattern: str) -> list[str]:
    """Return the lines of output in the README's code block, except those that only hold an ellipsis."""
    block = re.search(pattern, README, re.DOTALL)
    assert block is not None
    return [line for line in block[1].splitlines() if line.strip() != "…"]


def normalize(text: str) -> str:
    """Return a text without the parts that change from day to day: numbers, paths and the width of columns."""
    text = re.sub(r"(file|duckdb):///\S+", r"\1://", text)
    return re.sub(r"\s+", " ", re.sub(r"[\d,.]+", "0", text)).strip()
