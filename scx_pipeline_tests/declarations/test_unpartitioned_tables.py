"""Tables without months, and fields of JSON: what a declaration may say of them, and what is refused, with file and line.
What a load makes of them is tested in pipeline/."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline_tests.support.stars import StarCopy


@pytest.fixture
def star(tmp_path: Path) -> StarCopy:
    return StarCopy.of("songplays", tmp_path)


def test_the_star_knows_which_tables_have_months_and_which_read_those_without() -> None:
    compiled = load_star(stars_folder() / "songplays")
    assert [table.name for table in compiled.star.unpartitioned] == ["staging_songs", "songs", "artists"]
    assert [table.name for table in compiled.star.monthly] == ["staging_events", "users", "time", "songplays"]
    assert [table.name for table in compiled.reading_unpartitioned()] == ["songplays"]
    order = [table.name for table in compiled.order]
    assert max(order.index("songs"), order.index("artists")) < order.index("songplays")


REFUSED: dict[str, tuple[str, str, str]] = {
    "a staging table with an event time that its source lacks": (
        "      event_time: ts\n      null_values", "      null_values", "table staging_events: event_time must be left out, as in source log_data",
    ),
    "a table made whole without an order": (
        "      sequence_by: [year, song_id]\n", "", "table artists: it has no event_time, so it is made whole and needs key and sequence_by",
    ),
    "a unit of what is no moment": (
        "{name: status, type: integer,", "{name: status, type: integer, unit: seconds,", "table staging_events: status has a unit, and must be a timestamp",
    ),
    "an unknown unit": ("unit: milliseconds, nullable: false", "unit: hours, nullable: false", "'seconds', 'milliseconds' or 'microseconds'"),
    "a field of a derived table": (
        '{name: title, type: varchar(1024), nullable: false, description: The title.}', '{name: title, field: Title, type: varchar(1024), nullable: false, description: The title.}',
        "table songs: title says how it is read from a source, which only staging tables are",
    ),
    "a field of a CSV source": ("format: json_lines", "format: csv", "table staging_events: first_name names a field, which a csv source has none of"),
    "a field that is a value and an object": (
        "field: userId", "field: song.user", "table staging_events: song takes the field song as a value, and user_id looks into it",
    ),
    "a way to nowhere": ("field: userId", "field: user..id", "'user..id' is not the way to a field"),
    "a reference to a table with months": (
        "references: artists, description: The artist.}", "references: users, description: The artist.}",
        "table songs: it has no months, and artist_id references users, which has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_told(star: StarCopy, case: tuple[str, str, str]) -> None:
    old, new, told = case
    star.replace(old, new)
    assert told in star.mistake()


def test_a_table_without_months_reads_none_that_has_them(star: StarCopy) -> None:
    star.write(
        "sql/songs.sql",
        "SELECT song AS song_id, song AS title, artist AS artist_id, status AS year, length AS duration FROM staging_events\n",
    )
    assert (
        star.mistake()
        == "sql/songs.sql: songs has no months (no event_time), and reads staging_events, which has"
    )


def test_a_table_kept_by_key_reads_none_without_months(star: StarCopy) -> None:
    text = (
        star.path("sql/users.sql")
        .read_text()
        .replace("FROM staging_events", "FROM staging_events INNER JOIN songs ON song = title")
    )
    star.write("sql/users.sql", text.replace("    level,", "    staging_events.level,"))
    assert star.mistake().startswith(
        "sql/users.sql: users is kept by key, and reads songs, which has no months; give users its event_time"
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("sql/songs.sql", "    year,", "    COALESCE(year, 0) AS year,", "unpartitioned_version"),
        ("sql/songplays.sql", "    e.level,", "    COALESCE(e.level, 'free') AS level,", "version"),
        ("defs.yaml", "{name: num_songs, type: integer,", "{name: num_songs, type: bigint,", "unpartitioned_version"),
        ("defs.yaml", "field: firstName,", "field: first_name,", "version"),
        ("defs.yaml", "      min_rows: 0\n", "", ""),
        ("defs.yaml", "description: The title.}", "description: Its title.}", ""),
    ],
)  # fmt: skip
def test_a_change_makes_due_only_what_it_is_about(
    star: StarCopy, file: str, old: str, new: str, changed: str
) -> None:
    before = star.load()
    star.replace(old, new, file)
    after = star.load()
    differing = {
        name for name in ("version", "unpartitioned_version") if getattr(before, name) != getattr(after, name)
    }
    assert differing == ({changed} if changed else set())
