"""Foreign texts are displayed as data: never as formulas in spreadsheets or as markup in the UI.

Rejecting rows does not belong here.
"""

from __future__ import annotations

import re

from tools.docs import ROOT

SOURCES = {
    path.relative_to(ROOT / "scx_pipeline").as_posix(): path.read_text("utf-8")
    for path in (ROOT / "scx_pipeline").rglob("*.py")
}


def modules_matching(pattern: str) -> set[str]:
    return {name for name, text in SOURCES.items() if re.search(pattern, text)}


def test_only_samples_and_copy_write_csv() -> None:
    """A text that starts with = + - @ would be a formula in a spreadsheet."""
    writers = modules_matching(r"(?i)csv\.(?:writer|DictWriter)|to_csv|write_csv|FORMAT csv")
    assert writers == {"samples/scx/invalid_rows.py", "warehouse/postgres/postgres_export.py"}, (
        "a new export must neutralise such texts"
    )


def test_only_the_projects_own_texts_are_rendered_as_markup() -> None:
    """Dagster's UI escapes texts, tables and JSON; Markdown must not contain texts from files."""
    assert modules_matching(r"MetadataValue\.md\(") <= {
        "orchestration/assets/metadata.py",  # the star's SQL and the lineage of its columns
        "orchestration/assets/report_asset.py",  # a chart
        "orchestration/automation/maintenance.py",  # advice of maintenance
    }
