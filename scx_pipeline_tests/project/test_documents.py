"""The generated pages of docs/ match the code, and the sections that errors and alerts refer to exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scx_pipeline.alerts.advice import FAILURE_KINDS
from scx_pipeline.settings import Settings
from scx_pipeline_tests.cli.test_cli import COMMANDS
from tools.docs import DEPLOYMENT_VARIABLES, DOCS, PAGES, ROOT, named_variables


@pytest.mark.parametrize("file", PAGES)
def test_the_generated_page_matches_the_code(file: str) -> None:
    assert (DOCS / file).read_text("utf-8") == PAGES[file](), "run `make docs`"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_section_with_its_example(words: tuple[str, ...]) -> None:
    name = f"scx {' '.join(words)}"
    section = PAGES["cli.md"]().split(f"`{name}`\n", 1)[1].split("\n## ")[0]
    assert name in section.split("Example:")[1]


def test_every_section_that_an_alert_or_an_error_names_exists() -> None:
    headings = re.findall(r"^#+ (.*)$", (DOCS / "operate.md").read_text("utf-8"), re.MULTILINE)
    sections = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings}
    wording = (ROOT / "scx_pipeline" / "alerts" / "messages.py").read_text("utf-8")
    named = {why.anchor for why in FAILURE_KINDS.values()} | set(
        re.findall(r'guide_link\("([a-z-]+)"\)', wording)
    )
    assert len(named) > 12
    assert named <= sections
    assert set(re.findall(r"operate\.md#([a-z-]+)", PAGES["errors.md"]())) <= sections


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert (DOCS / target).exists(), target


def test_every_setting_has_a_row() -> None:
    page = PAGES["settings.md"]()
    assert all(f"\n| `SCX_{name.upper()}` |" in page for name in Settings.model_fields)


def test_every_variable_of_dagsters_files_has_a_row() -> None:
    assert named_variables() == DEPLOYMENT_VARIABLES.keys()
