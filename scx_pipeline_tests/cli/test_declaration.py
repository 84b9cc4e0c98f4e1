"""`scx check` and `scx schema`: output, JSON and exit codes, without a bucket or a warehouse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scx_pipeline.declarations import star_folder
from scx_pipeline.declarations.declaration_schema import declaration_schema
from scx_pipeline_tests.support.scx_command import Scx
from scx_pipeline_tests.support.stars import StarCopy

StarOf = Callable[[str], StarCopy]


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, StarCopy]:
    """Return copies of two of the project's stars, which take the place of all stars."""
    found = {name: StarCopy.of(name, tmp_path / "stars") for name in ("scx", "songplays")}
    monkeypatch.setattr(star_folder, "files", lambda package: tmp_path)
    return found


# scx check


def test_check_of_valid_stars_prints_one_line_per_star_and_needs_nothing_else(scx: Scx, home: Path) -> None:
    result = scx("check")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "scx: valid, with 5 tables from 1 source",
        "sensor_readings: valid, with 4 tables from 1 source",
        "songplays: valid, with 7 tables from 2 sources",
    ]
    assert not home.exists()


def test_check_reports_the_first_mistake_of_each_star_with_file_and_line(
    scx: Scx, copies: dict[str, StarCopy]
) -> None:
    line = copies["scx"].replace("format: csv", "formet: csv")
    copies["songplays"].replace("FROM staging_songs", "FROM staging_sings", "sql/songs.sql")
    result = scx("check")
    assert (result.code, result.out) == (1, "")
    first, second = result.err.splitlines()
    assert first == (
        f"error: {copies['scx'].path('defs.yaml')}, line {line}: unknown key 'formet'; did you mean 'format'?"
    )
    assert second.startswith(f"error: {copies['songplays'].path('sql/songs.sql')}, line ")
    assert second.endswith("unknown table 'staging_sings'; did you mean staging_songs?")


def test_check_of_one_star_ignores_the_mistakes_of_others(scx: Scx, copies: dict[str, StarCopy]) -> None:
    copies["songplays"].replace("format: json\n", "format: xml\n")
    assert scx("check", "scx").code == 0
    result = scx("check", "scx", "songplays", "--json")
    stars = json.loads(result.out)["stars"]
    assert result.code == 1
    assert stars["scx"]["sources"] == ["auto_classify_jobs"]
    assert "defs.yaml, line " in stars["songplays"]["error"]


def test_check_of_an_unknown_star_suggests_a_name(scx: Scx) -> None:
    result = scx("check", "sxc")
    assert (result.code, result.err) == (1, "error: there is no star 'sxc'; did you mean scx?\n")


# scx schema


def test_schema_prints_the_json_schema_of_a_declaration(scx: Scx, home: Path) -> None:
    result = scx("schema")
    assert (result.code, json.loads(result.out)) == (0, declaration_schema())
    assert not home.exists()
