"""A lake that DuckDB builds: after any changes it equals one that is built from nothing, and what a load gives.

Interrupted builds do not belong here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import MONTH_FOLDERS, Table
from scx_pipeline.warehouse.duckdb import parquet_export
from scx_pipeline_tests.support.lake.lake_contents import contents, counts
from scx_pipeline_tests.support.lake.lake_loads import (
    STARS,
    LakeLoadEnv,
    change_scx,
    open_lake_load_env,
    put_music,
    put_scx,
)
from scx_pipeline_tests.support.load_env import FACTS, PREFIX, edited_star, job, range_of_keys
from scx_pipeline_tests.support.music_env import MusicEnv, song
from scx_pipeline_tests.support.sensor_env import sensor_star
from scx_pipeline_tests.support.stars import with_sources


def with_empty_lake(loads: LakeLoadEnv, name: str) -> LakeLoadEnv:
    """Return an environment with an empty lake over the same bucket."""
    return LakeLoadEnv(loads.load_env, f"{loads.lake}-{name}")


@pytest.mark.parametrize("star", STARS)
def test_incremental_builds_give_the_lake_of_a_full_build(star: str, tmp_path: Path) -> None:
    loads = open_lake_load_env(star, tmp_path)
    for change in STARS[star][1:]:
        change(loads.load_env)
        loads.build()
    assert loads.build() == []
    fresh = with_empty_lake(loads, "fresh")
    fresh.build()
    assert contents(loads) == contents(fresh)
    assert counts(loads) == counts(fresh)


def test_the_order_of_builds_does_not_matter(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    put_scx(loads.load_env)
    loads.build()
    backwards = with_empty_lake(loads, "backwards")
    for month in sorted(loads.manifest.months, reverse=True):
        backwards.builder().load(range_of_keys(str(month)))
    found, wanted = contents(backwards), contents(loads)
    # The counts of an object with rows of two months are those of the build that read it last.
    assert {name: rows for name, rows in found.items() if name != "_history/objects"} == {
        name: rows for name, rows in wanted.items() if name != "_history/objects"
    }


def test_a_build_of_a_month_leaves_the_files_of_other_months(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    put_scx(loads.load_env)
    loads.build()
    before = {item.key: item.month for item in loads.manifest.select_files(FACTS)}
    change_scx(loads.load_env)
    loads.builder().load(range_of_keys("2021-07"))
    after = {item.key: item.month for item in loads.manifest.select_files(FACTS)}
    assert {key: after[key] for key in before} == before
    assert {after[key] for key in after.keys() - before.keys()} == {Month(2021, 7)}


def test_unchanged_songs_are_not_written_again(tmp_path: Path) -> None:
    loads = open_lake_load_env("songplays", tmp_path)
    put_music(loads.load_env)
    loads.build()
    before = loads.manifest.select_files("songs")
    assert isinstance(loads.load_env, MusicEnv)
    loads.load_env.put_song("A/A/A/again", song("SOZCTXZ12AB0182364", year=1999))
    assert loads.build() == [UNPARTITIONED]
    assert loads.manifest.select_files("songs") == before
    assert len(loads.manifest.select_files("staging_songs")) == 1
    assert sum(item.rows for item in loads.manifest.select_files("staging_songs")) > len(before)


def test_a_lake_in_s3_equals_one_in_a_folder(s3_bucket: str, tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    put_scx(loads.load_env)
    loads.build()
    change_scx(loads.load_env)
    loads.build()
    remote = LakeLoadEnv(loads.load_env, f"{s3_bucket}/lake")
    remote.builder().load(range_of_keys("2021-07"))
    remote.build()
    remote.load()
    loads.load_env.warehouse_url = f"duckdb://{tmp_path}/other.duckdb"
    loads.load_raw()
    assert {
        name: [item.rows for item in remote.manifest.select_files(name)] for name in remote.manifest.files
    } == {name: [item.rows for item in loads.manifest.select_files(name)] for name in loads.manifest.files}


def test_an_invalid_file_is_one_rejected_row_of_a_lake(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    loads.load_env.compiled = with_sources(
        loads.load_env.compiled, on_invalid_file="reject", reject_limit=0.5
    )
    loads.load_env.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    key = loads.load_env.put_key(f"{PREFIX}2021/04/b.csv", b"job_id,job_id\n1,2\n")
    loads.build()
    found = contents(loads)
    assert len(found[FACTS]) == 1
    assert [row[1:3] for row in found["_history/rejected_rows"]] == [(key, None)]
    assert [row[1] for row in found["_history/objects"] if row[4:7] == (1, 0, 1)] == [key]


# Errors


def test_months_that_fail_a_check_are_unchanged_in_the_lake(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    put_scx(loads.load_env)
    loads.build()
    before = contents(loads)
    loads.load_env.put("2021/07/a.csv", [job(3, "2021-07-01 10:00:00")])  # a job of March
    with pytest.raises(CheckFailedError, match="job_id 3 occurs in 2021-03 and in 2021-07"):
        loads.build()
    history = "_history/objects"  # the other months were built again, and one of them has read the new object
    assert {**contents(loads), history: None} == {**before, history: None}
    assert not loads.store.list("_writing/")


def test_files_with_other_columns_are_not_mixed_with_new_files(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    put_scx(loads.load_env)
    loads.build()
    before = contents(loads)
    wider = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    changed = LakeLoadEnv(replace(loads.load_env, compiled=wider), loads.lake)
    with pytest.raises(
        LakeError,
        match=r"^users in \S+ does not match its declaration .*2021-04 is outside this build.*scx lake build scx --all",
    ):
        changed.builder().load(range_of_keys("2021-03"))
    assert contents(loads) == before
    changed.builder().load(range_of_keys("2021-02", "2021-08"))
    assert changed.manifest.schemas["users"][-1] == ("plan_id", "bigint", "file")


def test_a_lake_of_another_star_is_refused(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    put_scx(loads.load_env)
    loads.build()
    store = open_lake_store(loads.lake, "scx")
    builder = LakeBuilder(
        sensor_star(), loads.load_env.bucket, store, DuckDBLakeEngine(loads.load_env.limits), print
    )
    with pytest.raises(LakeError, match="is the lake of scx: choose another folder for sensor_readings"):
        builder.load(range_of_keys("2023-01"))


def test_months_outside_the_star_are_refused_before_any_write(tmp_path: Path) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    with pytest.raises(PipelineError, match="2019-12 is not a month of scx"):
        loads.builder().load(range_of_keys("2019-12"))
    assert not loads.store.list()


COLUMNS = (
    Column(name="at", type="timestamp", nullable=False, description="x"),
    Column(name="kind", type="varchar(8)", description="x"),
    Column(name="size", type="double", description="x"),
)


@pytest.mark.parametrize(
    ("event_time", "partition_by", "message"),
    [
        ("at", ["kind"], "it is partitioned by month, so partition_by must start with year, month"),
        ("at", [*MONTH_FOLDERS, "kinds"], "partition_by names kinds, which is not one of its columns"),
        (
            None,
            ["kind", "kind"],
            "partition_by names kind, which is not one of its columns or is named twice",
        ),
        (None, ["size"], "partition_by names size of type double: use"),
    ],
)
def test_invalid_partition_columns_are_refused_in_the_declaration(
    event_time: str | None, partition_by: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Table(
            name="t", role="staging", description="x", source="s", event_time=event_time,
            partition_by=tuple(partition_by), columns=COLUMNS,
        )  # fmt: skip


# Files


def test_a_large_month_is_split_into_files_and_a_small_one_is_one_row_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    many = [
        job(number, f"2021-03-{1 + number % 28:02d} 10:00:00", summary=f"{number:x}" * 9)
        for number in range(9000)
    ]
    loads.load_env.put("2021/03/a.csv", many)
    loads.load_env.put("2021/04/a.csv", [job(10_000, "2021-04-01 10:00:00")])
    monkeypatch.setattr(parquet_export, "ROW_GROUP_ROWS", 2048)
    monkeypatch.setattr(parquet_export, "MAX_FILE_SIZE", "20KB")
    loads.build()
    files = loads.manifest.select_files("staging_cleansed_logs")
    of_month = {
        month: [item for item in files if str(item.month) == month] for month in ("2021-03", "2021-04")
    }
    assert len(of_month["2021-03"]) > 1
    assert len(of_month["2021-04"]) == 1
    assert sum(item.rows for item in of_month["2021-03"]) == 9000
    loads.load()
    assert len(loads.load_env.table(FACTS)) == 9001
