"""Loads of additions: only the new objects of a month are read, and the result is that of reading all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    STAGING,
    LoadEnv,
    create_load_env,
    edited_star,
    filled,
    job,
    jobs_of,
)
from scx_pipeline_tests.support.music_env import MusicEnv, event, song

# Added objects are always parsed by the pipeline.
pytestmark = pytest.mark.reader_independent

OLD = [job(n, f"{MARCH}-05 10:00:{n:02d}", user_id=n % 4, project_id=n % 3) for n in range(1, 41)]
NEW = [job(100 + n, f"{MARCH}-07 10:00:{n:02d}", user_id=n % 5, project_id=n % 4) for n in range(5)]


def put(load_env: LoadEnv, name: str, rows: Iterable[Mapping[str, object]]) -> None:
    load_env.put(f"2021/03/{name}.csv", rows)


def loaded_march(load_env: LoadEnv, rows: Iterable[Mapping[str, object]] = OLD) -> LoadEnv:
    put(load_env, "a", rows)
    load_env.load(MARCH)
    return load_env


def assert_equals_a_build_from_nothing(
    load_env: LoadEnv, folder: Path, first: str = MARCH, last: str = MARCH
) -> None:
    built = create_load_env(folder / "built", compiled=load_env.compiled)
    built.bucket_url = load_env.bucket_url
    built.load(first, last)
    expected, found = filled(built), filled(load_env)
    assert found == expected


def read_objects(report: LoadReport) -> list[str]:
    return sorted(
        count.object.info.key.rpartition("/")[2] for item in report.ingest_results for count in item.counts
    )


def test_only_the_new_object_of_a_month_is_read(load_env: LoadEnv, tmp_path: Path) -> None:
    loaded_march(load_env)
    put(load_env, "b", NEW)
    report = load_env.load(MARCH)
    assert read_objects(report) == ["b.csv"]
    assert (report.read, report.loaded) == (5, 5)
    assert {name: sum(table.rows.values()) for name, table in report.tables.items()}[FACTS] == 45
    assert all(check.passed for check in report.checks)
    assert load_env.changed() == ["2021-02"]  # may contain rows of the new object, too
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def test_objects_are_added_one_by_one(load_env: LoadEnv, tmp_path: Path) -> None:
    loaded_march(load_env)
    for number, row in enumerate(NEW):
        put(load_env, f"b{number}", [row])
        assert read_objects(load_env.load(MARCH)) == [f"b{number}.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def test_a_dimension_takes_a_later_row_of_a_key_and_keeps_its_row_if_the_added_one_is_earlier(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    loaded_march(load_env, [*OLD, job(50, f"{MARCH}-10 00:00:00", user_id=7, plan_id=1)])
    put(load_env, "b", [job(51, f"{MARCH}-09 00:00:00", user_id=7, plan_id=2)])
    load_env.load(MARCH)
    assert (7, 1) in load_env.table("users", "user_id, plan_id")
    put(load_env, "c", [job(52, f"{MARCH}-11 00:00:00", user_id=7, plan_id=3)])
    load_env.load(MARCH)
    assert (7, 3) in load_env.table("users", "user_id, plan_id")
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def test_an_event_time_that_exists_already_is_not_added_twice(load_env: LoadEnv, tmp_path: Path) -> None:
    loaded_march(load_env)
    put(load_env, "b", [job(200, OLD[0]["created_at"]), job(201, OLD[0]["created_at"])])
    assert read_objects(load_env.load(MARCH)) == ["b.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path)


@pytest.mark.parametrize("updated", ["2021-03-01 00:00:00", "2021-05-01 00:00:00"], ids=["older", "newer"])
def test_the_month_is_read_as_a_whole_if_a_key_exists_already(
    updated: str, load_env: LoadEnv, tmp_path: Path
) -> None:
    loaded_march(load_env)
    put(load_env, "b", [*NEW, job(1, f"{MARCH}-08 10:00:00", updated_at=updated, user_id=9)])
    assert read_objects(load_env.load(MARCH)) == ["a.csv", "b.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def change(load_env: LoadEnv) -> None:
    put(load_env, "a", [*OLD, job(300, f"{MARCH}-09 10:00:00")])


def remove(load_env: LoadEnv) -> None:
    load_env.delete("2021/03/a2.csv")


@pytest.mark.parametrize("edit", [change, remove], ids=lambda edit: edit.__name__)
def test_the_month_is_read_as_a_whole_if_another_object_has_changed(
    edit: Callable[[LoadEnv], None], load_env: LoadEnv, tmp_path: Path
) -> None:
    put(load_env, "a2", [job(400, f"{MARCH}-09 10:00:00")])
    loaded_march(load_env)
    put(load_env, "b", NEW)
    edit(load_env)
    assert read_objects(load_env.load(MARCH))[:1] == ["a.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def test_the_month_is_read_as_a_whole_if_its_sql_has_changed(load_env: LoadEnv, tmp_path: Path) -> None:
    loaded_march(load_env)
    put(load_env, "b", NEW)
    load_env.compiled = edited_star(tmp_path, sql={"users": ("plan_id,", "plan_id + 1 AS plan_id,")})
    assert read_objects(load_env.load(MARCH)) == ["a.csv", "b.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def test_an_object_that_was_read_for_another_month_only_is_not_taken_for_a_part_of_the_month(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    loaded_march(load_env)
    late = [job(500, f"{MARCH}-31 23:00:00"), job(501, f"{APRIL}-02 10:00:00")]
    load_env.put("2021/04/late.csv", late)
    load_env.load(APRIL)
    put(load_env, "b", NEW)
    assert read_objects(load_env.load(MARCH)) == ["a.csv", "b.csv", "late.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path, MARCH, APRIL)


def test_a_month_that_songs_made_stale_is_read_as_a_whole(music_env: MusicEnv) -> None:
    music_env.put_day("2018-11-10", [event(session, 0, "2018-11-10 10:00:00") for session in range(20)])
    music_env.settle()
    music_env.put_song("a", song("SO1"))
    music_env.refresh()
    assert music_env.changed() == ["2018-11"]
    music_env.put_day("2018-11-20", [event(50, 0, "2018-11-20 10:00:00")])
    assert read_objects(music_env.load("2018-11")) == ["2018-11-10-events.json", "2018-11-20-events.json"]
    assert {song_id for _, song_id, _ in music_env.plays()} == {"SO1"}


def test_a_table_that_does_not_follow_row_by_row_is_built_again(load_env: LoadEnv, tmp_path: Path) -> None:
    counted = "GROUP BY created_at"
    sql = {
        "time": (
            "(SELECT DISTINCT created_at FROM staging_cleansed_logs)",
            f"(SELECT created_at FROM {STAGING} {counted})",
        )
    }
    load_env.compiled = edited_star(tmp_path, sql=sql)
    loaded_march(load_env)
    put(load_env, "b", [*NEW, job(600, OLD[3]["created_at"])])
    assert read_objects(load_env.load(MARCH)) == ["b.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def test_a_month_of_a_table_that_had_no_rows_is_built_again(load_env: LoadEnv, tmp_path: Path) -> None:
    facts: Mapping[str, object] = {"equal_row_count": None, "min_rows": 0, "key": []}
    sql = {FACTS: (f"FROM {STAGING}", f"FROM {STAGING} WHERE plan_id = 9")}
    load_env.compiled = edited_star(tmp_path, {FACTS: facts}, sql)
    loaded_march(load_env)
    put(load_env, "b", [*NEW, job(650, f"{MARCH}-09 10:00:00", plan_id=9)])
    assert read_objects(load_env.load(MARCH)) == ["b.csv"]
    assert jobs_of(load_env) == [650]
    assert_equals_a_build_from_nothing(load_env, tmp_path)


def test_added_rows_that_violate_a_check_hold_the_month_as_it_is(load_env: LoadEnv) -> None:
    loaded_march(load_env, [*OLD, job(50, "never")])
    before = jobs_of(load_env), load_env.table("users"), load_env.state("months", "month, fingerprint")
    put(load_env, "b", [*NEW, job(700, f"{MARCH}-09 10:00:00", plan_id=2000, user_id=50)])
    with pytest.raises(CheckFailedError, match="plan_id is outside 0 … 1000 in 1 row in 2021-03") as caught:
        load_env.load(MARCH)
    report = caught.value.report
    assert isinstance(report, LoadReport)
    assert (read_objects(report), report.rejected) == (["a.csv", "b.csv"], 1), "judged by all of its objects"
    assert (
        jobs_of(load_env),
        load_env.table("users"),
        load_env.state("months", "month, fingerprint"),
    ) == before


def test_the_month_is_read_as_a_whole_if_a_rule_has_changed(load_env: LoadEnv, tmp_path: Path) -> None:
    loaded_march(load_env, [*OLD, job(50, f"{MARCH}-10 00:00:00", plan_id=900)])
    load_env.compiled = edited_star(tmp_path, {f"{STAGING}.plan_id": {"range": [0, 800]}})
    put(load_env, "b", NEW)
    with pytest.raises(CheckFailedError, match="plan_id is outside 0 … 800 in 1 row in 2021-03"):
        load_env.load(MARCH)


def test_the_share_of_rejected_rows_counts_the_rows_that_are_not_read_again(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    loaded_march(load_env)
    bad = [job(800, f"{MARCH}-09 10:00:00"), job(801, "never")]
    put(load_env, "b", bad)
    report = load_env.load(MARCH)
    assert read_objects(report) == ["b.csv"]
    assert report.rejected == 1
    assert_equals_a_build_from_nothing(load_env, tmp_path)
    put(load_env, "c", [job(802, "never"), job(803, "never")])
    with pytest.raises(CheckFailedError, match="rejected"):
        load_env.load(MARCH)


def test_a_new_object_of_two_months_is_added_to_both(load_env: LoadEnv, tmp_path: Path) -> None:
    loaded_march(load_env)
    load_env.put("2021/04/a.csv", [job(900 + n, f"{APRIL}-05 10:00:{n:02d}") for n in range(20)])
    load_env.load(MARCH, APRIL)
    load_env.put("2021/04/b.csv", [job(950, f"{MARCH}-31 23:30:00"), job(951, f"{APRIL}-06 10:00:00")])
    assert read_objects(load_env.load(MARCH, APRIL)) == ["b.csv"]
    assert_equals_a_build_from_nothing(load_env, tmp_path, MARCH, APRIL)
