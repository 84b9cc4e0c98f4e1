"""Which stars there are: SCX_STARS, and stars that exclude each other.

What a declaration may contain is not tested here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from scx_pipeline.declarations.declared_stars import find_stars, load_declared_stars, star_names
from scx_pipeline.errors import DeclarationError, PipelineError, SettingsError
from scx_pipeline_tests.support.stars import StarCopy

SAMPLES = ["scx", "sensor_readings", "songplays"]


def copy_as(parent: Path, name: str, schema: str) -> Path:
    """Copy the star scx under another name and schema, and return its declaration."""
    parent.mkdir(exist_ok=True)
    folder = StarCopy.of("scx", parent).folder.rename(parent / name)
    path = folder / "defs.yaml"
    text = path.read_text("utf-8").replace("name: scx\n", f"name: {name}\n")
    path.write_text(text.replace("schema: public", f"schema: {schema}"), "utf-8")
    return path


def test_without_the_setting_the_samples_are_the_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCX_STARS", raising=False)
    assert star_names() == SAMPLES


def test_the_setting_replaces_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_as(tmp_path / "a", "jobs", "one")
    copy_as(tmp_path / "b", "more_jobs", "two")
    monkeypatch.setenv("SCX_STARS", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert [compiled.star.name for compiled in load_declared_stars()] == ["jobs", "more_jobs"]


def test_the_word_samples_keeps_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_as(tmp_path, "jobs", "jobs")
    monkeypatch.setenv("SCX_STARS", f"samples{os.pathsep}{tmp_path}")
    assert star_names() == ["jobs", *SAMPLES]


def test_a_relative_folder_and_the_home_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = copy_as(tmp_path / "stars", "jobs", "jobs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_stars([Path("stars")]) == find_stars([Path("~/stars")]) == {"jobs": declaration.parent}


def test_folders_without_a_declaration_and_of_other_components_are_no_stars(tmp_path: Path) -> None:
    copy_as(tmp_path, "jobs", "jobs")
    (tmp_path / "notes").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "defs.yaml").write_text("type: shop.components.Report\nattributes: {}\n")
    assert list(find_stars([tmp_path])) == ["jobs"]


def test_an_invalid_declaration_is_a_star(tmp_path: Path) -> None:
    path = copy_as(tmp_path, "jobs", "jobs")
    path.write_text("attributes: [")
    assert list(find_stars([tmp_path])) == ["jobs"]


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    message = (
        f"the folder of stars {tmp_path}/absent does not exist: set SCX_STARS to folders in which each star "
    )
    with pytest.raises(SettingsError, match=re.escape(message)):
        find_stars([tmp_path / "absent"])


def test_a_folder_without_stars_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"the folder {tmp_path} holds no star: each star is a folder"):
        find_stars([tmp_path])


def test_a_stars_own_folder_is_reported_with_its_parent(tmp_path: Path) -> None:
    folder = copy_as(tmp_path, "jobs", "jobs").parent
    with pytest.raises(SettingsError, match=f"it is a star: name its parent, {tmp_path}$"):
        find_stars([folder])


def test_two_stars_of_one_name_are_refused(tmp_path: Path) -> None:
    first, second = copy_as(tmp_path / "a", "jobs", "one"), copy_as(tmp_path / "b", "jobs", "two")
    with pytest.raises(DeclarationError) as error:
        find_stars([tmp_path / "a", tmp_path / "b"])
    assert str(error.value) == f"{second}: the star jobs is also declared in {first}: rename one of them"


def test_a_folder_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    copy_as(tmp_path, "jobs", "jobs")
    assert list(find_stars([tmp_path, tmp_path])) == ["jobs"]


def test_two_stars_with_one_table_are_refused(tmp_path: Path) -> None:
    first, second = copy_as(tmp_path / "a", "jobs", "same"), copy_as(tmp_path / "b", "more_jobs", "same")
    with pytest.raises(DeclarationError) as error:
        find_stars([tmp_path / "a", tmp_path / "b"])
    lines = [
        number for number, text in enumerate(first.read_text().splitlines(), 1) if "name: staging_" in text
    ]
    assert str(error.value) == (
        f"{second}, line {lines[0]}: the table same.staging_cleansed_logs is also declared in {first}, line {lines[0]}: "
        "give one of the stars another schema, or rename a table"
    )


def test_a_star_that_is_not_named_as_its_folder_is_refused(tmp_path: Path) -> None:
    path = copy_as(tmp_path, "jobs", "jobs")
    path.parent.rename(tmp_path / "orders")
    with pytest.raises(
        PipelineError, match=r"orders/defs.yaml, line \d+: the star is named jobs, but its folder orders"
    ):
        find_stars([tmp_path])
