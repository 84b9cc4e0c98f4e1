"""A lake that the embedded engine builds: after any changes it is what a build from nothing makes, and what a load makes.
Lakes that Spark builds are in spark/, what becomes of runs that are killed in test_kills."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.model.table import MONTH_FOLDERS, Table
from scx_pipeline.model.column import Column
from scx_pipeline.model.calendar import Month
from scx_pipeline.warehouse import export
from scx_pipeline_tests.support.lake_contents import contents, counts
from scx_pipeline_tests.support.lake_loads import STARS, Loads, change_scx, open_loads, put_music, put_scx
from scx_pipeline_tests.support.music_env import MusicWorld, song
from scx_pipeline_tests.support.sensor_env import sensor_star
from scx_pipeline_tests.support.load_env import FACTS, edited_star, job, range_of_keys


def another(loads: Loads, name: str) -> Loads:
    """An empty lake over the same bucket."""
    return Loads(loads.world, f"{loads.lake}-{name}")


@pytest.mark.parametrize("star", STARS)
def test_after_changes_the_lake_is_what_a_build_from_nothing_makes(star: str, tmp_path: Path) -> None:
    loads = open_loads(star, tmp_path)
    for change in STARS[star][1:]:
        change(loads.world)
        loads.build()
    assert loads.build() == []
    fresh = another(loads, "fresh")
    fresh.build()
    assert contents(loads) == contents(fresh)
    assert counts(loads) == counts(fresh)


def test_months_may_be_built_in_any_order(tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    put_scx(loads.world)
    loads.build()
    backwards = another(loads, "backwards")
    for month in sorted(loads.manifest.months, reverse=True):
        backwards.builder().load(range_of_keys(str(month)))
    found, wanted = contents(backwards), contents(loads)
    # Of an object that has rows of two months, the build that read it last says what it took.
    assert {name: rows for name, rows in found.items() if name != "_accounts/objects"} == {
        name: rows for name, rows in wanted.items() if name != "_accounts/objects"
    }


def test_a_build_of_a_month_touches_no_other_month(tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    put_scx(loads.world)
    loads.build()
    before = {item.key: item.month for item in loads.manifest.of(FACTS)}
    change_scx(loads.world)
    loads.builder().load(range_of_keys("2021-07"))
    after = {item.key: item.month for item in loads.manifest.of(FACTS)}
    assert {key: after[key] for key in before} == before
    assert {after[key] for key in after.keys() - before.keys()} == {Month(2021, 7)}


def test_songs_that_are_as_they_were_are_not_written_again(tmp_path: Path) -> None:
    loads = open_loads("songplays", tmp_path)
    put_music(loads.world)
    loads.build()
    before = loads.manifest.of("songs")
    assert isinstance(loads.world, MusicWorld)
    loads.world.put_song("A/A/A/again", song("SOZCTXZ12AB0182364", year=1999))
    assert loads.build() == [None]
    assert loads.manifest.of("songs") == before
    assert len(loads.manifest.of("staging_songs")) == 1
    assert sum(item.rows for item in loads.manifest.of("staging_songs")) > len(before)


def test_a_bucket_and_a_lake_in_s3_hold_what_folders_do(s3_bucket: str, tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    put_scx(loads.world)
    loads.build()
    change_scx(loads.world)
    loads.build()
    remote = Loads(loads.world, f"{s3_bucket}/lake")
    remote.builder().load(range_of_keys("2021-07"))
    remote.build()
    remote.load()
    loads.world.warehouse_url = f"duckdb://{tmp_path}/other.duckdb"
    loads.load_raw()
    assert {name: [item.rows for item in remote.manifest.of(name)] for name in remote.manifest.files} == {
        name: [item.rows for item in loads.manifest.of(name)] for name in loads.manifest.files
    }


# What is refused


def test_a_check_that_fails_keeps_the_lake_as_it_was(tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    put_scx(loads.world)
    loads.build()
    before = contents(loads)
    loads.world.put("2021/07/a.csv", [job(3, "2021-07-01 10:00:00")])  # a job that stands in March
    with pytest.raises(CheckFailedError, match="job_id 3 stands in 2021-03 and in 2021-07"):
        loads.build()
    assert contents(loads) == before
    assert not loads.place.list("_writing/")


def test_files_of_other_columns_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    put_scx(loads.world)
    loads.build()
    before = contents(loads)
    wider = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    changed = Loads(replace(loads.world, compiled=wider), loads.lake)
    with pytest.raises(
        LakeError,
        match=r"^users stands in \S+ with other columns or folders .*2021-04 is not part of this build.*scx lake build scx --all",
    ):
        changed.builder().load(range_of_keys("2021-03"))
    assert contents(loads) == before
    changed.builder().load(range_of_keys("2021-02", "2021-08"))
    assert changed.manifest.shapes["users"][-1] == ("plan_id", "bigint", "file")


def test_a_lake_of_another_star_is_refused(tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    put_scx(loads.world)
    loads.build()
    place = open_lake_store(loads.lake, "scx")
    builder = LakeBuilder(sensor_star(), loads.world.bucket, place, DuckDBLakeEngine(loads.world.limits), print)
    with pytest.raises(LakeError, match="is the lake of scx: choose another folder for sensor_readings"):
        builder.load(range_of_keys("2023-01"))


def test_months_outside_the_star_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    loads = open_loads("scx", tmp_path)
    with pytest.raises(PipelineError, match="2019-12 is no month of scx"):
        loads.builder().load(range_of_keys("2019-12"))
    assert not loads.place.list()


COLUMNS = (
    Column(name="at", type="timestamp", nullable=False, description="x"),
    Column(name="kind", type="varchar(8)", description="x"),
    Column(name="size", type="double", description="x"),
)


@pytest.mark.parametrize(
    ("event_time", "partition_by", "told"),
    [
        ("at", ["kind"], "it is kept by month, so partition_by begins with year, month"),
        ("at", [*MONTH_FOLDERS, "kinds"], "partition_by names kinds, which is none of its columns"),
        (None, ["kind", "kind"], "partition_by names kind, which is none of its columns, or is named twice"),
        (None, ["size"], "partition_by names size, of type double, and a folder is named by"),
    ],
)
def test_folders_that_cannot_be_are_refused_where_they_are_declared(
    event_time: str | None, partition_by: list[str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Table(
            name="t", role="staging", description="x", source="s", event_time=event_time,
            partition_by=tuple(partition_by), columns=COLUMNS,
        )  # fmt: skip


# Files


def test_a_large_month_is_cut_into_files_and_a_small_one_is_one_row_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = open_loads("scx", tmp_path)
    many = [
        job(number, f"2021-03-{1 + number % 28:02d} 10:00:00", summary=f"{number:x}" * 9)
        for number in range(9000)
    ]
    loads.world.put("2021/03/a.csv", many)
    loads.world.put("2021/04/a.csv", [job(10_000, "2021-04-01 10:00:00")])
    monkeypatch.setattr(export, "ROW_GROUP_ROWS", 2048)
    monkeypatch.setattr(export, "LARGEST_FILE", "20KB")
    loads.build()
    files = loads.manifest.of("staging_cleansed_logs")
    of_month = {
        month: [item for item in files if str(item.month) == month] for month in ("2021-03", "2021-04")
    }
    assert len(of_month["2021-03"]) > 1
    assert len(of_month["2021-04"]) == 1
    assert sum(item.rows for item in of_month["2021-03"]) == 9000
    loads.load()
    assert len(loads.world.table(FACTS)) == 9001
