"""Generate docs/reliability.md: the tested cases and faults with their tests and engines, the fuzz test, and mutation testing.

The content comes from reliability.yaml and fuzz/seeds.py, the engines from the fixtures of the tests. `make docs` writes the page.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scx_pipeline_tests.fuzz.seeds import SEEDS

TESTS = Path(__file__).parents[1] / "scx_pipeline_tests"
# Whether entries may name tests that do not exist yet; they are shown as "to come".
MISSING_ALLOWED = False
TO_COME = "to come"
ALL_ENGINES = ("DuckDB", "PostgreSQL", "Redshift")
FIXTURES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "load_env",
            "load_urls",
            "music_env",
            "sensor_env",
            "fresh_load_urls",
            "warehouse",
            "march",
            "spring",
        ),
        ALL_ENGINES,
    ),
    **dict.fromkeys(("duckdb_env", "duckdb_spring", "alert_env", "dagster_env"), ("DuckDB",)),
    **dict.fromkeys(("postgres_env", "postgres", "postgres_url"), ("PostgreSQL",)),
    **dict.fromkeys(("redshift", "redshift_url"), ("Redshift",)),
}
FOLDERS: dict[str, tuple[str, ...]] = {
    "warehouse/redshift": ("Redshift",),
    "support/redshift": ("Redshift",),
    "lake": ("lake",),
    "cloud": ("AWS",),
    # DuckDB is the reader of the files, or the warehouse.
    **dict.fromkeys(
        (
            "declarations",
            "fuzz",
            "loading",
            "maintenance",
            "model",
            "ownership",
            "parsing",
            "planning",
            "project",
            "purity",
            "storage",
            "warehouse",
        ),
        ("DuckDB",),
    ),
}
MUTANTS = """A mutant is a module with one change: a comparison replaced by another one, `and` replaced by `or`, a number increased by one,
a condition that is always true or always false, a statement, a filter or a result removed, or a text changed. Mutants were generated
for the modules that decide which rows are loaded, counted, checked and published, and the tests in the table were run on each. In
modules with many mutants, a random sample was tried. For each mutant that survived, there is a new test or a reason."""
FUZZ = """Files are generated from a seed and read twice: by our reader, as in a load, and independently: CSV with a regular expression,
which is itself checked against Python's `csv` on every file, JSON with Python's `json`, with numbers kept as written, and
Parquet with `pyarrow`. Values are typed by rules in plain Python. Then, for each file:

- the loaded rows are exactly the rows of the file, with the same values and the same number of times;
- the same number of records is rejected, each with its line, and the same number belongs to other months;
- read = loaded + rejected + deduplicated + filtered;
- a file is refused as a whole where it must be (a quote that is never closed, a record of more than 4 MiB, bytes that are not
  UTF-8, a header that does not match the declaration, a damaged file), with its name, and in no other case.

Where two results are correct (a quoted `""` in a numeric column, spaces around quotes, a trailing comma in JSON, digits beyond
microseconds), either is accepted, but no other value, and no record may be missing.

`SCX_FUZZ_SECONDS` is the duration for all formats together (60; `make test` runs the fuzz test in its second half), `SCX_FUZZ_START`
the first seed. A failure shows its seed; `SCX_FUZZ_SEED=… pytest scx_pipeline_tests/fuzz -k 'random_files and csv'` runs only that
seed.

These seeds failed when the test was written, and always run first:"""


@dataclass(frozen=True)
class Entry:
    """A case, or a fault with its number: the expected outcome and its tests."""

    group: str
    number: int | None
    what: str
    outcome: str
    tests: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """The tests that do not exist, or "no test" if there are none."""
        return [test for test in self.tests if test not in all_tests()] or ([] if self.tests else ["no test"])

    @property
    def engines(self) -> list[str]:
        """The engines that its tests run on, in a fixed order."""
        found = {engine for test in self.tests for engine in all_tests().get(test, ())}
        return sorted(
            found, key=lambda engine: (ALL_ENGINES.index(engine) if engine in ALL_ENGINES else 9, engine)
        )


@cache
def data() -> dict[str, Any]:
    """Return the content of reliability.yaml."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    return found


def entries(part: str) -> list[Entry]:
    """Return the entries of a section, `cases` or `faults`."""
    found = []
    for group, rows in data()[part].items():
        for row in rows:
            number, row = (row[0], row[1:]) if part == "faults" else (None, row)
            what, outcome, *tests = row
            found.append(Entry(group, number, str(what), str(outcome), _names(tests)))
    return found


def _names(tests: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for text in tests for name in text.split(","))


@cache
def all_tests() -> dict[str, tuple[str, ...]]:
    """Return the engines of every test, by its file, relative to scx_pipeline_tests/, and its function."""
    found = {}
    for path in TESTS.rglob("test_*.py"):
        file = path.relative_to(TESTS)
        functions: dict[str, set[str]] = {}
        for folder in reversed(file.parents[:-1]):
            shared = _functions(TESTS / folder / "conftest.py")
            functions |= {
                name: arguments for name, arguments in shared.items() if arguments & FIXTURES.keys()
            }
        functions |= _functions(path)
        for name, arguments in functions.items():
            if name.startswith("test_"):
                found[f"{file.as_posix()}::{name}"] = _engines(file, arguments, functions)
    return found


def _functions(path: Path) -> dict[str, set[str]]:
    """Return the parameters of each function in a file; empty if the file does not exist."""
    if not path.exists():
        return {}
    return {
        node.name: {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }


def _engines(file: Path, arguments: set[str], functions: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Return the engines of a test's fixtures; a fixture in the test's file overrides another of the same name."""
    found: set[str] = set()
    for name in arguments:
        own = functions.get(name)
        found |= {*(FIXTURES.get(name, ()) if own is None else _engines(file, own - {name}, functions))}
    return tuple(sorted(found)) or next(
        (FOLDERS[str(folder)] for folder in file.parents if str(folder) in FOLDERS), ()
    )


def reliability_page() -> str:
    """Return the page."""
    parts = [
        "# Reliability\n\nWhat has been tested to ensure that no row is lost, invented or silently changed, and by which tests. A test is named "
        "by its file, relative to `scx_pipeline_tests/`. Tests of the readers run on DuckDB, which reads the files for every "
        "engine, except those that Redshift reads itself with COPY.",
        "## A. Cases\n\nProblems that users of similar pipelines report, and files from public test suites.",
        *_tables("cases"),
        "## B. Faults\n\nThe fault catalogue: either the rows are correct, or there is a clear error and nothing has changed.",
        *_tables("faults"),
        f"## C. Random files\n\n{FUZZ}",
        _seeds(),
        f"## D. Mutation testing\n\n{MUTANTS}",
        *_mutants(),
    ]
    return "\n\n".join(parts) + "\n"


def _tables(part: str) -> Iterator[str]:
    all_of_part = entries(part)
    for group in dict.fromkeys(entry.group for entry in all_of_part):
        head = ("case", "outcome", "tests", "engines")
        rows = [_row(entry) for entry in all_of_part if entry.group == group]
        yield f"### {group}\n\n" + _table(head if part == "cases" else ("", "fault", *head[1:]), rows)


def _row(entry: Entry) -> tuple[str, ...]:
    number = () if entry.number is None else (str(entry.number),)
    there = [f"`{test}`" for test in entry.tests if test in all_tests()]
    tests = "<br>".join([*there, *([TO_COME] if entry.missing else [])])
    return (*number, entry.what, entry.outcome, tests, ", ".join(entry.engines))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(
        [*lines, *(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)]
    )


def _seeds() -> str:
    rows = [(kind, str(seed), what) for kind, seeds in SEEDS.items() for seed, what in seeds.items()]
    return _table(("format", "seed", "problem"), rows)


def _mutants() -> Iterator[str]:
    rows, survivors = [], []
    for item in data()["mutation"]:
        rows.append(
            (f"`{item['module']}`", f"{item['tried']} of {item['of']}", str(item["killed"]), item["tests"])
        )
        survivors += [(f"`{item['module']}`", *map(str, survivor)) for survivor in item.get("survivors", ())]
    yield _table(("module", "mutants tried", "killed", "tests"), rows)
    yield "### Surviving mutants\n\n" + _table(
        ("module", "mutant", "reason, or the test that kills it now"), survivors
    )
