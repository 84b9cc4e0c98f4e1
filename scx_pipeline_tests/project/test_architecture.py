"""The rules of the architecture: imports run one way, modules say what they contain, heavy libraries load late."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scx_pipeline"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
TEST_MODULES = sorted((ROOT / "scx_pipeline_tests").rglob("[!_]*.py"))


def part(path: Path) -> str:
    """The part of the package a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_run_downwards_only_and_in_no_cycle() -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("path", [*MODULES, *TEST_MODULES], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_a_docstring_in_the_package_of_two_lines(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring
    assert len(docstring.splitlines()) >= 2 or path in TEST_MODULES


def test_no_engine_is_compared_by_name_outside_the_packages_that_know_it() -> None:
    for path in MODULES:
        if part(path) in ("warehouse", "services", "samples"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Compare):
                texts = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant)}
                assert not texts & {"duckdb", "postgres", "postgresql", "redshift"}, f"{path}:{node.lineno}"
                assert not any(map(_is_engine, ast.walk(node))), f"{path}:{node.lineno}"


def _is_engine(node: ast.AST) -> bool:
    """Whether this is a member of Engine, such as `Engine.DUCKDB`."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Engine"


PRIVATE = re.compile(r"\bdagster(_aws|_pipes|_postgres|_shared)?\._\w")
INTERNALS = PACKAGE / "orchestration" / "dagster_internals.py"


def test_private_modules_of_dagster_are_used_in_one_module_only() -> None:
    users = {
        path
        for path in PACKAGE.rglob("*.*")
        if path.suffix in (".py", ".yaml") and PRIVATE.search(path.read_text("utf-8"))
    }
    assert users == {INTERNALS}


def test_the_command_starts_without_heavy_libraries() -> None:
    code = "import sys, scx_pipeline.cli.main; print([m for m in ('dagster', 'pandas', 'pyarrow', 'duckdb', 'boto3', 'sqlglot') if m in sys.modules])"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert finished.stdout.strip() == "[]"
