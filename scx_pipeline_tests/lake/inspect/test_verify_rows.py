"""What a verification finds in the rows of a lake: wrong counts, columns, event times, keys and references.

Files that are missing or cannot be read are not tested here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from scx_pipeline_tests.lake.inspect.damaged_lake import (
    APRIL,
    file_of,
    findings_of,
    relist,
    rewrite,
    single_finding,
    write,
)
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import FACTS, MARCH, create_load_env, edited_star, job

# Rows and columns


def test_row_counts_that_differ_from_the_manifest_are_reported(lake: Lake) -> None:
    item = file_of(lake, FACTS)
    rewrite(lake, item, lambda table: table.slice(0, 1))
    finding = single_finding(lake)
    assert (finding.file, finding.problem) == (item.key, "the file has 1 row, not 2 as in the manifest")
    relist(lake, replace(file_of(lake, FACTS), rows=1))
    finding = single_finding(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-04", "")
    assert finding.problem == "the files have 1 row, but the manifest says 2"


def test_files_of_a_month_that_was_never_built_are_reported(lake: Lake) -> None:
    manifest = lake.manifest
    months = {month: state for month, state in manifest.months.items() if month != APRIL}
    write(lake.store, replace(manifest, months=months))
    findings = findings_of(lake)
    assert {(f.table, f.month) for f in findings} >= {("time", "2021-04"), ("_latest/users", "2021-04")}
    assert {f.problem for f in findings if f.table == FACTS} == {
        "the files have 2 rows, but the manifest does not list the month as built"
    }


COLUMNS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "type": (
        lambda t: t.set_column(1, "hour", pc.cast(t["hour"], pa.int64())),
        "hour is int64, not int32",
    ),
    "missing": (lambda t: t.drop_columns(["hour", "week"]), "missing columns: hour, week"),
    "undeclared": (lambda t: t.append_column("own", t["hour"]), "undeclared columns: own"),
    "order": (
        lambda t: t.select(["hour", "created_at", "day", "week", "weekday"]),
        "the columns are in another order: hour, created_at, day, week, weekday",
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_that_differ_from_the_declaration_are_reported(lake: Lake, kind: str) -> None:
    change, problem = COLUMNS[kind]
    item = file_of(lake, "time")
    rewrite(lake, item, change)
    finding = single_finding(lake)
    assert (finding.file, finding.problem) == (item.key, problem)


def test_a_table_with_a_changed_declaration_is_reported_once(lake: Lake) -> None:
    facts = {"time": {"partition_by": ["year", "month", "day"]}, "users.plan_id": {"type": "bigint"}}
    load_env = replace(lake.load_env, compiled=edited_star(lake.folder, facts))
    findings = findings_of(replace(lake, load_env=load_env))
    assert [(f.table, f.month, f.file, f.problem) for f in findings] == [
        ("users", "", "", "the star now declares other columns or folders: plan_id"),
        ("_latest/users", "", "", "the star now declares other columns or folders: plan_id"),
        ("time", "", "", "the star now declares other columns or folders: day"),
    ]


def test_event_times_outside_the_month_are_reported(lake: Lake) -> None:
    item = file_of(lake, "time")

    def later(table: pa.Table) -> pa.Table:
        moved = pc.add(table["created_at"], pa.scalar(timedelta(days=30), pa.duration("us")))
        return table.set_column(0, "created_at", moved)

    rewrite(lake, item, later)
    finding = single_finding(lake)
    assert finding.file == item.key
    assert (
        finding.problem
        == "created_at ranges from 2021-05-01 10:00:00 to 2021-05-02 10:00:00, outside 2021-04"
    )


# Keys and references


def test_duplicate_keys_are_reported_with_examples_and_months(lake: Lake) -> None:
    def as_in_march(table: pa.Table) -> pa.Table:
        return table.set_column(0, "job_id", pa.array([31, 42], pa.int32()))

    rewrite(lake, file_of(lake, FACTS), as_in_march)
    finding = single_finding(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-03, 2021-04", "")
    assert finding.problem == "1 duplicate keys, such as job_id 31"


def test_orphan_references_are_reported(lake: Lake) -> None:
    item = file_of(lake, "users", None)
    rewrite(lake, item, lambda table: table.set_column(0, "user_id", pa.array([999], pa.int32())))
    finding = single_finding(lake)
    assert (finding.table, finding.month) == (FACTS, "2021-03, 2021-04, 2021-05")
    assert finding.problem == "user_id is missing in users in 6 rows, such as user_id 211"


def test_key_columns_that_name_folders_are_read_from_the_folder_names(tmp_path: Path) -> None:
    facts = {FACTS: {"partition_by": ["year", "month", "user_id", "ground_profile"]}}
    load_env = create_load_env(tmp_path, compiled=edited_star(tmp_path, facts))
    rows = [job(n, f"2021-03-{n + 1:02d} 10:00:00", user_id=n, ground_profile="a b/é") for n in range(4)]
    load_env.put("2021/03/a.csv", rows)
    load_env.load(MARCH)
    lake = Lake(lake_url("", tmp_path), load_env, tmp_path)
    lake.unload()
    assert findings_of(lake) == []
    rewrite(lake, file_of(lake, "users", None), lambda table: table.set_column(0, "user_id", pa.array([0, 1, 2, 9], pa.int32())))  # fmt: skip
    finding = single_finding(lake)
    assert finding.file == next(
        item.key for item in lake.manifest.select_files(FACTS) if "user_id=3" in item.key
    )
    assert finding.problem == "user_id is missing in users in 1 row, such as user_id 3"
