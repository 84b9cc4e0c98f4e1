"""`scx lake status`: the months of a lake, the run that wrote them, and which of them differ from their objects.

Differences between files and manifest do not belong here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scx_pipeline.lake.format.layout import run_started_at
from scx_pipeline.lake.format.transaction import begin_transaction
from scx_pipeline.lake.inspect.lake_status import ALL_MONTHS, NO_MONTHS, LakeStatus, read_status
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.lake.loaded_stars import LOAD_ENVS
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import FACTS, STAGING, LoadEnv, edited_star, job
from scx_pipeline_tests.support.music_env import song
from scx_pipeline_tests.support.scx_command import Scx


@pytest.fixture
def lake(fresh_lake: Lake) -> Lake:
    """A lake that is current with its bucket."""
    return fresh_lake


def status_of(lake: Lake, load_env: LoadEnv | None = None) -> LakeStatus:
    load_env = load_env or lake.load_env
    found = read_status(load_env.compiled, lake.url, load_env.bucket_url)
    assert found is not None
    return found


def states(found: LakeStatus) -> dict[str, str]:
    return {part.month: f"{part.state}: {part.reason}".removesuffix(": ") for part in found.partitions}


MONTHS = ["2021-02", "2021-03", "2021-04", "2021-05"]  # a file of March may have rows of February
CURRENT = {**dict.fromkeys(MONTHS, "current"), ALL_MONTHS: ""}


def test_months_are_shown_with_rows_files_run_and_time(lake: Lake) -> None:
    found = status_of(lake)
    assert states(found) == CURRENT
    february, *months, total = found.partitions
    assert (sum(february.rows.values()), february.files) == (0, 0)
    for part in months:
        assert part.rows == {STAGING: 2, "users": 1, "projects": 1, "time": 2, FACTS: 2}
        assert part.files == len([item for files in lake.manifest.files.values() for item in files if item.month == Month.parse(part.month)])  # fmt: skip
        assert part.bytes > 0
        assert part.run == found.run == lake.manifest.run
        assert abs(datetime.now(UTC) - datetime.fromisoformat(part.written_at)).total_seconds() < 60
    assert total.rows == {name: len(lake.rows(name)) for name in lake.tables}
    assert (found.number, found.writer, found.unfinished_runs, found.bucket_error) == (2, None, [], "")
    assert found.bytes == sum(lake.store.list()[item] for item in lake.manifest.file_keys)


def test_a_month_is_changed_from_a_change_of_its_objects_until_it_is_written(lake: Lake) -> None:
    lake.load_env.put("2021/05/a.csv", [job(1, "2021-05-01 10:00:00")])
    lake.load_env.delete("2021/03/a.csv")
    lake.load_env.put("2021/08/a.csv", [job(2, "2021-08-09 10:00:00")])
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
    lake.load_env.load_changed()
    assert states(status_of(lake)) == changed
    lake.unload()
    assert set(states(status_of(lake)).values()) == {"current", ""}


def test_all_months_are_changed_after_a_change_of_the_sql(lake: Lake) -> None:
    star = edited_star(
        lake.folder,
        {"users.note": {"type": "integer"}},
        {"users": ("SELECT", "SELECT\n    plan_id AS note,")},
    )
    found = states(status_of(lake, replace(lake.load_env, compiled=star)))
    assert found == {**dict.fromkeys(MONTHS, "changed: the star's tables or SQL changed"), ALL_MONTHS: ""}


def test_unpartitioned_tables_have_a_row_and_make_months_stale(tmp_path: Path) -> None:
    load_env = LOAD_ENVS["songplays"](tmp_path)
    lake = Lake(lake_url("", tmp_path), load_env, tmp_path)
    lake.unload()
    found = status_of(lake)
    assert states(found) == {"2018-11": "current", "2018-12": "current", ALL_MONTHS: "", NO_MONTHS: "current"}
    assert found.partitions[-1].rows == {
        name: len(lake.rows(name)) for name in ("staging_songs", "songs", "artists")
    }
    load_env.put_key(
        "song_data/A/A/A/three.json", json.dumps(song("SOZCTXZ12AB0182366", title="Unknown")).encode()
    )
    assert states(status_of(lake))[NO_MONTHS] == "changed: objects changed"
    load_env.loader().refresh()
    lake.unload()
    found = status_of(lake)
    assert states(found)["2018-12"].startswith("stale: ")
    assert states(found)[NO_MONTHS] == "current"


def test_the_run_with_the_write_lock_and_unpublished_files_are_shown(lake: Lake) -> None:
    transaction = begin_transaction(lake.store, "scx", lake.messages.append)
    lake.store.write(f"{transaction.folder}time/a.parquet", b"12345")
    lake.store.write("_writing/20200101T000000000000-12345678/b.parquet", b"123")
    before = lake.store.list()
    found = status_of(lake)
    assert (found.writer, found.run) == (transaction.run, lake.manifest.run)
    assert [(item.run, item.files, item.bytes) for item in found.unfinished_runs] == [("20200101T000000000000-12345678", 1, 3), (transaction.run, 1, 5)]  # fmt: skip
    assert abs(datetime.now(UTC).replace(tzinfo=None) - run_started_at(transaction.run)).total_seconds() < 60
    assert lake.store.list() == before


def test_a_bucket_that_cannot_be_listed_is_reported_and_the_rest_is_shown(lake: Lake) -> None:
    found = read_status(lake.load_env.compiled, lake.url, (lake.folder / "nowhere").as_uri())
    assert found is not None
    assert "nowhere is not a folder" in found.bucket_error
    assert states(found) == dict.fromkeys([*MONTHS, ALL_MONTHS], "")


def test_a_lake_in_s3_has_the_same_status(lake: Lake, s3_bucket: str) -> None:
    other = replace(lake, url=f"{s3_bucket}/lakes/one")
    assert read_status(lake.load_env.compiled, other.url, lake.load_env.bucket_url) is None
    other.unload()
    mine, found = status_of(lake), status_of(other)
    assert found.url == f"{s3_bucket}/lakes/one/scx"
    assert [(part.month, part.rows, part.files, part.state) for part in found.partitions] == [
        (part.month, part.rows, part.files, part.state) for part in mine.partitions
    ]


# The command


@pytest.fixture
def settings(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_BUCKET_URL", lake.load_env.bucket_url)
    monkeypatch.setenv("SCX_LAKE_URL", lake.url)


@pytest.mark.usefixtures("settings")
def test_the_command_shows_a_line_per_month(lake: Lake, scx: Scx) -> None:
    begin_transaction(lake.store, "scx", lake.messages.append)
    lake.load_env.put("2021/05/a.csv", [job(1, "2021-05-01 10:00:00")])
    result = scx("lake", "status", "scx")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == f"{lake.store.url}: manifest 3"
    assert lines[1].split() == ["month", *lake.tables, "files", "MB", "run", "built", "(UTC)", "state"]
    assert [line.split()[0] for line in lines[2:6]] == MONTHS
    assert [line.rstrip().split("  ")[-1].strip() for line in lines[2:6]] == [
        *["current"] * 2,
        *["changed: objects changed"] * 2,
    ]
    assert f"the run {lake.manifest.writer} has held the write lock since" in result.out
    report = json.loads(scx("lake", "status", "scx", "--json").out)
    assert report["number"] == 3
    assert [part["month"] for part in report["partitions"]] == [*MONTHS, ALL_MONTHS]


@pytest.mark.usefixtures("settings")
def test_an_empty_lake_is_reported_in_one_line_and_no_folder_is_created(tmp_path: Path, scx: Scx) -> None:
    empty = tmp_path / "empty"
    result = scx("lake", "status", "scx", "--lake", empty.as_uri())
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        f"{empty.as_uri()} has no data of scx yet: run `scx lake build scx`, or `scx lake unload scx` to copy it from the warehouse\n"
    )
    assert json.loads(scx("lake", "status", "scx", "--lake", empty.as_uri(), "--json").out) is None
    assert not empty.exists()
