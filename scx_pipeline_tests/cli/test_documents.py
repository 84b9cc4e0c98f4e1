"""docs/cli.md and docs/settings.md are what the command and the settings are now.
What the commands do is tested beside it."""

from __future__ import annotations

import pytest

from scx_pipeline.settings import Settings
from scx_pipeline_tests.cli.test_cli import COMMANDS
from scx_pipeline_tests.documents import DOCS, OF_THE_INSTANCE, PAGES, named_variables


@pytest.mark.parametrize("file", PAGES)
def test_the_page_is_as_make_docs_would_write_it(file: str) -> None:
    assert (DOCS / file).read_text("utf-8") == PAGES[file](), "run `make docs`"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_section_with_its_example(words: tuple[str, ...]) -> None:
    name = f"scx {' '.join(words)}"
    section = PAGES["cli.md"]().split(f"`{name}`\n", 1)[1].split("\n## ")[0]
    assert name in section.split("Example:")[1]


def test_every_setting_has_a_row() -> None:
    page = PAGES["settings.md"]()
    assert all(f"\n| `SCX_{name.upper()}` |" in page for name in Settings.model_fields)


def test_every_variable_of_dagsters_files_has_a_row() -> None:
    assert named_variables() == OF_THE_INSTANCE.keys()
