"""docs/architecture.md and docs/index.md match the repository: packages, glossary and pages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scx_pipeline.model.column import Column, DaysAfter
from scx_pipeline.model.query import Chart, Query
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "scx_pipeline"
ARCHITECTURE = (DOCS / "architecture.md").read_text("utf-8")


def listed_packages() -> dict[str, str]:
    """Return the packages that the page lists, as paths, with their charters."""
    tree = ARCHITECTURE.split("scx_pipeline/\n", 1)[1].split("```")[0]
    packages: dict[str, str] = {}
    parents: list[str] = []
    for indent, name, charter in re.findall(r"^( +)(\w+)/ +(.+)$", tree, re.MULTILINE):
        parents = [*parents[: len(indent) // 2 - 1], name]
        packages["/".join(parents)] = charter
    return packages


def glossary() -> list[tuple[str, str, str]]:
    """Return the rows of the glossary: term, meaning, place."""
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", ARCHITECTURE.split("## Glossary")[1], re.MULTILINE)
    return rows[1:]


def test_the_page_lists_every_package_with_the_first_line_of_its_charter() -> None:
    charters = {
        path.parent.relative_to(PACKAGE).as_posix(): ast.get_docstring(ast.parse(path.read_text("utf-8")))
        for path in PACKAGE.rglob("__init__.py")
        if path.parent != PACKAGE
    }
    assert listed_packages() == {name: (text or "").split("\n")[0] for name, text in charters.items()}


def test_every_place_of_the_glossary_exists() -> None:
    assert len(glossary()) > 30
    for term, _, place in glossary():
        for path in re.findall(r"`([^`]+)`", place):
            assert (ROOT / path).exists(), term


def test_every_place_of_a_change_exists() -> None:
    table = ARCHITECTURE.split("## Where a change belongs")[1].split("## ")[0]
    places = re.findall(
        r"`([\w/]+(?:\.py)?)`", " ".join(row.split(" | ")[1] for row in table.splitlines()[4:-1])
    )
    assert len(places) > 10
    assert [place for place in places if not (PACKAGE / place).exists()] == []


def test_every_class_that_the_glossary_names_exists() -> None:
    defined = set(
        re.findall(
            r"^(?:class )?([A-Z]\w+)(?:[:(\[]| = )",
            "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py")),
            re.MULTILINE,
        )
    )
    named = {name for _, meaning, _ in glossary() for name in re.findall(r"`([A-Z][a-z]+\w*)`", meaning)}
    assert len(named) > 8
    assert named <= defined


def test_no_term_of_the_glossary_is_defined_twice() -> None:
    terms = [term for row in glossary() for term in row[0].split(", ")]
    assert sorted(set(terms)) == sorted(terms)


@pytest.mark.parametrize("page", ["index.md", "architecture.md"])
def test_every_image_and_link_leads_somewhere(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", text):
        assert (DOCS / target).exists(), target


def test_the_index_lists_every_page_once() -> None:
    linked = re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "index.md").read_text("utf-8"))
    assert sorted(linked) == sorted(page.name for page in DOCS.glob("*.md") if page.name != "index.md")


@pytest.mark.parametrize("model", [Star, Source, FilePattern, Table, Column, DaysAfter, Query, Chart])
def test_the_page_about_stars_explains_every_key_of_a_declaration(model: type) -> None:
    page = (DOCS / "stars.md").read_text("utf-8")
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        assert f"`{field.alias or name}`" in page, name


@pytest.mark.parametrize("path", sorted((DOCS / "adr").glob("*.md")), ids=lambda path: path.stem)
def test_every_decision_has_a_status(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert re.fullmatch(rf"# {int(path.name[:4])}\. .+", lines[0])
    assert re.match(r"\*\*Status\.\*\* (Accepted|Amended|Superseded)", lines[2])
