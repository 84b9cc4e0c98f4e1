"""Which rejected rows are read: by month, reason and file, up to a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.model.calendar import Month
from scx_pipeline.reporting import rejected_rows
from scx_pipeline.reporting.rejected_rows import RejectedRowFilter, RejectedRows, read_rejected_rows
from scx_pipeline_tests.support.load_env import PREFIX, LoadEnv, job
from scx_pipeline_tests.support.music_env import create_music_env, event, song

FIRST, SECOND, ANY = "2021/03/first.csv", "2021/04/100%_'new'.csv", "auto_classify_jobs_concatenated.csv"


def put_bad_rows(load_env: LoadEnv) -> None:
    """Write three files with 40 valid rows each and one, two and one invalid rows."""
    bad = {
        FIRST: [job(901, "2021-03-02 10:00:00", user_id="unknown")],
        SECOND: [job(902, "yesterday"), job(903, "2021-04-02 10:00:00", user_id="50%")],
        ANY: [job(904, "2021-03-02 10:00:00", plan_id="x")],
    }
    for number, (name, rows) in enumerate(bad.items()):
        day = f"2021-{name[5:7]}-03" if name != ANY else "2021-03-03"
        valid = [job(number * 100 + index, f"{day} 10:00:00") for index in range(1, 41)]
        load_env.put(name, [*valid, *rows])
    load_env.load("2021-02", "2021-04")


def read(load_env: LoadEnv, wanted: RejectedRowFilter, limit: int | None = None) -> RejectedRows:
    with load_env.open_loaded() as session:
        return read_rejected_rows(session, load_env.compiled.star, wanted, limit)


def columns_of(found: RejectedRows) -> list[tuple[str, str | None]]:
    """Return file and column of the rows that were read."""
    return [(row[0].removeprefix(PREFIX), row[2]) for row in found.rows]


CASES = {
    "nothing": (
        RejectedRowFilter(),
        [(FIRST, "user_id"), (SECOND, "created_at"), (SECOND, "user_id"), (ANY, "plan_id")],
    ),
    "a month, whose rows may be in the next month's files": (
        RejectedRowFilter(month=Month(2021, 3)),
        [(FIRST, "user_id"), (SECOND, "created_at"), (SECOND, "user_id"), (ANY, "plan_id")],
    ),
    "the last month": (
        RejectedRowFilter(month=Month(2021, 4)),
        [(SECOND, "created_at"), (SECOND, "user_id"), (ANY, "plan_id")],
    ),
    "a month that only files without a month may contain": (
        RejectedRowFilter(month=Month(2020, 1)),
        [(ANY, "plan_id")],
    ),
    "a part of the reason in another case": (
        RejectedRowFilter(reason="NOT a Timestamp"),
        [(SECOND, "created_at")],
    ),
    "a reason with a wildcard of LIKE": (RejectedRowFilter(reason="50%"), [(SECOND, "user_id")]),
    "a part of a key with a quote": (
        RejectedRowFilter(file="%_'new'"),
        [(SECOND, "created_at"), (SECOND, "user_id")],
    ),
    "everything": (
        RejectedRowFilter(month=Month(2021, 4), reason="integer", file="2021/04"),
        [(SECOND, "user_id")],
    ),
    "a file that does not exist": (RejectedRowFilter(file="_____"), []),
}


@pytest.mark.reader_independent
def test_rejected_rows_are_filtered_on_every_engine(load_env: LoadEnv) -> None:
    put_bad_rows(load_env)
    for case, (wanted, rows) in CASES.items():
        found = read(load_env, wanted)
        assert sorted(columns_of(found)) == sorted(rows), case
        assert (found.stored, found.not_stored) == (len(rows), 0), case


def test_rejected_rows_are_limited_in_the_order_of_files_and_lines(duckdb_env: LoadEnv) -> None:
    put_bad_rows(duckdb_env)
    everything = read(duckdb_env, RejectedRowFilter()).rows
    assert [(row[0], row[1]) for row in everything] == sorted((row[0], row[1]) for row in everything)
    for limit in (1, 2, 3, 4, 5):
        found = read(duckdb_env, RejectedRowFilter(), limit)
        assert found.rows == everything[:limit]
        assert found.stored == 4


def test_rows_that_are_only_counted_are_those_of_the_selected_files(duckdb_env: LoadEnv) -> None:
    put_bad_rows(duckdb_env)
    with duckdb_env.warehouse.transaction("scx") as session:
        session.execute("DELETE FROM scx_pipeline.rejected_rows WHERE object_key LIKE '%2021/04%'")
    assert read(duckdb_env, RejectedRowFilter()).not_stored == 2
    assert read(duckdb_env, RejectedRowFilter(file=FIRST)).not_stored == 0
    assert read(duckdb_env, RejectedRowFilter(month=Month(2021, 4))).not_stored == 2
    assert read(duckdb_env, RejectedRowFilter(month=Month(2020, 1))).not_stored == 0


def test_rejected_rows_of_unpartitioned_sources_belong_to_no_month(tmp_path: Path) -> None:
    music_env = create_music_env(tmp_path)
    for number in range(40):
        music_env.put_song(f"A/{number:02d}", song(f"SO{number}"))
    music_env.put_song("A/bad", song("SO99", duration="long"))
    music_env.put_day("2018-11-10", [event(1, 0, "2018-11-10 10:00:00")])
    music_env.settle()
    assert read(music_env, RejectedRowFilter()).stored == 1
    assert read(music_env, RejectedRowFilter(month=Month(2018, 11))).stored == 0


def test_the_rows_of_many_objects_are_read_in_parts(
    duckdb_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_bad_rows(duckdb_env)
    everything = read(duckdb_env, RejectedRowFilter())
    monkeypatch.setattr(rejected_rows, "MAX_OBJECTS", 1)
    assert read(duckdb_env, RejectedRowFilter()) == everything
