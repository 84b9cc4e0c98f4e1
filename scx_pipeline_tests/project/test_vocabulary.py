"""The vocabulary check of `make lint`: codespell with the project's own dictionary, tools/vocabulary.txt.
Whether the tree is free of these words is for `make lint` to say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DICTIONARY = (ROOT / "tools" / "vocabulary.txt").read_text("utf-8").splitlines()
REGEX = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["codespell"]["regex"]


def find_words(folder: Path, text: str) -> list[str]:
    """Return the words that the check reports in a file with this text."""
    (folder / "planted.py").write_text(text)
    found = subprocess.run(
        [Path(sys.executable).with_name("codespell"), folder], capture_output=True, text=True, cwd=ROOT
    )
    words = re.findall(r": (.*) ==> ", found.stdout)
    assert found.returncode == (65 if words else 0), found.stderr
    return words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Built anew by itself.", ["anew", "by itself"]),  # codespell:ignore
        ("def landed_rows", ["landed"]),  # codespell:ignore
        ("class WorkbenchStanding", ["Workbench", "Standing"]),  # codespell:ignore
        ("WHOEVER_READS", ["WHOEVER"]),  # codespell:ignore
    ],
)
def test_a_listed_word_is_found_in_text_and_in_identifiers(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    assert find_words(tmp_path, text) == words


def test_a_listed_word_in_a_file_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "landing.py").touch()  # codespell:ignore
    assert find_words(tmp_path, "") == ["landing"]  # codespell:ignore


def test_standard_terms_and_allowed_lines_pass(tmp_path: Path) -> None:
    assert not find_words(tmp_path, "the stand-in StandIn reads doubled quotes and may spill to disk\n")
    assert not find_words(tmp_path, "moment = 1  # codespell:ignore moment\n")


def test_every_entry_can_be_matched_by_the_expression() -> None:
    words = [line.split("->")[0] for line in DICTIONARY]
    assert len(set(words)) == len(words)
    assert [word for word in words if not re.fullmatch(REGEX, word)] == []
