"""What `scx lake verify` finds: each kind of damage is named, with file, month and advice, and a sound lake is sound.
How a lake comes to be is tested in pipeline/."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.commit import begin
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import DataFile, Manifest
from scx_pipeline.lake.inspect.findings import Finding
from scx_pipeline.lake.inspect.verify import Verified, Verifier
from scx_pipeline.model.calendar import Month
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.cli.conftest import Scx, scx  # noqa: F401  (a fixture)
from scx_pipeline_tests.support.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import FACTS, MARCH, edited_star, folder_world, job

APRIL = Month(2021, 4)
LIMITS = Limits("200MB", 1)


def verified(lake: Lake) -> Verified:
    return Verifier(lake.world.compiled, LIMITS, lake.told.append).run(lake.url)


def found(lake: Lake) -> list[Finding]:
    return list(verified(lake).findings)


def file_of(lake: Lake, table: str, month: Month | None = APRIL) -> DataFile:
    return next(item for item in lake.manifest.of(table) if item.month == month)


def rewrite(lake: Lake, item: DataFile, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change what is in a file, and let the manifest say that its size is right."""
    content = bytes(obstore.get(lake.place.store, item.key).bytes())
    sink = io.BytesIO()
    pq.write_table(change(pq.ParquetFile(io.BytesIO(content)).read()), sink)
    lake.place.write(item.key, sink.getvalue())
    relist(lake, replace(item, bytes=len(sink.getvalue())))


def relist(lake: Lake, *items: DataFile) -> None:
    """Let the manifest that stands say something else of files, by their keys."""
    manifest, changed = lake.manifest, {item.key: item for item in items}
    files = {
        folder: tuple(changed.get(item.key, item) for item in listed)
        for folder, listed in manifest.files.items()
    }
    write(lake.place, replace(manifest, files=files))


def write(place: LakeStore, manifest: Manifest) -> None:
    place.write(manifest.key, manifest.as_bytes())


def only(lake: Lake) -> Finding:
    findings = found(lake)
    assert len(findings) == 1, findings
    return findings[0]


# Sound lakes


def test_a_sound_lake_is_sound(any_lake: Lake) -> None:
    before = any_lake.place.list()
    done = verified(any_lake)
    assert done.findings == []
    assert done.files == len(any_lake.manifest.keys)
    assert done.rows == sum(len(any_lake.rows(name)) for name in any_lake.tables)
    assert any_lake.place.list() == before
    assert any("footers: 0 of" in message for message in any_lake.told)


def test_a_lake_in_s3_is_read_there(lake: Lake, s3_bucket: str) -> None:
    other = replace(lake, url=f"{s3_bucket}/lakes/one")
    other.unload()
    assert found(other) == []
    gone, doubled = file_of(other, "time"), file_of(other, FACTS)
    other.place.remove([gone.key])
    rewrite(other, doubled, lambda table: table.take([0, 0]))
    assert {(item.table, item.file) for item in found(other)} == {("time", gone.key), (FACTS, doubled.key)}


# Files


def test_a_missing_file_is_named_with_its_month_and_what_to_do(lake: Lake) -> None:
    item = file_of(lake, "time")
    lake.place.remove([item.key])
    assert only(lake) == Finding(
        "time",
        "2021-04",
        item.key,
        "the file is missing",
        "write it anew: scx lake build, or unload, --month 2021-04",
    )


def test_a_file_of_another_size_is_named(lake: Lake) -> None:
    item = file_of(lake, "users", None)
    lake.place.write(item.key, b"PAR1")
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == ("users", "", item.key)
    assert finding.what == f"the file has 4 bytes, by the manifest {item.bytes:,}"
    assert finding.advice == "write it anew: scx lake build, or unload"


def test_a_file_that_is_no_parquet_is_named(lake: Lake) -> None:
    item = file_of(lake, "_newest/users")
    lake.place.write(item.key, b"x" * item.bytes)
    finding = only(lake)
    assert (finding.table, finding.file) == ("_newest/users", item.key)
    assert finding.what.startswith("the file cannot be read: ")


def test_a_file_whose_values_are_damaged_is_named(lake: Lake) -> None:
    item = file_of(lake, FACTS)
    content = bytearray(obstore.get(lake.place.store, item.key).bytes())
    content[4:80] = b"\xff" * 76  # the first column's values, and not the footer
    lake.place.write(item.key, bytes(content))
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-04", item.key)
    assert finding.what.startswith("the file cannot be read: ")
    assert "scx-" not in finding.what


def test_strays_are_named_and_those_of_a_run_go_by_themselves(lake: Lake) -> None:
    item = file_of(lake, "time")
    content = bytes(obstore.get(lake.place.store, item.key).bytes())
    keys = ["time/year=2021/month=4/copy.parquet", "users/20200101T000000000000-12345678-a.parquet"]
    for key in (*keys, "time/_SUCCESS", "elsewhere/a.parquet"):
        lake.place.write(key, content)
    findings = found(lake)
    assert [(f.table, f.month, f.file, f.advice) for f in findings] == [
        ("time", "2021-04", keys[0], "move it elsewhere"),
        ("users", "", keys[1], "the next run removes it"),
    ]


def test_what_the_run_that_has_the_turn_puts_in_its_place_is_no_stray(lake: Lake) -> None:
    turn = begin(lake.place, "scx", lake.told.append)
    lake.place.write(f"time/year=2021/month=4/{turn.run}-data_0.parquet", b"x")
    assert found(lake) == []


def test_a_file_in_another_months_folder_or_in_none_is_named(lake: Lake) -> None:
    item, other = file_of(lake, "time"), file_of(lake, FACTS)
    moved = {
        item.key: item.key.replace("month=4/", "month=5/a-"),
        other.key: other.key.replace("month=4/", ""),
    }
    manifest = lake.manifest
    for source, target in moved.items():
        lake.place.move(source, target)
    files = {
        folder: tuple(replace(one, key=moved.get(one.key, one.key)) for one in listed)
        for folder, listed in manifest.files.items()
    }
    write(lake.place, replace(manifest, files=files))
    assert {f.file: f.what for f in found(lake)} == {
        moved[item.key]: "the file is of 2021-04, and in the folder of another month",
        moved[other.key]: f"the file should be in folders of year, month below {FACTS}/",
    }


# Rows and columns


def test_rows_that_are_not_as_many_as_the_manifest_says_are_told(lake: Lake) -> None:
    item = file_of(lake, FACTS)
    rewrite(lake, item, lambda table: table.slice(0, 1))
    finding = only(lake)
    assert (finding.file, finding.what) == (item.key, "the file has 1 rows, by the manifest 2")
    relist(lake, replace(file_of(lake, FACTS), rows=1))
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-04", "")
    assert finding.what == "the files have 1 rows, by the manifest 2"


def test_months_that_were_never_made_have_no_files(lake: Lake) -> None:
    manifest = lake.manifest
    months = {month: made for month, made in manifest.months.items() if month != APRIL}
    write(lake.place, replace(manifest, months=months))
    findings = found(lake)
    assert {(f.table, f.month) for f in findings} >= {("time", "2021-04"), ("_newest/users", "2021-04")}
    assert {f.what for f in findings if f.table == FACTS} == {
        "2 rows are in files, and by the manifest it was never made"
    }


COLUMNS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "type": (
        lambda t: t.set_column(1, "hour", pc.cast(t["hour"], pa.int64())),
        "hour is int64, not int32",
    ),
    "missing": (lambda t: t.drop_columns(["hour", "week"]), "it lacks the columns hour, week"),
    "other": (lambda t: t.append_column("own", t["hour"]), "it has also own"),
    "order": (
        lambda t: t.select(["hour", "created_at", "day", "week", "weekday"]),
        "its columns are in another order: hour, created_at, day, week, weekday",
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_that_are_not_as_declared_are_told(lake: Lake, kind: str) -> None:
    change, what = COLUMNS[kind]
    item = file_of(lake, "time")
    rewrite(lake, item, change)
    finding = only(lake)
    assert (finding.file, finding.what) == (item.key, what)


def test_a_table_that_was_declared_otherwise_is_told_as_one(lake: Lake) -> None:
    facts = {"time": {"partition_by": ["year", "month", "day"]}, "users.plan_id": {"type": "bigint"}}
    world = replace(lake.world, compiled=edited_star(lake.folder, facts))
    findings = found(replace(lake, world=world))
    assert [(f.table, f.month, f.file, f.what) for f in findings] == [
        ("users", "", "", "the star declares other columns or folders now: plan_id"),
        ("_newest/users", "", "", "the star declares other columns or folders now: plan_id"),
        ("time", "", "", "the star declares other columns or folders now: day"),
    ]


def test_moments_outside_the_month_are_told(lake: Lake) -> None:
    item = file_of(lake, "time")

    def later(table: pa.Table) -> pa.Table:
        moved = pc.add(table["created_at"], pa.scalar(timedelta(days=30), pa.duration("us")))
        return table.set_column(0, "created_at", moved)

    rewrite(lake, item, later)
    finding = only(lake)
    assert finding.file == item.key
    assert finding.what == "created_at goes from 2021-05-01 10:00:00 to 2021-05-02 10:00:00, outside 2021-04"


# Keys and references


def test_keys_that_stand_twice_are_told_with_examples_and_months(lake: Lake) -> None:
    def as_in_march(table: pa.Table) -> pa.Table:
        return table.set_column(0, "job_id", pa.array([31, 42], pa.int32()))

    rewrite(lake, file_of(lake, FACTS), as_in_march)
    finding = only(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-03, 2021-04", "")
    assert finding.what == "1 keys stand more than once, such as job_id 31"


def test_references_to_what_is_not_there_are_told(lake: Lake) -> None:
    item = file_of(lake, "users", None)
    rewrite(lake, item, lambda table: table.set_column(0, "user_id", pa.array([999], pa.int32())))
    finding = only(lake)
    assert (finding.table, finding.month) == (FACTS, "2021-03, 2021-04, 2021-05")
    assert finding.what == "6 rows point to no row of users, such as user_id 211"


def test_keys_that_name_folders_are_read_from_there(tmp_path: Path) -> None:
    facts = {FACTS: {"partition_by": ["year", "month", "user_id", "ground_profile"]}}
    world = folder_world(tmp_path, compiled=edited_star(tmp_path, facts))
    rows = [job(n, f"2021-03-{n + 1:02d} 10:00:00", user_id=n, ground_profile="a b/é") for n in range(4)]
    world.put("2021/03/a.csv", rows)
    world.load(MARCH)
    lake = Lake(lake_url("", tmp_path), world, tmp_path)
    lake.unload()
    assert found(lake) == []
    rewrite(lake, file_of(lake, "users", None), lambda table: table.set_column(0, "user_id", pa.array([0, 1, 2, 9], pa.int32())))  # fmt: skip
    finding = only(lake)
    assert finding.file == next(item.key for item in lake.manifest.of(FACTS) if "user_id=3" in item.key)
    assert finding.what == "1 rows point to no row of users, such as user_id 3"


# The command


def test_a_lake_that_is_written_meanwhile_is_not_judged(lake: Lake) -> None:
    lake.place.remove([file_of(lake, "time").key])

    def committed(message: str) -> None:
        if message.startswith("footers: 0"):
            lake.unload()

    with pytest.raises(LakeError, match="was written while it was verified: run it again"):
        Verifier(lake.world.compiled, LIMITS, committed).run(lake.url)


def test_the_command_ends_with_1_and_a_table_of_what_is_wrong(lake: Lake, scx: Scx) -> None:  # noqa: F811
    told = scx("lake", "verify", "scx", "--lake", lake.url)
    assert (told.code, told.out) == (
        0,
        f"{lake.place.url}, manifest 2: {len(lake.manifest.keys)} files, 20 rows: all is as the manifest says\n",
    )
    item = file_of(lake, "time")
    lake.place.remove([item.key])
    told = scx("lake", "verify", "scx", "--lake", lake.url)
    assert told.code == 1
    assert "1 findings" in told.out
    assert "the file is missing" in told.out
    told = scx("lake", "verify", "scx", "--lake", lake.url, "--json")
    assert told.code == 1
    [finding] = json.loads(told.out)["findings"]
    assert (finding["file"], finding["month"]) == (item.key, "2021-04")
    told = scx("lake", "verify", "scx", "--lake", (lake.folder / "none").as_uri())
    assert told.code == 1
    assert "has nothing of scx yet" in told.err


def test_the_command_prints_views_and_makes_them_in_a_file(lake: Lake, scx: Scx) -> None:  # noqa: F811
    told = scx("lake", "views", "scx", "--lake", lake.url)
    assert told.code == 0
    assert told.out.count("CREATE OR REPLACE VIEW") == 5
    told = scx("lake", "views", "scx", "--lake", lake.url, "--into", str(lake.folder / "own.duckdb"))
    assert (told.code, told.out) == (0, f"{lake.folder / 'own.duckdb'}: 5 views of {lake.place.url}\n")
    told = scx("lake", "views", "scx", "--for", "spark", "--into", "a.duckdb")
    assert (told.code, "choose one of --for and --into" in told.err) == (1, True)
