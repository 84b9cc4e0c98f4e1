"""Check the structure of package, tests and tools: the size of files and folders, unique names, and pointing docstrings.

`make lint` runs it. The package has the most rules; import-linter checks its layers and cycles.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

MOST_LINES = 300
MOST_MODULES = 14  # in a folder, not counting __init__.py
MOST_NAMESAKES = 2  # files of one name
GIVEN_NAMES = frozenset({"__init__.py", "conftest.py"})  # Python and pytest require them
# Sentences about where something else is: they become wrong when it moves. Tests and tools have more forms of them.
POINTER = re.compile(r"\b(?:is|are) in `[^`]*`")
TEST_POINTER = re.compile(
    r"\belsewhere\b|\b(?:is|are) in (?:`[^`]*`|[\w/-]+/|[\w/-]+\.(?:py|yaml|md)\b)"
    r"|\b(?:is|are) (?:decided|defined|described|implemented|tested)(?: \w+){0,4}? (?:by|in|on|with)\b"
)
# The only module that may import what Dagster does not document; its test notices when Dagster changes it.
PRIVATE_DAGSTER = "orchestration/dagster_internals.py"


def violations(package: Path) -> Iterator[str]:
    """Yield what breaks a rule, one line each.

    Args:
        package: the folder of the package.
    """
    modules = _modules(package)
    trees = _parse(modules)
    yield from _size_violations(modules)
    yield from _duplicate_classes(trees)
    yield from _pointers(trees, POINTER)
    for path, tree in trees.items():
        if not path.as_posix().endswith(PRIVATE_DAGSTER):
            yield from _private_imports(path, tree)


def file_violations(folder: Path) -> Iterator[str]:
    """Yield what breaks a rule that tests and tools follow too: about sizes, namesakes and pointing docstrings.

    Args:
        folder: a folder of modules.
    """
    modules = _modules(folder)
    yield from _size_violations(modules)
    yield from _pointers(_parse(modules), TEST_POINTER)


def _modules(folder: Path) -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))}


def _parse(modules: dict[Path, str]) -> dict[Path, ast.Module]:
    return {path: ast.parse(text) for path, text in modules.items()}


def _size_violations(modules: dict[Path, str]) -> Iterator[str]:
    yield from _long_files(modules)
    yield from _full_folders(modules)
    yield from _namesakes(modules)


def _long_files(modules: dict[Path, str]) -> Iterator[str]:
    for path, text in modules.items():
        lines = len(text.splitlines())
        if lines > MOST_LINES:
            yield f"{path}: {lines} lines; at most {MOST_LINES}"


def _full_folders(modules: dict[Path, str]) -> Iterator[str]:
    for folder, count in Counter(path.parent for path in modules if path.name != "__init__.py").items():
        if count > MOST_MODULES:
            yield f"{folder}: {count} modules; at most {MOST_MODULES}"


def _namesakes(modules: dict[Path, str]) -> Iterator[str]:
    for name, count in Counter(path.name for path in modules if path.name not in GIVEN_NAMES).items():
        if count > MOST_NAMESAKES:
            yield f"{name}: {count} files have this name; at most {MOST_NAMESAKES}"


def _duplicate_classes(trees: dict[Path, ast.Module]) -> Iterator[str]:
    places = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path}:{node.lineno}")
    for name, found in places.items():
        if len(found) > 1:
            yield f"class {name} is defined {len(found)} times: {', '.join(found)}"


def _pointers(trees: dict[Path, ast.Module], pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield module docstrings that say where something else is."""
    for path, tree in trees.items():
        found = pattern.search(" ".join((ast.get_docstring(tree) or "").split()))
        if found:
            yield f"{path}: the docstring points to another module: {found[0]}"


def _private_imports(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0].startswith("dagster") and any(part.startswith("_") for part in parts):
                yield f"{path}:{node.lineno}: imports {name}; move it to {PRIVATE_DAGSTER}"


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    found = list(violations(root / "scx_pipeline"))
    for name in ("scx_pipeline_tests", "tools"):
        found += file_violations(root / name)
    print("\n".join(found) or "structure: no violations")
    sys.exit(bool(found))
