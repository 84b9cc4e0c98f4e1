"""Mistakes in a star's SQL files, told with file, line and what to write instead.
What is made of sound files is tested with `sql_select`, that every engine gives the same rows in cases/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scx_pipeline_tests.support.stars import USERS_SQL, StarCopy

USERS = "sql/users.sql"
STAGING = "staging_cleansed_logs"


def users_after(star: StarCopy, old: str, new: str) -> str:
    """What is told after the replacement in the SQL of users, its file left out."""
    star.write(USERS, USERS_SQL)
    star.replace(old, new, USERS)
    mistake = star.mistake()
    assert mistake.startswith(USERS)
    return mistake.removeprefix(USERS)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "staging_cleansed_logs",
            "staging_cleansed_log",
            ", line 8: unknown table 'staging_cleansed_log'; did you mean staging_cleansed_logs?",
        ),
        ("staging_cleansed_logs", "STAGING_CLEANSED_LOGS", ", line 8: unknown table 'STAGING_CLEANSED_LOGS'"),
        (
            "staging_cleansed_logs",
            "elsewhere",
            ", line 8: unknown table 'elsewhere'; the star has: staging_cleansed_logs, users, projects",
        ),
        (
            "staging_cleansed_logs",
            "read_csv('x')",
            ", line 8: unknown table \"READ_CSV('x')\"; the star has: ",
        ),
        (
            "staging_cleansed_logs",
            "public.staging_cleansed_logs",
            ", line 8: name staging_cleansed_logs plainly, without public",
        ),
        (
            "staging_cleansed_logs",
            "dev.public.staging_cleansed_logs",
            ", line 8: name staging_cleansed_logs plainly, without public",
        ),
    ],
)
def test_an_unknown_table_is_told_with_its_line(star: StarCopy, old: str, new: str, told: str) -> None:
    assert users_after(star, old, new).startswith(told)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("plan_id", "plan AS plan_id", ", line 4: unknown column 'plan'; did you mean plan_id?"),
        (
            "plan_id",
            "staging_cleansed_logs.plan AS plan_id",
            ", line 4: unknown column 'plan'; did you mean plan_id?",
        ),
        ("plan_id", "xyzzy AS plan_id", ", line 4: unknown column 'xyzzy'"),
        ("plan_id", "s.plan_id", ", line 4: unknown table or alias 's'"),
        ("plan_id", "s.*", ", line 4: unknown table or alias 's'"),
        ("plan_id", "length AS plan_id", ", line 4: unknown column 'length'"),
        (
            "_logs",
            "_logs\nWHERE\n    userid = 1",
            ", line 10: unknown column 'userid'; did you mean user_id?",
        ),
        (
            "_logs",
            "_logs\nINNER JOIN projects ON TRUE\nWHERE\n    project_id > 0",
            ", line 11: ambiguous or unknown column 'project_id'; say which table it is of",
        ),
        (
            "_logs",
            "_logs\nINNER JOIN projects USING (user_id)",
            ", line 1: Cannot automatically join: user_id",
        ),
    ],
)
def test_an_unknown_column_is_told_with_its_line(star: StarCopy, old: str, new: str, told: str) -> None:
    assert users_after(star, old, new) == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    plan_id,\n", "", ": the SELECT does not give plan_id, which users declares"),
        (
            "plan_id,",
            "plan_id AS plan,",
            ": the SELECT does not give plan_id, which users declares (it gives plan)",
        ),
        ("plan_id,", "1,", ": the SELECT does not give plan_id, which users declares"),
        (
            "    updated_at,\n",
            "",
            ": the SELECT does not give updated_at, which users declares (it gives created_at)",
        ),
        ("plan_id,", "plan_id, nextcore,", ": the SELECT gives nextcore, which users does not declare"),
        ("plan_id,", "plan_id, plan_id,", ": the SELECT gives plan_id twice"),
        ("plan_id,", "plan_id, user_id AS plan_id,", ": the SELECT gives plan_id twice"),
    ],
)
def test_a_select_gives_what_the_table_declares_and_is_ordered_by(
    star: StarCopy, old: str, new: str, told: str
) -> None:
    assert users_after(star, old, new) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("TRY_CAST(plan_id AS INT)", "TRY_CAST differs between engines"),
        ("DATEDIFF(day, created_at, updated_at)", "DATEDIFF counts differently on every engine"),
        ("DATE_DIFF('month', created_at, updated_at)", "DATEDIFF counts differently on every engine"),
        *(
            (now, "the current time makes a re-run give other rows")
            for now in ("GETDATE()", "SYSDATE", "NOW()", "CURRENT_TIMESTAMP")
        ),
        *(
            (now, "the current time makes a re-run give other rows")
            for now in ("LOCALTIMESTAMP", "CURRENT_TIME", "LOCALTIME")
        ),
        ("CURRENT_DATE", "the current date makes a re-run give other rows"),
        ("CURRENT_USER", "the current user makes a re-run give other rows"),
        ("RANDOM()", "a random number makes a re-run give other rows"),
        ("GEN_RANDOM_UUID()", "a random UUID makes a re-run give other rows"),
        ("CASE WHEN email_encrypted SIMILAR TO 'a%' THEN 1 END", "SIMILAR TO differs between engines"),
        *(
            (f"EXTRACT({part} FROM created_at)", f"EXTRACT({part.upper()}) differs")
            for part in ("second", "sec", "s", "ms", "epoch")
        ),
        *(
            (f"DATE_PART({part}, created_at)", f"EXTRACT({part.upper()}) differs")
            for part in ("seconds", "us", "epoch", "century")
        ),
        ("DATE_PART('epoch', created_at)", "EXTRACT(EPOCH) differs"),
    ],
)
def test_what_other_engines_do_otherwise_is_refused_with_its_line(
    star: StarCopy, value: str, told: str
) -> None:
    assert users_after(star, "    plan_id,", f"    {value} AS plan_id,").startswith(
        (f", line 4: {told}", f", line 2: {told}")
    )


@pytest.mark.parametrize("value", ["CURRENT_DATE", "LOCALTIMESTAMP", "RANDOM()"])
def test_what_has_no_line_of_its_own_is_told_with_that_of_what_it_stands_in(
    star: StarCopy, value: str
) -> None:
    assert users_after(
        star, "_logs", f"_logs\nWHERE\n    job_id > 0\n    AND created_at < {value}"
    ).startswith(", line 11: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT\n    user_id,\nFROM WHERE x\n", ", line 3: "),
        ("SELECT\n    (1 + 2\nFROM users", ", line 3: "),
        ("SELECT 1)", ", line 1: Invalid expression / Unexpected token"),
        (
            "SELECT\n    user_id,\n    'never closed\nFROM users\n\n\n",
            ", line 3: ' is opened and never closed",
        ),
        ('SELECT\n    "user_id\nFROM users', ', line 2: " is opened and never closed'),
        ("SELECT 1 /* never closed", ", line 1: "),
        ("", ": must hold one SELECT and nothing else"),
        ("-- a comment alone", ": must hold one SELECT and nothing else"),
        (f"{USERS_SQL}; DROP TABLE users", ": must hold one SELECT and nothing else"),
        (f"{USERS_SQL};{USERS_SQL}", ": must hold one SELECT and nothing else"),
        ("DELETE FROM users", ": must hold one SELECT and nothing else"),
        ("CREATE TABLE x AS SELECT 1 AS a", ": must hold one SELECT and nothing else"),
        ("COPY users FROM 's3://x'", ": must hold one SELECT and nothing else"),
    ],
)
def test_what_is_no_single_select_is_refused(star: StarCopy, text: str, told: str) -> None:
    star.write(USERS, text)
    mistake = star.mistake()
    assert mistake.startswith(USERS + told)
    assert "Token" not in mistake


def test_a_common_table_may_not_hide_a_table_of_the_star(star: StarCopy) -> None:
    # the table within would be neither narrowed to its months nor named with its schema
    star.write(USERS, f"WITH\nstaging_cleansed_logs AS (SELECT * FROM staging_cleansed_logs)\n{USERS_SQL}")
    assert (
        star.mistake()
        == f"{USERS}, line 2: WITH staging_cleansed_logs has the name of a table; take another name"
    )


def test_tables_made_from_each_other_are_refused(star: StarCopy) -> None:
    star.replace(
        f"FROM {STAGING}", f"FROM {STAGING}\nWHERE project_id IN (SELECT project_id FROM projects)", USERS
    )
    star.replace(
        f"FROM {STAGING}", f"FROM {STAGING}\nWHERE user_id IN (SELECT user_id FROM users)", "sql/projects.sql"
    )
    assert re.search(
        r"the SQL files read each other in a circle: (users → projects → users|projects → users → projects)",
        star.mistake(),
    )


def test_a_missing_file_is_told(star: StarCopy) -> None:
    star.path(USERS).unlink()
    assert (
        star.mistake()
        == f"{USERS}: cannot be read (No such file or directory); every derived table and query has its file"
    )


def test_a_file_in_another_encoding_is_told(star: StarCopy) -> None:
    star.path(USERS).write_bytes(f"-- größe\n{USERS_SQL}".encode("latin-1"))
    assert star.mistake() == f"{USERS}: not UTF-8; save it as UTF-8"


QUERY = "queries/ground_profile_by_month.sql"


def test_a_query_is_checked_as_well(star: StarCopy) -> None:
    line = star.replace("l.ground_profile", "l.ground_profil", QUERY)
    assert (
        star.mistake()
        == f"{QUERY}, line {line}: unknown column 'ground_profil'; did you mean ground_profile?"
    )


def test_a_chart_draws_what_its_query_gives(star: StarCopy) -> None:
    star.replace("AS jobs", "AS job_count", QUERY)
    star.replace("jobs DESC", "job_count DESC", QUERY)
    assert (
        star.mistake()
        == f"{QUERY}: the SELECT does not give jobs, which ground_profile_by_month's chart draws"
    )


# Tables without months


@pytest.fixture
def music(tmp_path: Path) -> StarCopy:
    """A copy of the star songplays that the test may change."""
    return StarCopy.of("songplays", tmp_path)


ALL_SONGS = "FROM staging_songs"


@pytest.mark.parametrize("other", ["staging_events", "users", "time", "songplays"])
def test_a_table_without_months_reads_none_that_has_them_not_even_deep_inside(
    music: StarCopy, other: str
) -> None:
    music.replace(ALL_SONGS, f"{ALL_SONGS}\nWHERE year > (SELECT COUNT(*) FROM {other})", "sql/artists.sql")
    assert (
        music.mistake()
        == f"sql/artists.sql: artists has no months (no event_time), and reads {other}, which has"
    )


@pytest.mark.parametrize("other", ["staging_songs", "songs", "artists"])
def test_a_table_kept_by_key_reads_none_without_months_not_even_deep_inside(
    music: StarCopy, other: str
) -> None:
    within = "AND song IN (WITH known AS (SELECT artist_id FROM {}) SELECT artist_id FROM known)"
    music.replace("user_id IS NOT NULL", f"user_id IS NOT NULL {within.format(other)}", "sql/users.sql")
    assert music.mistake() == (
        f"sql/users.sql: users is kept by key, and reads {other}, which has no months; "
        f"give users its event_time as a column, or read {other} where it is used"
    )


def test_a_table_without_months_may_read_another_and_gives_no_event_time(music: StarCopy) -> None:
    music.replace(
        ALL_SONGS, "FROM staging_songs\nWHERE song_id IN (SELECT song_id FROM songs)", "sql/artists.sql"
    )
    compiled = music.load()
    order = [table.name for table in compiled.order]
    assert order.index("songs") < order.index("artists") < order.index("songplays")
    assert list(compiled.output_types(compiled.star.table("artists"))) == [
        *("artist_id", "name", "location", "latitude", "longitude"),
        *("year", "song_id"),
    ]


def test_a_table_without_months_gives_what_it_is_ordered_by_and_nothing_more(music: StarCopy) -> None:
    music.replace("    year,\n", "", "sql/artists.sql")
    assert music.mistake() == "sql/artists.sql: the SELECT does not give year, which artists declares"
    music.replace("    song_id\n", "    song_id,\n    year,\n    duration\n", "sql/artists.sql")
    assert music.mistake() == "sql/artists.sql: the SELECT gives duration, which artists does not declare"


def test_tables_are_made_after_what_they_read_those_kept_by_month_first(music: StarCopy) -> None:
    compiled = music.load()
    assert [table.name for table in compiled.order] == ["time", "songs", "artists", "songplays", "users"]
    assert compiled.downstream({"staging_songs"}) == {"staging_songs", "songs", "artists", "songplays"}
    assert compiled.downstream({"staging_events"}) == {"staging_events", "time", "songplays", "users"}


def test_only_tables_kept_by_month_that_read_one_without_follow_its_changes(
    star: StarCopy, music: StarCopy
) -> None:
    assert star.load().reading_unpartitioned() == []
    assert [table.name for table in music.load().reading_unpartitioned()] == ["songplays"]
    music.replace(
        "WHERE page = 'NextSong'",
        "WHERE page = 'NextSong' AND song IN (SELECT title FROM songs)",
        "sql/time.sql",
    )
    assert [table.name for table in music.load().reading_unpartitioned()] == ["time", "songplays"]


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        # what makes the rows of tables without months
        ("sql/songs.sql", "    year,", "    COALESCE(year, 0) AS year,", "whole"),
        ("sql/artists.sql", "FROM staging_songs", "FROM staging_songs\nWHERE year > 0", "whole"),
        ("defs.yaml", "      sequence_by: [year]\n", "      sequence_by: [duration]\n", "whole"),
        ("defs.yaml", '"**/*.json*"', '"*/**.json*"', "whole"),
        ("defs.yaml", "prefix: song_data/", "prefix: songs/", "whole"),
        ("defs.yaml", "{name: num_songs,", "{name: num_songs, field: numSongs,", "whole"),
        ("defs.yaml", "{name: artist_name, type: varchar(1024)", "{name: artist_name, type: varchar(512)", "whole"),
        # what makes the rows of those with months
        ("sql/songplays.sql", "    e.level,", "    COALESCE(e.level, 'free') AS level,", "months"),
        ("sql/users.sql", "    level,", "    COALESCE(level, 'free') AS level,", "months"),
        ("defs.yaml", '      null_values: [""]           # a', '      null_values: ["", "-"]    # a', "months"),
        ("defs.yaml", "unit: milliseconds, nullable: false", "unit: seconds, nullable: false", "months"),
        ("defs.yaml", "field: firstName", "field: user.firstName", "months"),
        ("defs.yaml", "allowed_lateness_days: 1 ", "allowed_lateness_days: 2 ", "months"),
        # the months that there are
        ("defs.yaml", "first_month: 2018-01", "first_month: 2018-02", "months, whole"),
        # what is only checked, shown or written differently
        ("defs.yaml", "      min_rows: 0\n", "      min_rows: 5\n", ""),
        ("defs.yaml", "description: One row per song;", "description: A row per song;", ""),
        ("defs.yaml", "description: The title.}", "description: Its title.}", ""),
        ("defs.yaml", "description: The songs, as JSON", "description: Songs, as JSON", ""),
        ("defs.yaml", "reject_limit: 0.05", "reject_limit: 0.5", ""),
        ("defs.yaml", "accepted_values: [free, paid]", "accepted_values: [free, paid, trial]", ""),
        ("defs.yaml", "range: [0, 9999]", "range: [0, 3000]", ""),
        ("defs.yaml", "nullable: false, references: artists,", "nullable: false,", ""),
        ("defs.yaml", "fresh_within_days: 45", "fresh_within_days: 5", ""),
        ("sql/songs.sql", "    year,", "    year,  -- 0 if it is not known", ""),
        ("sql/songs.sql", "    year,", "    YEAR,", ""),
        ("queries/table_counts.sql", "'songs' AS", "'the songs' AS", ""),
    ],
)  # fmt: skip
def test_the_code_of_tables_with_months_and_of_those_without_has_versions_of_its_own(
    music: StarCopy, file: str, old: str, new: str, changed: str
) -> None:
    before = music.load()
    music.replace(old, new, file)
    after = music.load()
    differing = {
        "months": before.version != after.version,
        "whole": before.unpartitioned_version != after.unpartitioned_version,
    }
    assert ", ".join(name for name, differs in differing.items() if differs) == changed
