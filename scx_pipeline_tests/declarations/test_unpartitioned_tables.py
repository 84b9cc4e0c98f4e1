"""Rules for unpartitioned tables, their dependents, and code versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline_tests.support.stars import StarCopy


@pytest.fixture
def music(tmp_path: Path) -> StarCopy:
    """A copy of the star songplays that the test may change."""
    return StarCopy.of("songplays", tmp_path)


def test_a_star_knows_its_unpartitioned_tables_and_their_dependents() -> None:
    compiled = load_star(stars_folder() / "songplays")
    assert [table.name for table in compiled.star.unpartitioned_tables] == [
        "staging_songs",
        "songs",
        "artists",
    ]
    assert [table.name for table in compiled.star.monthly_tables] == [
        "staging_events",
        "users",
        "time",
        "songplays",
    ]
    assert [table.name for table in compiled.unpartitioned_dependents()] == ["songplays"]
    order = [table.name for table in compiled.build_order]
    assert max(order.index("songs"), order.index("artists")) < order.index("songplays")


ALL_SONGS = "FROM staging_songs"


@pytest.mark.parametrize("other", ["staging_events", "users", "time", "songplays"])
def test_an_unpartitioned_table_that_reads_monthly_tables_is_rejected_even_in_subqueries(
    music: StarCopy, other: str
) -> None:
    music.replace(ALL_SONGS, f"{ALL_SONGS}\nWHERE year > (SELECT COUNT(*) FROM {other})", "sql/artists.sql")
    assert (
        music.mistake()
        == f"sql/artists.sql: artists is unpartitioned (it has no event_time), but reads {other}, which is not"
    )


@pytest.mark.parametrize("other", ["staging_songs", "songs", "artists"])
def test_a_keyed_table_that_reads_unpartitioned_tables_is_rejected_even_in_subqueries(
    music: StarCopy, other: str
) -> None:
    within = "AND song IN (WITH known AS (SELECT artist_id FROM {}) SELECT artist_id FROM known)"
    music.replace("user_id IS NOT NULL", f"user_id IS NOT NULL {within.format(other)}", "sql/users.sql")
    assert music.mistake() == (
        f"sql/users.sql: users holds one row per key, but reads {other}, which is unpartitioned; "
        f"add its event_time to the columns of users, or join {other} where users is used"
    )


def test_an_unpartitioned_table_can_read_another_and_returns_no_event_time(music: StarCopy) -> None:
    music.replace(
        ALL_SONGS, "FROM staging_songs\nWHERE song_id IN (SELECT song_id FROM songs)", "sql/artists.sql"
    )
    compiled = music.load()
    order = [table.name for table in compiled.build_order]
    assert order.index("songs") < order.index("artists") < order.index("songplays")
    assert list(compiled.output_types(compiled.star.table("artists"))) == [
        *("artist_id", "name", "location", "latitude", "longitude"),
        *("year", "song_id"),
    ]


def test_an_unpartitioned_table_returns_exactly_its_columns_and_sequence(music: StarCopy) -> None:
    music.replace("    year,\n", "", "sql/artists.sql")
    assert music.mistake() == "sql/artists.sql: the SELECT does not return year, which artists declares"
    music.replace("    song_id\n", "    song_id,\n    year,\n    duration\n", "sql/artists.sql")
    assert music.mistake() == "sql/artists.sql: the SELECT returns duration, which artists does not declare"


def test_tables_are_built_after_their_inputs_and_partitioned_tables_first(music: StarCopy) -> None:
    compiled = music.load()
    assert [table.name for table in compiled.build_order] == [
        "time",
        "songs",
        "artists",
        "songplays",
        "users",
    ]
    assert compiled.downstream({"staging_songs"}) == {"staging_songs", "songs", "artists", "songplays"}
    assert compiled.downstream({"staging_events"}) == {"staging_events", "time", "songplays", "users"}


def test_only_partitioned_tables_that_read_unpartitioned_tables_depend_on_them(
    star: StarCopy, music: StarCopy
) -> None:
    assert star.load().unpartitioned_dependents() == []
    assert [table.name for table in music.load().unpartitioned_dependents()] == ["songplays"]
    music.replace(
        "WHERE page = 'NextSong'",
        "WHERE page = 'NextSong' AND song IN (SELECT title FROM songs)",
        "sql/time.sql",
    )
    assert [table.name for table in music.load().unpartitioned_dependents()] == ["time", "songplays"]


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        # what decides the rows of unpartitioned tables
        ("sql/songs.sql", "    year,", "    COALESCE(year, 0) AS year,", "unpartitioned"),
        ("sql/artists.sql", "FROM staging_songs", "FROM staging_songs\nWHERE year > 0", "unpartitioned"),
        ("defs.yaml", "      sequence_by: [year]\n", "      sequence_by: [duration]\n", "unpartitioned"),
        ("defs.yaml", '"**/*.json*"', '"*/**.json*"', "unpartitioned"),
        ("defs.yaml", "prefix: song_data/", "prefix: songs/", "unpartitioned"),
        ("defs.yaml", "{name: num_songs,", "{name: num_songs, field: numSongs,", "unpartitioned"),
        ("defs.yaml", "{name: artist_name, type: varchar(1024)", "{name: artist_name, type: varchar(512)", "unpartitioned"),
        ("defs.yaml", "{name: num_songs, type: integer,", "{name: num_songs, type: bigint,", "unpartitioned"),
        # what decides the rows of monthly tables
        ("sql/songplays.sql", "    e.level,", "    COALESCE(e.level, 'free') AS level,", "monthly"),
        ("sql/users.sql", "    level,", "    COALESCE(level, 'free') AS level,", "monthly"),
        ("defs.yaml", '      null_values: [""]           # a', '      null_values: ["", "-"]    # a', "monthly"),
        ("defs.yaml", "unit: milliseconds, nullable: false", "unit: seconds, nullable: false", "monthly"),
        ("defs.yaml", "field: firstName", "field: user.firstName", "monthly"),
        ("defs.yaml", "allowed_lateness_days: 1 ", "allowed_lateness_days: 2 ", "monthly"),
        # the range of months
        ("defs.yaml", "first_month: 2018-01", "first_month: 2018-02", "monthly, unpartitioned"),
        # what is only checked, displayed or formatted
        ("defs.yaml", "      min_rows: 0\n", "      min_rows: 5\n", ""),
        ("defs.yaml", "description: One row per song,", "description: A row per song,", ""),
        ("defs.yaml", "description: The title.}", "description: Its title.}", ""),
        ("defs.yaml", "description: The songs, as JSON", "description: Songs, as JSON", ""),
        ("defs.yaml", "reject_limit: 0.05", "reject_limit: 0.5", ""),
        ("defs.yaml", "reject_limit: 0.05", "reject_limit: 0.05\n      warn_above: 0.01", ""),
        ("defs.yaml", "accepted_values: [free, paid]", "accepted_values: [free, paid, trial]", ""),
        ("defs.yaml", "range: [0, 9999]", "range: [0, 3000]", ""),
        ("defs.yaml", "nullable: false, references: artists,", "nullable: false,", ""),
        ("defs.yaml", "fresh_within_days: 45", "fresh_within_days: 5", ""),
        ("sql/songs.sql", "    year,", "    year,  -- 0 if it is not known", ""),
        ("sql/songs.sql", "    year,", "    YEAR,", ""),
        ("queries/table_counts.sql", "'songs' AS", "'the songs' AS", ""),
    ],
)  # fmt: skip
def test_monthly_and_unpartitioned_tables_have_separate_code_versions(
    music: StarCopy, file: str, old: str, new: str, changed: str
) -> None:
    before = music.load()
    music.replace(old, new, file)
    after = music.load()
    changed_versions = {
        "monthly": before.version != after.version,
        "unpartitioned": before.unpartitioned_version != after.unpartitioned_version,
    }
    assert ", ".join(name for name, differs in changed_versions.items() if differs) == changed
