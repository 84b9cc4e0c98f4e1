"""Texts that others wrote are data wherever they are shown: no formulas in spreadsheets, no markup in the UI.
How rows are rejected is tested with the formats."""

from __future__ import annotations

import re

from tools.docs import ROOT

SOURCES = {
    path.relative_to(ROOT / "scx_pipeline").as_posix(): path.read_text("utf-8")
    for path in (ROOT / "scx_pipeline").rglob("*.py")
}


def those_with(pattern: str) -> set[str]:
    return {name for name, text in SOURCES.items() if re.search(pattern, text)}


def test_nothing_but_samples_and_copy_writes_csv() -> None:
    """A text that begins with = + - @ would be a formula in a spreadsheet that opened such a file."""
    writers = those_with(r"(?i)csv\.(?:writer|DictWriter)|to_csv|write_csv|FORMAT csv")
    assert writers == {"samples/scx/dirty_rows.py", "warehouse/postgres/postgres_export.py"}, (
        "a new export must neutralise such texts"
    )


def test_only_the_projects_own_texts_are_shown_as_markup() -> None:
    """Dagster's UI escapes texts, tables and JSON; what is given as Markdown must not come from files."""
    assert those_with(r"MetadataValue\.md\(") <= {
        "orchestration/assets/metadata.py",  # the star's SQL and the lineage of its columns
        "orchestration/assets/report_asset.py",  # a chart
        "orchestration/automation/maintenance.py",  # advice of maintenance
    }
