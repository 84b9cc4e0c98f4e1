"""Every rule of docs/reading.md names a test, and there is a test of that name.
Whether a rule holds is for those tests."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reading.md"
RULES = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("- ")]


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_format_has_rules() -> None:
    headings = re.findall("^## (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert {"CSV", "JSON lines", "JSON documents", "Parquet"} < set(headings)
    assert len(RULES) > 40


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_names_its_test(rule: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", rule)
    assert named, "no test is named"
    for path, name in named:
        assert name.startswith("test_")
        assert name in names_in(TESTS / path), path
