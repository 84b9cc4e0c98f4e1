"""The page of results: a section for each scenario, with the date, the versions and the command."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tools.bench.measure import Result

TITLE = """\
# Benchmarks

What `make bench` measured, each ratio side by side in one run on one machine. Take the ratios, not the seconds: they vary by about a
tenth from run to run. A scenario that is run again with `--write` replaces its section here.
"""
PACKAGES = (
    "duckdb", "pyarrow", "pgpq", "psycopg2-binary", "pandas", "dagster", "adbc-driver-postgresql", "polars", "dlt", "pyspark",
)  # fmt: skip


def write(page: Path, name: str, about: str, results: Sequence[Result], command: str) -> None:
    """Write the section of a scenario into the page, in place of an older one."""
    text = page.read_text("utf-8") if page.exists() else TITLE
    section = _section(name, about, results, command)
    older = re.compile(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    changed = (
        older.sub(lambda match: section, text) if older.search(text) else f"{text.rstrip()}\n\n{section}"
    )
    page.write_text(changed.rstrip() + "\n", "utf-8")


def _section(name: str, about: str, results: Sequence[Result], command: str) -> str:
    lines = [
        f"## {name}",
        "",
        " ".join(about.split()),
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, `{command}`; {machine()}; {versions()}",
        "",
        "| what | measured | promised | |",
        "|---|---|---|---|",
        *(_row(result) for result in results),
    ]
    return "\n".join(lines) + "\n\n"


def _row(result: Result) -> str:
    unit = "" if result.unit == "ratio" else f" {result.unit}"
    promise = "–" if result.promise is None else f"{result.promise:g}{unit}"
    value = f"{result.value:,.2f}{unit}"
    return f"| {result.name} | {value if result.kept else f'**{value}**'} | {promise} | {result.note} |"


def machine() -> str:
    """Return the cores, the memory and the system of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {platform.system()}"


def versions() -> str:
    """Return the versions of Python, PostgreSQL and the installed packages that were measured or compared."""
    found = [f"Python {platform.python_version()}", "PostgreSQL 18"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
