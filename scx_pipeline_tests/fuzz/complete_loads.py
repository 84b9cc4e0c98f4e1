"""A complete load of a case into a DuckDB file: the published rows are those of its files, and all are counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import yaml

from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.errors import PipelineError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.loader import BucketLoader
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline_tests.fuzz.case import Case
from scx_pipeline_tests.fuzz.driver import MEMORY, comparable
from scx_pipeline_tests.fuzz.outcome import Expected, Given, Row, differences

SCHEMA = "fuzzed"


def can_be_loaded(case: Case) -> bool:
    """Whether the sum of the files says what a load must publish: no months, and one outcome for each file."""
    return case.scope is UNPARTITIONED and not any(file.expected.otherwise for file in case.files)


def find_load_faults(case: Case, folder: Path) -> list[str]:
    """What a load of the files in the folder does wrong; nothing where all agrees."""
    expected = _together(case)
    warehouse = f"duckdb://{folder}/fuzz.duckdb"
    try:
        report, rows = _load(case, folder, warehouse)
    except PipelineError as error:
        return [] if expected.refusal != "never" else [f"not loaded: {error}"]
    if expected.refusal == "must":
        return [f"loaded, and must be refused: {expected.why}"]
    given = Given(rows, report.read, report.loaded, report.rejected, report.deduplicated, report.filtered, [])
    return [f"whole load: {text}" for text in differences(expected, given)]


def _together(case: Case) -> Expected:
    """What the files must give together."""
    together = Expected()
    for file in case.files:
        expected = file.expected
        if expected.refusal != "never":
            together.refuse(expected.refusal, expected.why)
        together.loaded += expected.loaded
        together.rejected += expected.rejected
        together.open += expected.open
    return together


def _load(case: Case, folder: Path, url: str) -> tuple[LoadReport, Counter[Row]]:
    home = folder / "star" / "fuzz"
    home.mkdir(parents=True)
    attributes = {
        "name": "fuzz",
        "description": "random files",
        "schema": SCHEMA,
        "first_month": "2020-01",
        "sources": [case.source.model_dump(mode="json", exclude_defaults=True)],
        "tables": [case.table.model_dump(mode="json", exclude_defaults=True)],
    }
    (home / "defs.yaml").write_text(yaml.safe_dump({"type": "x", "attributes": attributes}), "utf-8")
    compiled = load_star(home)
    warehouse = open_warehouse(url, Limits(MEMORY, case.threads), lambda message: None)
    report = BucketLoader(compiled, open_bucket(folder.as_uri()), warehouse, lambda message: None).refresh()
    columns = ", ".join(comparable(column) for column in case.table.columns)
    with warehouse.open_loaded() as session:
        return report, Counter(map(tuple, session.rows(f"SELECT {columns} FROM {SCHEMA}.{case.table.name}")))
