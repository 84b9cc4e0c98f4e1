"""The structure check finds each kind of violation, and package, tests and tools have none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.structure import MOST_LINES, MOST_MODULES, file_violations, violations

ROOT = Path(__file__).parents[2]

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


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files with these texts."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")


@pytest.mark.parametrize("case", BROKEN)
def test_structure_check_names_the_violation_when(case: str, tmp_path: Path) -> None:
    files, message = BROKEN[case]
    write(tmp_path, files)
    [found] = violations(tmp_path)
    assert message in found


@pytest.mark.parametrize(
    "case",
    [
        "a file is too long",
        "a folder is too full",
        "a file name occurs three times",
        "a docstring points to another module",
    ],
)
def test_check_of_tests_and_tools_names_the_violation_when(case: str, tmp_path: Path) -> None:
    files, message = BROKEN[case]
    write(tmp_path, files)
    [found] = file_violations(tmp_path)
    assert message in found


POINTERS = [
    "Loads are tested elsewhere.",
    "Its loads are tested with the other formats.",
    "How it starts is in site.py.",
    "Loads are tested on every\nserver by others.",
]


@pytest.mark.parametrize("sentence", POINTERS)
def test_check_of_tests_and_tools_names_a_docstring_that_points_to_other_modules(
    sentence: str, tmp_path: Path
) -> None:
    write(tmp_path, {"a.py": f'"""Loads rows.\n\n{sentence}\n"""\n'})
    [found] = file_violations(tmp_path)
    assert "the docstring points to another module" in found
    assert list(violations(tmp_path)) == [], "the package's rule is narrower"


def test_check_of_tests_and_tools_accepts_large_files_and_any_number_of_conftest_files(
    tmp_path: Path,
) -> None:
    write(tmp_path, {f"m{number}.py": "x = 1\n" * MOST_LINES for number in range(MOST_MODULES)})
    write(tmp_path, {f"{folder}/{name}": "" for folder in "abc" for name in ("__init__.py", "conftest.py")})
    assert list(file_violations(tmp_path)) == []


def test_structure_check_accepts_two_namesakes_and_private_imports_in_their_module(tmp_path: Path) -> None:
    internals = tmp_path / "orchestration" / "dagster_internals.py"
    internals.parent.mkdir()
    internals.write_text("from dagster._core.utils import x\n", "utf-8")
    (tmp_path / "dagster_internals.py").write_text("import dagster\n", "utf-8")
    assert list(violations(tmp_path)) == []


def test_package_has_no_structure_violations() -> None:
    assert list(violations(ROOT / "scx_pipeline")) == []


@pytest.mark.parametrize("folder", ["scx_pipeline_tests", "tools"])
def test_tests_and_tools_have_no_structure_violations(folder: str) -> None:
    assert list(file_violations(ROOT / folder)) == []
