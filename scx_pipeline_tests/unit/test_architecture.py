"""The walls of the project: imports run one way, modules say what lives in them, heavy libraries load late.
What the modules do is tested elsewhere."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scx_pipeline"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "scx_pipeline_tests").rglob("*.py"))

# What a part may import of ours; DESIGN: definitions → components → orchestration → engine → warehouse → spec.
LEAVES = {"spec", "errors", "heap", "s3", "aws", "temporary", "internal_names"}
ALLOWED = {
    "spec": {"internal_names"},
    "internal_names": set(),
    "errors": set(),
    "heap": set(),
    "s3": {"aws", "errors"},
    "aws": {"errors"},
    "temporary": set(),
    "settings": {"alerts", "errors"},  # which checks the addresses that alerts go to
    "alerts": LEAVES,
    "samples": set(),
    "stars": set(),
    "warehouse": LEAVES,
    "engine": {"warehouse", *LEAVES},
    "orchestration": {"alerts", "lake", "engine", "warehouse", "settings", *LEAVES},
    "components": {"orchestration", "engine", *LEAVES},
    "definitions": {"components", "orchestration", "settings"},
    "show": {"engine", "orchestration", *LEAVES},
    "doctor": {"engine", "warehouse", "orchestration", "settings", *LEAVES},
    "preflight": {"engine", "warehouse", "settings", *LEAVES},
    "demo": {"engine", "warehouse", "samples", "show", *LEAVES},
    "cloud": LEAVES,
    "lake": {"engine", "warehouse", *LEAVES},
    "cli_cloud": {"cloud", "show", *LEAVES},
    "cli_options": {"engine", "warehouse", "settings", "show", *LEAVES},
    "supervise": set(),  # it runs without the package
    "cli_serve": {"preflight", "cli_options", "settings"},
    "cli_care": {"engine", "warehouse", "orchestration", "cli_options", "settings", "show", *LEAVES},
    "cli_alerts": {"alerts", "engine", "orchestration", "cli_options", "settings", "show", *LEAVES},
    "cli_lake": {"lake", "engine", "orchestration", "cli_options", "cli_runs", "settings", "show", *LEAVES},
    "cli_tables": {"engine", "cli_options", "settings", "show", *LEAVES},
    "cli_runs": {"engine", "orchestration", "cli_options", "settings", "show", *LEAVES},
    "cli": {
        "lake",
        "engine",
        "warehouse",
        "orchestration",
        "samples",
        "settings",
        "show",
        "doctor",
        "demo",
        "cli_alerts",
        "cli_care",
        "cli_cloud",
        "cli_lake",
        "cli_options",
        "cli_runs",
        "cli_serve",
        "cli_tables",
        *LEAVES,
    },
}


def part(path: Path) -> str:
    """The part of the package a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The parts of the package that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.startswith("scx_pipeline."):
                yield name.split(".")[1]
        if isinstance(node, ast.ImportFrom) and node.module == "scx_pipeline":
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if part(path) != "__init__"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_imports_run_one_way(path: Path) -> None:
    own = part(path)
    assert set(imports(path)) - {own} <= ALLOWED[own]


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_two_lines_on_what_lives_there(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring is not None
    assert len(docstring.strip().splitlines()) >= 2


def test_no_engine_is_asked_for_by_name_outside_its_file() -> None:
    for path in MODULES:
        if part(path) in ("warehouse", "doctor", "samples"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Compare):
                texts = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant)}
                assert not texts & {"duckdb", "postgres", "postgresql", "redshift"}, f"{path}:{node.lineno}"


def test_the_command_starts_without_heavy_libraries() -> None:
    code = "import sys, scx_pipeline.cli; print([m for m in ('dagster', 'pandas', 'pyarrow', 'duckdb', 'boto3', 'sqlglot') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.strip() == "[]"
