"""Errors in a star's SQL files, with file, line and what to do.

The SQL of valid files does not belong here.
"""

from __future__ import annotations

import re

import pytest

from scx_pipeline_tests.support.stars import USERS_SQL, StarCopy

USERS = "sql/users.sql"


STAGING = "staging_cleansed_logs"


def users_after(star: StarCopy, old: str, new: str) -> str:
    """The error after a replacement in the SQL of users, without its file."""
    star.write(USERS, USERS_SQL)
    star.replace(old, new, USERS)
    mistake = star.mistake()
    assert mistake.startswith(USERS)
    return mistake.removeprefix(USERS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
            ", line 8: write staging_cleansed_logs without the schema public",
        ),
        (
            "staging_cleansed_logs",
            "dev.public.staging_cleansed_logs",
            ", line 8: write staging_cleansed_logs without the schema public",
        ),
    ],
)
def test_an_unknown_table_is_reported_with_its_line(star: StarCopy, old: str, new: str, message: str) -> None:
    assert users_after(star, old, new).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
            ", line 11: ambiguous or unknown column 'project_id'; qualify it with its table",
        ),
        (
            "_logs",
            "_logs\nINNER JOIN projects USING (user_id)",
            ", line 1: Cannot automatically join: user_id",
        ),
    ],
)
def test_an_unknown_column_is_reported_with_its_line(
    star: StarCopy, old: str, new: str, message: str
) -> None:
    assert users_after(star, old, new) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    plan_id,\n", "", ": the SELECT does not return plan_id, which users declares"),
        (
            "plan_id,",
            "plan_id AS plan,",
            ": the SELECT does not return plan_id, which users declares (it returns plan)",
        ),
        ("plan_id,", "1,", ": the SELECT does not return plan_id, which users declares"),
        (
            "    updated_at,\n",
            "",
            ": the SELECT does not return updated_at, which users declares (it returns created_at)",
        ),
        ("plan_id,", "plan_id, nextcore,", ": the SELECT returns nextcore, which users does not declare"),
        ("plan_id,", "plan_id, plan_id,", ": the SELECT returns plan_id twice"),
        ("plan_id,", "plan_id, user_id AS plan_id,", ": the SELECT returns plan_id twice"),
    ],
)
def test_a_select_returns_exactly_the_declared_columns_and_sequence(
    star: StarCopy, old: str, new: str, message: str
) -> None:
    assert users_after(star, old, new) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("TRY_CAST(plan_id AS INT)", "TRY_CAST differs between engines"),
        ("DATEDIFF(day, created_at, updated_at)", "DATEDIFF counts differently on every engine"),
        ("DATE_DIFF('month', created_at, updated_at)", "DATEDIFF counts differently on every engine"),
        *(
            (now, "the current time makes a rerun return other rows")
            for now in ("GETDATE()", "SYSDATE", "NOW()", "CURRENT_TIMESTAMP")
        ),
        *(
            (now, "the current time makes a rerun return other rows")
            for now in ("LOCALTIMESTAMP", "CURRENT_TIME", "LOCALTIME")
        ),
        ("CURRENT_DATE", "the current date makes a rerun return other rows"),
        ("CURRENT_USER", "the current user makes a rerun return other rows"),
        ("RANDOM()", "a random number makes a rerun return other rows"),
        ("GEN_RANDOM_UUID()", "a random UUID makes a rerun return other rows"),
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
def test_sql_that_is_not_portable_is_rejected_with_its_line(star: StarCopy, value: str, message: str) -> None:
    assert users_after(star, "    plan_id,", f"    {value} AS plan_id,").startswith(
        (f", line 4: {message}", f", line 2: {message}")
    )


@pytest.mark.parametrize("value", ["CURRENT_DATE", "LOCALTIMESTAMP", "RANDOM()"])
def test_a_node_without_a_line_is_reported_with_the_line_of_its_parent(star: StarCopy, value: str) -> None:
    assert users_after(
        star, "_logs", f"_logs\nWHERE\n    job_id > 0\n    AND created_at < {value}"
    ).startswith(", line 11: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT\n    user_id,\nFROM WHERE x\n", ", line 3: "),
        ("SELECT\n    (1 + 2\nFROM users", ", line 3: "),
        ("SELECT 1)", ", line 1: Invalid expression / Unexpected token"),
        (
            "SELECT\n    user_id,\n    'never closed\nFROM users\n\n\n",
            ", line 3: ' is opened but never closed",
        ),
        ('SELECT\n    "user_id\nFROM users', ', line 2: " is opened but never closed'),
        ("SELECT 1 /* never closed", ", line 1: "),
        ("", ": must contain exactly one SELECT and nothing else"),
        ("-- a comment alone", ": must contain exactly one SELECT and nothing else"),
        (f"{USERS_SQL}; DROP TABLE users", ": must contain exactly one SELECT and nothing else"),
        (f"{USERS_SQL};{USERS_SQL}", ": must contain exactly one SELECT and nothing else"),
        ("DELETE FROM users", ": must contain exactly one SELECT and nothing else"),
        ("CREATE TABLE x AS SELECT 1 AS a", ": must contain exactly one SELECT and nothing else"),
        ("COPY users FROM 's3://x'", ": must contain exactly one SELECT and nothing else"),
    ],
)
def test_a_file_that_is_not_a_single_select_is_rejected(star: StarCopy, text: str, message: str) -> None:
    star.write(USERS, text)
    mistake = star.mistake()
    assert mistake.startswith(USERS + message)
    assert "Token" not in mistake


def test_a_common_table_expression_must_not_have_the_name_of_a_table(star: StarCopy) -> None:
    # the inner table would be neither restricted to its months nor qualified with its schema
    star.write(USERS, f"WITH\nstaging_cleansed_logs AS (SELECT * FROM staging_cleansed_logs)\n{USERS_SQL}")
    assert (
        star.mistake()
        == f"{USERS}, line 2: WITH staging_cleansed_logs has the name of a table of the star; choose another name"
    )


def test_tables_that_read_each_other_are_rejected(star: StarCopy) -> None:
    star.replace(
        f"FROM {STAGING}", f"FROM {STAGING}\nWHERE project_id IN (SELECT project_id FROM projects)", USERS
    )
    star.replace(
        f"FROM {STAGING}", f"FROM {STAGING}\nWHERE user_id IN (SELECT user_id FROM users)", "sql/projects.sql"
    )
    assert re.search(
        r"the SQL files read each other in a cycle: (users → projects → users|projects → users → projects)",
        star.mistake(),
    )


def test_a_missing_file_is_reported(star: StarCopy) -> None:
    star.path(USERS).unlink()
    assert (
        star.mistake()
        == f"{USERS}: cannot be read (No such file or directory); every derived table and query needs its SQL file"
    )


def test_a_file_that_is_not_utf_8_is_reported(star: StarCopy) -> None:
    star.path(USERS).write_bytes(f"-- größe\n{USERS_SQL}".encode("latin-1"))
    assert star.mistake() == f"{USERS}: not UTF-8; save it as UTF-8"


QUERY = "queries/ground_profile_by_month.sql"


def test_queries_are_checked_like_tables(star: StarCopy) -> None:
    line = star.replace("l.ground_profile", "l.ground_profil", QUERY)
    assert (
        star.mistake()
        == f"{QUERY}, line {line}: unknown column 'ground_profil'; did you mean ground_profile?"
    )


def test_a_chart_uses_only_columns_that_its_query_returns(star: StarCopy) -> None:
    star.replace("AS jobs", "AS job_count", QUERY)
    star.replace("jobs DESC", "job_count DESC", QUERY)
    assert (
        star.mistake()
        == f"{QUERY}: the SELECT does not return jobs, which the chart of ground_profile_by_month uses"
    )
