"""The structure check finds each kind of violation, and the package has none.

What the check allows is written in tools/structure.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.structure import MOST_LINES, MOST_MODULES, violations

PACKAGE = Path(__file__).parents[2] / "scx_pipeline"

BROKEN = {
    "a file is too long": ({"a.py": "x = 1\n" * (MOST_LINES + 1)}, f"a.py: {MOST_LINES + 1} lines"),
    "a folder is too full": (
        {f"m{number}.py": "" for number in range(MOST_MODULES + 1)},
        f"{MOST_MODULES + 1} modules",
    ),
    "a file name occurs three times": (
        {f"{folder}/session.py": "" for folder in "abc"},
        "session.py: 3 files have this name",
    ),
    "a class name occurs twice": (
        {"a.py": "class Part: ...\n", "b.py": "class Part: ...\n"},
        "class Part is defined 2 times",
    ),
    "a nested class repeats a name": (
        {"a.py": "class Outer:\n    class Part: ...\n", "b.py": "class Part: ...\n"},
        "class Part is defined 2 times",
    ),
    "a docstring points to another module": (
        {"a.py": '"""Loads rows.\n\nHow they are parsed is in `parsing`."""\n'},
        "a.py: the docstring points to another module: is in `parsing`",
    ),
    "a private module of Dagster is imported": (
        {"a.py": "def f():\n    from dagster._core.utils import x\n"},
        "a.py:2: imports dagster._core.utils",
    ),
    "a private module of a Dagster library is imported": (
        {"a.py": "import dagster_aws._private\n"},
        "a.py:1: imports dagster_aws._private",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_structure_check_names_the_violation_when(case: str, tmp_path: Path) -> None:
    files, message = BROKEN[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    [found] = violations(tmp_path)
    assert message in found


def test_structure_check_accepts_two_namesakes_and_private_imports_in_their_module(tmp_path: Path) -> None:
    internals = tmp_path / "orchestration" / "dagster_internals.py"
    internals.parent.mkdir()
    internals.write_text("from dagster._core.utils import x\n", "utf-8")
    (tmp_path / "dagster_internals.py").write_text("import dagster\n", "utf-8")
    assert list(violations(tmp_path)) == []


def test_package_has_no_structure_violations() -> None:
    assert list(violations(PACKAGE)) == []
