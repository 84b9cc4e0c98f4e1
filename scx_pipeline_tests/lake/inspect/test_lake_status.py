"""What `scx lake status` says of a lake: what stands, by which run, and which months are not as their objects are.
Whether the files are as the manifest says is tested in test_verify.py."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scx_pipeline.lake.format.commit import begin
from scx_pipeline.lake.inspect.lake_status import ALL_MONTHS, NO_MONTHS, LakeStatus, began, read_status
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.cli.conftest import Scx, scx  # noqa: F401  (a fixture)
from scx_pipeline_tests.lake.conftest import WORLDS
from scx_pipeline_tests.support.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import FACTS, STAGING, World, edited_star, job
from scx_pipeline_tests.support.music_env import song


@pytest.fixture
def lake(fresh_lake: Lake) -> Lake:
    """A lake whose objects are those that it was made from."""
    return fresh_lake


def status_of(lake: Lake, world: World | None = None) -> LakeStatus:
    world = world or lake.world
    found = read_status(world.compiled, lake.url, world.bucket_url)
    assert found is not None
    return found


def states(found: LakeStatus) -> dict[str, str]:
    return {part.month: f"{part.state}: {part.why}".removesuffix(": ") for part in found.parts}


MONTHS = ["2021-02", "2021-03", "2021-04", "2021-05"]  # a file of March may have rows of February
CURRENT = {**dict.fromkeys(MONTHS, "current"), ALL_MONTHS: ""}


def test_months_that_stand_are_told_with_rows_files_run_and_time(lake: Lake) -> None:
    found = status_of(lake)
    assert states(found) == CURRENT
    february, *months, whole = found.parts
    assert (sum(february.rows.values()), february.files) == (0, 0)
    for part in months:
        assert part.rows == {STAGING: 2, "users": 1, "projects": 1, "time": 2, FACTS: 2}
        assert part.files == len([item for files in lake.manifest.files.values() for item in files if item.month == Month.parse(part.month)])  # fmt: skip
        assert part.bytes > 0
        assert part.run == found.run == lake.manifest.run
        assert abs(datetime.now(UTC) - datetime.fromisoformat(part.at)).total_seconds() < 60
    assert whole.rows == {name: len(lake.rows(name)) for name in lake.tables}
    assert (found.number, found.writer, found.left, found.unlisted) == (2, None, [], "")
    assert found.bytes == sum(lake.place.list()[item] for item in lake.manifest.keys)


def test_a_month_is_changed_when_its_objects_are_and_stays_so_until_it_is_written(lake: Lake) -> None:
    lake.world.put("2021/05/a.csv", [job(1, "2021-05-01 10:00:00")])
    lake.world.delete("2021/03/a.csv")
    lake.world.put("2021/08/a.csv", [job(2, "2021-08-09 10:00:00")])
    changed = states(status_of(lake))
    assert changed == {
        "2021-02": "changed: its objects are gone",
        "2021-03": "changed: objects changed",
        "2021-04": "changed: objects changed",
        "2021-05": "changed: objects changed",
        "2021-07": "changed: not built",
        "2021-08": "changed: not built",
        ALL_MONTHS: "",
    }
    lake.world.load_changed()
    assert states(status_of(lake)) == changed
    lake.unload()
    assert set(states(status_of(lake)).values()) == {"current", ""}


def test_all_months_are_changed_when_the_stars_sql_is(lake: Lake) -> None:
    star = edited_star(
        lake.folder,
        {"users.note": {"type": "integer"}},
        {"users": ("SELECT", "SELECT\n    plan_id AS note,")},
    )
    found = states(status_of(lake, replace(lake.world, compiled=star)))
    assert found == {**dict.fromkeys(MONTHS, "changed: the star's tables or SQL changed"), ALL_MONTHS: ""}


def test_tables_without_months_have_a_row_and_make_months_stale(tmp_path: Path) -> None:
    world = WORLDS["songplays"](tmp_path)
    lake = Lake(lake_url("", tmp_path), world, tmp_path)
    lake.unload()
    found = status_of(lake)
    assert states(found) == {"2018-11": "current", "2018-12": "current", ALL_MONTHS: "", NO_MONTHS: "current"}
    assert found.parts[-1].rows == {
        name: len(lake.rows(name)) for name in ("staging_songs", "songs", "artists")
    }
    world.put_key(
        "song_data/A/A/A/three.json", json.dumps(song("SOZCTXZ12AB0182366", title="Unknown")).encode()
    )
    assert states(status_of(lake))[NO_MONTHS] == "changed: objects changed"
    world.loader().refresh()
    lake.unload()
    found = status_of(lake)
    assert states(found)["2018-12"].startswith("stale: ")
    assert states(found)[NO_MONTHS] == "current"


def test_a_run_that_has_the_turn_is_told_and_what_it_has_left(lake: Lake) -> None:
    turn = begin(lake.place, "scx", lake.told.append)
    lake.place.write(f"{turn.folder}time/a.parquet", b"12345")
    lake.place.write("_writing/20200101T000000000000-12345678/b.parquet", b"123")
    before = lake.place.list()
    found = status_of(lake)
    assert (found.writer, found.run) == (turn.run, lake.manifest.run)
    assert [(left.run, left.files, left.bytes) for left in found.left] == [("20200101T000000000000-12345678", 1, 3), (turn.run, 1, 5)]  # fmt: skip
    assert abs(datetime.now(UTC).replace(tzinfo=None) - began(turn.run)).total_seconds() < 60
    assert lake.place.list() == before


def test_a_bucket_that_cannot_be_listed_is_told_and_the_rest_is_shown(lake: Lake) -> None:
    found = read_status(lake.world.compiled, lake.url, (lake.folder / "nowhere").as_uri())
    assert found is not None
    assert "nowhere is not a folder" in found.unlisted
    assert states(found) == dict.fromkeys([*MONTHS, ALL_MONTHS], "")


def test_in_s3_it_is_the_same(lake: Lake, s3_bucket: str) -> None:
    other = replace(lake, url=f"{s3_bucket}/lakes/one")
    assert read_status(lake.world.compiled, other.url, lake.world.bucket_url) is None
    other.unload()
    mine, found = status_of(lake), status_of(other)
    assert found.url == f"{s3_bucket}/lakes/one/scx"
    assert [(part.month, part.rows, part.files, part.state) for part in found.parts] == [
        (part.month, part.rows, part.files, part.state) for part in mine.parts
    ]


# The command


@pytest.fixture
def settings(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_BUCKET_URL", lake.world.bucket_url)
    monkeypatch.setenv("SCX_LAKE_URL", lake.url)


@pytest.mark.usefixtures("settings")
def test_the_command_shows_a_line_for_each_month(lake: Lake, scx: Scx) -> None:  # noqa: F811
    begin(lake.place, "scx", lake.told.append)
    lake.world.put("2021/05/a.csv", [job(1, "2021-05-01 10:00:00")])
    told = scx("lake", "status", "scx")
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0] == f"{lake.place.url}: manifest 3"
    assert lines[1].split() == ["month", *lake.tables, "files", "MB", "run", "made", "(UTC)", "state"]
    assert [line.split()[0] for line in lines[2:6]] == MONTHS
    assert [line.rstrip().split("  ")[-1].strip() for line in lines[2:6]] == [
        *["current"] * 2,
        *["changed: objects changed"] * 2,
    ]
    assert f"the run {lake.manifest.writer} has had the turn since" in told.out
    report = json.loads(scx("lake", "status", "scx", "--json").out)
    assert report["number"] == 3
    assert [part["month"] for part in report["parts"]] == [*MONTHS, ALL_MONTHS]


@pytest.mark.usefixtures("settings")
def test_an_empty_lake_is_told_in_one_line_and_no_folder_is_made(tmp_path: Path, scx: Scx) -> None:  # noqa: F811
    empty = tmp_path / "empty"
    told = scx("lake", "status", "scx", "--lake", empty.as_uri())
    assert (told.code, told.err) == (0, "")
    assert told.out == (
        f"{empty.as_uri()} has nothing of scx yet: run `scx lake build scx`, or `scx lake unload scx` to take it out of the warehouse\n"
    )
    assert json.loads(scx("lake", "status", "scx", "--lake", empty.as_uri(), "--json").out) is None
    assert not empty.exists()
