"""docs/reliability.md: the cases and faults that were tried, the test and the engines of each, the fuzz test, and mutants.

What it says is in reliability.yaml and in fuzz/seeds.py; engines are read from the tests' fixtures. `make docs` writes it."""

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
# Whether entries may name tests that are not there yet; they are shown as "to come".
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
    # its reader, or its file
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
MUTANTS = """A mutant is the module with one change: another comparison, `and` for `or`, a number one larger, a condition always
true or always false, a statement, a filter or a result left out, another text. Mutants were made of the modules that decide which
rows are loaded, counted, checked and published, and the tests named here were run on each. Where a module has many, some were
drawn at random. For each mutant that no test noticed, a test was added or a reason is given."""
FUZZ = """Files are made from a seed, and read by our reader as a load does, and independently: CSV by a regular expression that
is itself checked against Python's `csv` on every file, JSON by Python's `json` with numbers as they are written, Parquet by
`pyarrow`; values are typed by rules in plain Python. Then, for each file:

- the rows that were loaded are exactly those that it holds, with their values, and as often;
- as many records are rejected, each with its line, and as many are of other months;
- read = loaded + rejected + deduplicated + filtered;
- a file is refused as a whole where it must be (a quote that is never closed, a record of more than 4 MiB, bytes that are not
  UTF-8, a header that is not as declared, a damaged file), by its name, and nowhere else.

Where two readings are both right (a quoted `""` in a column of numbers, spaces about quotes, a trailing comma in JSON, digits
beyond microseconds), either is taken, but no other value, and no record may go missing.

`SCX_FUZZ_SECONDS` says for how long in all (60; `make test` runs it in its second half), `SCX_FUZZ_START` with which seed to
begin. A failure shows its seed; `SCX_FUZZ_SEED=… pytest scx_pipeline_tests/fuzz -k 'random_files and csv'` runs that one alone.

These seeds failed when the test was written, and always run first:"""


@dataclass(frozen=True)
class Entry:
    """A case, or a fault with its number: what must be, and the tests of it."""

    group: str
    number: int | None
    what: str
    outcome: str
    tests: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """The tests that are not there, or a word for having none."""
        return [test for test in self.tests if test not in all_tests()] or ([] if self.tests else ["no test"])

    @property
    def engines(self) -> list[str]:
        """The engines on which its tests run, in a fixed order."""
        found = {engine for test in self.tests for engine in all_tests().get(test, ())}
        return sorted(
            found, key=lambda engine: (ALL_ENGINES.index(engine) if engine in ALL_ENGINES else 9, engine)
        )


@cache
def data() -> dict[str, Any]:
    """What reliability.yaml says."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    return found


def entries(part: str) -> list[Entry]:
    """The entries of a part, `cases` or `faults`."""
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
    """Every test by its file below this folder and its function, and the engines that it runs on."""
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
    """Return the parameters of each function of a file, none if it does not exist."""
    if not path.exists():
        return {}
    return {
        node.name: {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }


def _engines(file: Path, arguments: set[str], functions: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The engines of a test's fixtures; a fixture of the file's own goes before another one of its name."""
    found: set[str] = set()
    for name in arguments:
        own = functions.get(name)
        found |= {*(FIXTURES.get(name, ()) if own is None else _engines(file, own - {name}, functions))}
    return tuple(sorted(found)) or next(
        (FOLDERS[str(folder)] for folder in file.parents if str(folder) in FOLDERS), ()
    )


def reliability_page() -> str:
    """The page."""
    parts = [
        "# Reliability\n\nWhat was tried so that no row is lost, invented or changed in silence, and which test shows it. A test is "
        "named by its file below `scx_pipeline_tests/`. Tests of the readers run on DuckDB, which reads the files for every "
        "engine, except those that Redshift reads itself by COPY.",
        "## A. Cases\n\nProblems that users of such pipelines report, and files of public test suites.",
        *_tables("cases"),
        "## B. Faults\n\nThe catalogue of faults: either the right rows are there, or a clear error says so and nothing changed.",
        *_tables("faults"),
        f"## C. Random files\n\n{FUZZ}",
        _seeds(),
        f"## D. Mutants\n\n{MUTANTS}",
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
    return _table(("format", "seed", "what was wrong"), rows)


def _mutants() -> Iterator[str]:
    rows, survivors = [], []
    for item in data()["mutation"]:
        rows.append(
            (f"`{item['module']}`", f"{item['tried']} of {item['of']}", str(item["killed"]), item["tests"])
        )
        survivors += [(f"`{item['module']}`", *map(str, survivor)) for survivor in item.get("survivors", ())]
    yield _table(("module", "mutants tried", "noticed", "tests"), rows)
    yield "### Mutants that no test noticed\n\n" + _table(("module", "change", "now"), survivors)
