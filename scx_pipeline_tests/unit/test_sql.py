"""A star's SQL files: how mistakes are told, what is narrowed to the months at hand, and what the rows are on DuckDB.
That other engines give the same rows is tested in cases/."""

from __future__ import annotations

import re

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.spec import Month, Span
from scx_pipeline_tests.unit.stars import StarCopy

USERS = "sql/users.sql"
STAGING = "staging_cleansed_logs"
SPAN = Span(Month(2020, 12), Month(2021, 1))
INSIDE = "(\"created_at\" >= CAST('2020-12-01 00:00:00' AS TIMESTAMP) AND \"created_at\" < CAST('2021-02-01 00:00:00' AS TIMESTAMP))"

PLAIN = """\
SELECT
    user_id,
    email_encrypted,
    plan_id,
    updated_at,
    job_id,
    created_at
FROM staging_cleansed_logs"""


def users_after(star: StarCopy, old: str, new: str) -> str:
    """What is told after the replacement in the SQL of users, its file left out."""
    star.write(USERS, PLAIN)
    star.replace(old, new, USERS)
    mistake = star.mistake()
    assert mistake.startswith(USERS)
    return mistake.removeprefix(USERS)


# Mistakes


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("staging_cleansed_logs", "staging_cleansed_log", ", line 8: unknown table 'staging_cleansed_log'; did you mean staging_cleansed_logs?"),
        ("staging_cleansed_logs", "STAGING_CLEANSED_LOGS", ", line 8: unknown table 'STAGING_CLEANSED_LOGS'"),
        ("staging_cleansed_logs", "elsewhere", ", line 8: unknown table 'elsewhere'; the star has: staging_cleansed_logs, users, projects"),
        ("staging_cleansed_logs", "read_csv('x')", ", line 8: unknown table \"READ_CSV('x')\"; the star has: "),
        ("staging_cleansed_logs", "public.staging_cleansed_logs", ", line 8: name staging_cleansed_logs plainly, without public"),
        ("staging_cleansed_logs", "dev.public.staging_cleansed_logs", ", line 8: name staging_cleansed_logs plainly, without public"),
    ],
)
def test_an_unknown_table_is_told_with_its_line(star: StarCopy, old: str, new: str, told: str) -> None:
    assert users_after(star, old, new).startswith(told)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("plan_id", "plan AS plan_id", ", line 4: unknown column 'plan'; did you mean plan_id?"),
        ("plan_id", "staging_cleansed_logs.plan AS plan_id", ", line 4: unknown column 'plan'; did you mean plan_id?"),
        ("plan_id", "xyzzy AS plan_id", ", line 4: unknown column 'xyzzy'"),
        ("plan_id", "s.plan_id", ", line 4: unknown table or alias 's'"),
        ("plan_id", "s.*", ", line 4: unknown table or alias 's'"),
        ("plan_id", "length AS plan_id", ", line 4: unknown column 'length'"),
        ("_logs", "_logs\nWHERE\n    userid = 1", ", line 10: unknown column 'userid'; did you mean user_id?"),
        ("_logs", "_logs\nINNER JOIN projects ON TRUE\nWHERE\n    project_id > 0", ", line 11: ambiguous or unknown column 'project_id'; say which table it is of"),
        ("_logs", "_logs\nINNER JOIN projects USING (user_id)", ", line 1: Cannot automatically join: user_id"),
    ],
)
def test_an_unknown_column_is_told_with_its_line(star: StarCopy, old: str, new: str, told: str) -> None:
    assert users_after(star, old, new) == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    plan_id,\n", "", ": the SELECT does not give plan_id, which users declares"),
        ("plan_id,", "plan_id AS plan,", ": the SELECT does not give plan_id, which users declares (it gives plan)"),
        ("plan_id,", "1,", ": the SELECT does not give plan_id, which users declares"),
        ("    updated_at,\n", "", ": the SELECT does not give updated_at, which users declares (it gives created_at)"),
        ("plan_id,", "plan_id, nextcore,", ": the SELECT gives nextcore, which users does not declare"),
        ("plan_id,", "plan_id, plan_id,", ": the SELECT gives plan_id twice"),
        ("plan_id,", "plan_id, user_id AS plan_id,", ": the SELECT gives plan_id twice"),
    ],
)
def test_a_select_gives_what_the_table_declares_and_is_ordered_by(star: StarCopy, old: str, new: str, told: str) -> None:
    assert users_after(star, old, new) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("TRY_CAST(plan_id AS INT)", "TRY_CAST differs between engines"),
        ("DATEDIFF(day, created_at, updated_at)", "DATEDIFF counts differently on every engine"),
        ("DATE_DIFF('month', created_at, updated_at)", "DATEDIFF counts differently on every engine"),
        *((now, "the current time makes a re-run give other rows") for now in ("GETDATE()", "SYSDATE", "NOW()", "CURRENT_TIMESTAMP")),
        *((now, "the current time makes a re-run give other rows") for now in ("LOCALTIMESTAMP", "CURRENT_TIME", "LOCALTIME")),
        ("CURRENT_DATE", "the current date makes a re-run give other rows"),
        ("CURRENT_USER", "the current user makes a re-run give other rows"),
        ("RANDOM()", "a random number makes a re-run give other rows"),
        ("GEN_RANDOM_UUID()", "a random UUID makes a re-run give other rows"),
        ("CASE WHEN email_encrypted SIMILAR TO 'a%' THEN 1 END", "SIMILAR TO differs between engines"),
        *((f"EXTRACT({part} FROM created_at)", f"EXTRACT({part.upper()}) differs") for part in ("second", "sec", "s", "ms", "epoch")),
        *((f"DATE_PART({part}, created_at)", f"EXTRACT({part.upper()}) differs") for part in ("seconds", "us", "epoch", "century")),
        ("DATE_PART('epoch', created_at)", "EXTRACT(EPOCH) differs"),
    ],
)
def test_what_other_engines_do_otherwise_is_refused_with_its_line(star: StarCopy, value: str, told: str) -> None:
    assert users_after(star, "    plan_id,", f"    {value} AS plan_id,").startswith((f", line 4: {told}", f", line 2: {told}"))


@pytest.mark.parametrize("value", ["CURRENT_DATE", "LOCALTIMESTAMP", "RANDOM()"])
def test_what_has_no_line_of_its_own_is_told_with_that_of_what_it_stands_in(star: StarCopy, value: str) -> None:
    assert users_after(star, "_logs", f"_logs\nWHERE\n    job_id > 0\n    AND created_at < {value}").startswith(", line 11: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT\n    user_id,\nFROM WHERE x\n", ", line 3: "),
        ("SELECT\n    (1 + 2\nFROM users", ", line 3: "),
        ("SELECT 1)", ", line 1: Invalid expression / Unexpected token"),
        ("SELECT\n    user_id,\n    'never closed\nFROM users\n\n\n", ", line 3: ' is opened and never closed"),
        ('SELECT\n    "user_id\nFROM users', ', line 2: " is opened and never closed'),
        ("SELECT 1 /* never closed", ", line 1: "),
        ("", ": must hold one SELECT and nothing else"),
        ("-- a comment alone", ": must hold one SELECT and nothing else"),
        (f"{PLAIN}; DROP TABLE users", ": must hold one SELECT and nothing else"),
        (f"{PLAIN};{PLAIN}", ": must hold one SELECT and nothing else"),
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
    star.write(USERS, f"WITH\nstaging_cleansed_logs AS (SELECT * FROM staging_cleansed_logs)\n{PLAIN}")
    assert star.mistake() == f"{USERS}, line 2: WITH staging_cleansed_logs has the name of a table; take another name"


def test_tables_made_from_each_other_are_refused(star: StarCopy) -> None:
    star.replace(f"FROM {STAGING}", f"FROM {STAGING}\nWHERE project_id IN (SELECT project_id FROM projects)", USERS)
    star.replace(f"FROM {STAGING}", f"FROM {STAGING}\nWHERE user_id IN (SELECT user_id FROM users)", "sql/projects.sql")
    assert re.search(r"the SQL files read each other in a circle: (users → projects → users|projects → users → projects)", star.mistake())


def test_a_missing_file_is_told(star: StarCopy) -> None:
    star.path(USERS).unlink()
    assert star.mistake() == f"{USERS}: cannot be read (No such file or directory); every derived table and query has its file"


def test_a_file_in_another_encoding_is_told(star: StarCopy) -> None:
    star.path(USERS).write_bytes(f"-- größe\n{PLAIN}".encode("latin-1"))
    assert star.mistake() == f"{USERS}: not UTF-8; save it as UTF-8"


QUERY = "queries/ground_profile_by_month.sql"


def test_a_query_is_checked_as_well(star: StarCopy) -> None:
    line = star.replace("l.ground_profile", "l.ground_profil", QUERY)
    assert star.mistake() == f"{QUERY}, line {line}: unknown column 'ground_profil'; did you mean ground_profile?"


def test_a_chart_draws_what_its_query_gives(star: StarCopy) -> None:
    star.replace("AS jobs", "AS job_count", QUERY)
    star.replace("jobs DESC", "job_count DESC", QUERY)
    assert star.mistake() == f"{QUERY}: the SELECT does not give jobs, which ground_profile_by_month's chart draws"


# Structure


def test_tables_are_ordered_after_what_they_read(star: StarCopy) -> None:
    star.replace(f"FROM {STAGING}", f"FROM {STAGING}\nWHERE created_at IN (SELECT created_at FROM time)", USERS)
    compiled = star.load()
    names = [table.name for table in compiled.order]
    assert names.index("time") < names.index("users")
    assert compiled.reads(compiled.star.table("users")) == {STAGING, "time"}
    assert compiled.downstream({"time"}) == {"time", "users"}
    assert compiled.downstream({STAGING}) == {STAGING, *names}
    assert compiled.downstream({"users"}) == {"users"}


def test_lineage_leads_to_the_columns_of_the_staging_table(scx: CompiledStar) -> None:
    table = scx.star.table
    assert scx.lineage(table("users")) == {name: [(STAGING, name)] for name in ("user_id", "email_encrypted", "plan_id")}
    assert {name for sources in scx.lineage(table("time")).values() for name in sources} == {(STAGING, "created_at")}
    assert scx.lineage(table("auto_classification_logs"))["project_id"] == [(STAGING, "project_id")]


def test_lineage_of_an_expression_of_several_columns(star: StarCopy) -> None:
    star.replace("    project_name", "    project_name || COALESCE(ground_profile, 'none') AS project_name", "sql/projects.sql")
    compiled = star.load()
    assert compiled.lineage(compiled.star.table("projects"))["project_name"] == [(STAGING, "ground_profile"), (STAGING, "project_name")]


def test_what_a_table_is_ordered_by_has_the_type_of_the_column_it_comes_from(scx: CompiledStar) -> None:
    assert scx.output_types(scx.star.table("users")) == {
        "user_id": "integer",
        "email_encrypted": "varchar(150)",
        "plan_id": "integer",
        "updated_at": "timestamp",
        "job_id": "integer",
        "created_at": "timestamp",
    }


# Narrowing


def tables_in(sql: str) -> list[str]:
    return sorted(node.sql("duckdb") for node in sqlglot.parse_one(sql, read="duckdb").find_all(exp.Table))


def test_tables_kept_by_month_are_narrowed_to_the_span(scx: CompiledStar) -> None:
    for table in scx.star.derived:
        sql = scx.select(table, SPAN, "duckdb")
        assert sql.count(INSIDE) == 1
        assert f'FROM (SELECT * FROM "public"."{STAGING}" WHERE {INSIDE}) AS "{STAGING}"' in sql


def test_tables_kept_by_key_are_read_whole(star: StarCopy) -> None:
    star.write(USERS, PLAIN.replace(f"FROM {STAGING}", f"FROM {STAGING} INNER JOIN projects AS p USING (project_id)"))
    sql = star.load().select(star.load().star.table("users"), SPAN, "duckdb")
    assert tables_in(sql) == ['"public"."projects" AS "p"', f'"public"."{STAGING}"']
    assert sql.count(INSIDE) == 1


def test_every_mention_is_narrowed(star: StarCopy) -> None:
    mentions = f"FROM {STAGING} AS s WHERE s.job_id = (SELECT MAX(o.job_id) FROM {STAGING} AS o) AND s.user_id IN (SELECT user_id FROM {STAGING})"
    star.write(USERS, f"WITH chosen AS ({PLAIN.replace(f'FROM {STAGING}', mentions)}) SELECT * FROM chosen")
    sql = star.load().select(star.load().star.table("users"), SPAN, "duckdb")
    assert sql.count(INSIDE) == sql.count(f'"public"."{STAGING}"') == 3


def test_narrowing_to_one_span_leaves_no_trace_in_the_next(scx: CompiledStar) -> None:
    users = scx.star.table("users")
    first = scx.select(users, SPAN, "duckdb")
    other = scx.select(users, Span(Month(1999, 1), Month(1999, 1)), "duckdb")
    assert "2020" not in other
    assert scx.select(users, SPAN, "duckdb") == first


def test_queries_are_not_narrowed(scx: CompiledStar) -> None:
    query = next(query for query in scx.star.queries if query.name == "ground_profile_by_month")
    assert tables_in(scx.query(query, "duckdb")) == ['"public"."auto_classification_logs" AS "l"', '"public"."time" AS "t"']


def test_a_query_may_stand_as_it_is_written(scx: CompiledStar) -> None:
    query = next(query for query in scx.star.queries if query.as_written)
    text = (scx.folder / "queries" / f"{query.name}.sql").read_text("utf-8")
    assert {scx.query(query, dialect) for dialect in ("redshift", "postgres", "duckdb")} == {text}


# Code versions


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("description: The user.}", "description: Whoever it is.}"),
        ("description: One row per user,", "description: A row for every user,"),
        ("How people use auto-segmentation", "What is segmented"),
        ("owners: [team:data]", "owners: []"),
        ("fresh_within_days: 45", "fresh_within_days: 46"),
    ],
)
def test_the_code_version_does_not_depend_on_descriptions(star: StarCopy, scx: CompiledStar, old: str, new: str) -> None:
    star.replace(old, new)
    assert star.load().version == scx.version


def test_the_code_version_does_not_depend_on_comments_and_spaces(star: StarCopy, scx: CompiledStar) -> None:
    star.write(USERS, "-- the users\n" + PLAIN.replace(",\n   ", ", ").replace("SELECT", "select") + ";\n")
    assert star.load().version == scx.version


@pytest.mark.parametrize(
    ("name", "old", "new", "table"),
    [
        (USERS, "plan_id", "plan_id + 0 AS plan_id", "users"),
        (USERS, f"FROM {STAGING}", f"FROM {STAGING}\nWHERE job_id > 0", "users"),
        ("defs.yaml", "latest_by: [updated_at, job_id]", "latest_by: [job_id, updated_at]", "users"),
        ("defs.yaml", "{name: summary, type: varchar(max)", "{name: summary, type: varchar(100)", STAGING),
        ("defs.yaml", "{year}/{month}/**.csv*", "{year}/{month}/*.csv*", STAGING),
        ("defs.yaml", "spill_before: 1", "spill_before: 2", STAGING),
    ],
)
def test_the_code_version_changes_with_sql_types_and_sources(
    star: StarCopy, scx: CompiledStar, name: str, old: str, new: str, table: str
) -> None:
    star.replace(old, new, name)
    changed = star.load()
    assert changed.version != scx.version
    versions = {item.name: scx.code_version(item) for item in scx.star.tables}
    assert {item.name for item in changed.star.tables if changed.code_version(item) != versions[item.name]} == {table}


def test_the_version_changes_with_the_first_month(star: StarCopy, scx: CompiledStar) -> None:
    star.replace("first_month: 2020-01", "first_month: 2020-02")
    assert star.load().version != scx.version


# Transpilation, executed


ROWS = """
    (1, 10, 'a', NULL, TIMESTAMP '2024-02-29 23:59:59.999999', 3),
    (2, 10, 'b', 'c', TIMESTAMP '2021-01-03 00:00:00', -7),
    (3, 11, NULL, NULL, TIMESTAMP '2021-01-03 00:00:00', NULL)
"""

OF_ALL_ROWS = {
    "AVG(plan_id)": -2,
    "AVG(DISTINCT plan_id)": -2,
    "AVG(plan_id * 1.0)": -2.0,
    "MAX(plan_id) / 2": 1,
    "MAX(plan_id) / 2.0": 1.5,
    "MIN(plan_id) / 2": -3,
    "MIN(plan_id) % 2": -1,
    "COUNT(*) / 2": 1,
    "AVG(LEN(CONCAT(ground_profile, resolution)))": 2,
    "MAX(AVG(plan_id)) OVER ()": -2,
    "MAX(EXTRACT(YEAR FROM created_at)) / 10": 202,
}

BY_ROW = {
    "AVG(plan_id) OVER (PARTITION BY user_id)": [-2, -2, None],
    "AVG(plan_id) OVER (ORDER BY job_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)": [3, -2, -2],
    "CONCAT(ground_profile, resolution)": [None, "bc", None],
    "CONCAT(CONCAT(ground_profile, '-'), 'x')": ["a-x", "b-x", None],
    "ground_profile || resolution": [None, "bc", None],
    "NVL(resolution, 'none')": ["none", "c", "none"],
    "LEN(ground_profile)": [1, 1, None],
    "EXTRACT(MINUTE FROM created_at)": [59, 0, 0],
    "EXTRACT(HOUR FROM created_at)": [23, 0, 0],
    "EXTRACT(DAY FROM created_at)": [29, 3, 3],
    "EXTRACT(WEEK FROM created_at)": [9, 53, 53],
    "EXTRACT(MONTH FROM created_at)": [2, 1, 1],
    "EXTRACT(QUARTER FROM created_at)": [1, 1, 1],
    "EXTRACT(YEAR FROM created_at)": [2024, 2021, 2021],
    "EXTRACT(DOW FROM created_at)": [4, 0, 0],
    "DATE_PART('doy', created_at)": [60, 3, 3],
    "DATE_TRUNC('month', created_at)::DATE::VARCHAR": ["2024-02-01", "2021-01-01", "2021-01-01"],
    "DATE_TRUNC('week', created_at)::DATE::VARCHAR": ["2024-02-26", "2020-12-28", "2020-12-28"],
    "DATEADD(day, 1, created_at)::DATE::VARCHAR": ["2024-03-01", "2021-01-04", "2021-01-04"],
}


def test_values_of_all_rows_are_redshifts(star: StarCopy) -> None:
    [row] = executed(star, list(OF_ALL_ROWS))
    assert dict(zip(OF_ALL_ROWS, row, strict=True)) == OF_ALL_ROWS


def test_values_of_each_row_are_redshifts(star: StarCopy) -> None:
    columns = zip(*executed(star, list(BY_ROW), "ORDER BY job_id"), strict=True)
    assert {value: list(column) for value, column in zip(BY_ROW, columns, strict=True)} == BY_ROW


def executed(star: StarCopy, values: list[str], order: str = "") -> list[tuple[object, ...]]:
    """The values, as a query of the star in Redshift's dialect, of the three rows on DuckDB."""
    listed = ", ".join(f"{value} AS value_{number}" for number, value in enumerate(values))
    star.write("queries/values.sql", f"SELECT {listed} FROM {STAGING} {order}")
    star.replace("  queries:\n", "  queries:\n    - {name: values, title: Some values}\n")
    compiled = star.load()
    query = next(query for query in compiled.star.queries if query.name == "values")
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA public")
        columns = "job_id INT, user_id INT, ground_profile VARCHAR, resolution VARCHAR, created_at TIMESTAMP, plan_id INT"
        con.execute(f"CREATE TABLE public.{STAGING} ({columns}); INSERT INTO public.{STAGING} VALUES {ROWS}")
        return con.execute(compiled.query(query, "duckdb")).fetchall()
