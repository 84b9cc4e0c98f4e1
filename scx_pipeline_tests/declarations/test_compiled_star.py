"""The order of tables, lineage, SQL restricted to months, and code versions of valid stars."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlglot
from sqlglot import exp

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import CAPABILITIES as DUCKDB
from scx_pipeline.warehouse.postgres.postgres_warehouse import CAPABILITIES as POSTGRES
from scx_pipeline_tests.support.stars import USERS_SQL, StarCopy

REDSHIFT = replace(DUCKDB, dialect="redshift")
USERS = "sql/users.sql"
STAGING = "staging_cleansed_logs"
MONTHS = MonthRange(Month(2020, 12), Month(2021, 1))
IN_MONTHS = "(\"created_at\" >= CAST('2020-12-01 00:00:00' AS TIMESTAMP) AND \"created_at\" < CAST('2021-02-01 00:00:00' AS TIMESTAMP))"


def test_tables_are_ordered_after_their_inputs(star: StarCopy) -> None:
    star.replace(
        f"FROM {STAGING}", f"FROM {STAGING}\nWHERE created_at IN (SELECT created_at FROM time)", USERS
    )
    compiled = star.load()
    names = [table.name for table in compiled.build_order]
    assert names.index("time") < names.index("users")
    assert compiled.inputs_of(compiled.star.table("users")) == {STAGING, "time"}
    assert compiled.downstream({"time"}) == {"time", "users"}
    assert compiled.downstream({STAGING}) == {STAGING, *names}
    assert compiled.downstream({"users"}) == {"users"}


def test_lineage_leads_to_columns_of_the_staging_table(scx_star: CompiledStar) -> None:
    table = scx_star.star.table
    assert scx_star.lineage(table("users")) == {
        name: [(STAGING, name)] for name in ("user_id", "email_encrypted", "plan_id")
    }
    assert {name for sources in scx_star.lineage(table("time")).values() for name in sources} == {
        (STAGING, "created_at")
    }
    assert scx_star.lineage(table("auto_classification_logs"))["project_id"] == [(STAGING, "project_id")]


def test_lineage_of_an_expression_names_all_its_columns(star: StarCopy) -> None:
    star.replace(
        "    project_name",
        "    project_name || COALESCE(ground_profile, 'none') AS project_name",
        "sql/projects.sql",
    )
    compiled = star.load()
    assert compiled.lineage(compiled.star.table("projects"))["project_name"] == [
        (STAGING, "ground_profile"),
        (STAGING, "project_name"),
    ]


def test_a_sequence_column_has_the_type_of_its_source_column(scx_star: CompiledStar) -> None:
    assert scx_star.output_types(scx_star.star.table("users")) == {
        "user_id": "integer",
        "email_encrypted": "varchar(150)",
        "plan_id": "integer",
        "updated_at": "timestamp",
        "job_id": "integer",
        "created_at": "timestamp",
    }


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("plan_id * project_id", "bigint"),
        ("LEN(project_name)", "bigint"),
        ("plan_id / 2.0", "double"),
        ("GREATEST(updated_at, created_at)", "timestamp"),
        ("CAST(updated_at AS DATE)", "date"),
        ("plan_id > project_id", "boolean"),
        ("project_name || ground_profile", "varchar(max)"),
    ],
)
def test_a_computed_sequence_column_has_the_type_of_its_expression(
    star: StarCopy, expression: str, kind: str
) -> None:
    star.replace("    job_id", f"    {expression} AS job_id", USERS)
    compiled = star.load()
    assert compiled.output_types(compiled.star.table("users"))["job_id"] == kind


def test_postgres_compares_and_orders_texts_by_their_bytes(star: StarCopy) -> None:
    star.write(
        "queries/names.sql",
        "SELECT MAX(project_name) AS last, MAX(plan_id) AS plan, project_name AS name FROM projects\n"
        "INNER JOIN users ON project_id = user_id WHERE project_name < 'b' GROUP BY project_name ORDER BY name, plan",
    )
    star.replace("  queries:\n", "  queries:\n    - {name: names, title: Names}\n")
    compiled = star.load()
    query = next(item for item in compiled.star.queries if item.name == "names")
    name = '("projects"."project_name") COLLATE "C"'
    sql = compiled.query_sql(query, POSTGRES)
    assert f"SELECT MAX({name})" in sql
    assert f"WHERE {name} < 'b'" in sql
    assert sql.endswith(f'ORDER BY {name}, "plan"')
    assert sql.count("COLLATE") == 3
    assert "COLLATE" not in compiled.query_sql(query, DUCKDB) + compiled.query_sql(query, REDSHIFT)


def tables_in(sql: str) -> list[str]:
    return sorted(node.sql("duckdb") for node in sqlglot.parse_one(sql, read="duckdb").find_all(exp.Table))


def test_partitioned_inputs_are_restricted_to_the_months(scx_star: CompiledStar) -> None:
    for table in scx_star.star.derived_tables:
        sql = scx_star.select_sql(table, MONTHS, DUCKDB)
        assert sql.count(IN_MONTHS) == 1
        assert f'FROM (SELECT * FROM "public"."{STAGING}" WHERE {IN_MONTHS}) AS "{STAGING}"' in sql


def test_keyed_inputs_are_read_entirely(star: StarCopy) -> None:
    star.write(
        USERS,
        USERS_SQL.replace(f"FROM {STAGING}", f"FROM {STAGING} INNER JOIN projects AS p USING (project_id)"),
    )
    sql = star.load().select_sql(star.load().star.table("users"), MONTHS, DUCKDB)
    assert tables_in(sql) == ['"public"."projects" AS "p"', f'"public"."{STAGING}"']
    assert sql.count(IN_MONTHS) == 1


def test_every_reference_to_an_input_is_restricted(star: StarCopy) -> None:
    references = f"FROM {STAGING} AS s WHERE s.job_id = (SELECT MAX(o.job_id) FROM {STAGING} AS o) AND s.user_id IN (SELECT user_id FROM {STAGING})"
    star.write(
        USERS, f"WITH chosen AS ({USERS_SQL.replace(f'FROM {STAGING}', references)}) SELECT * FROM chosen"
    )
    sql = star.load().select_sql(star.load().star.table("users"), MONTHS, DUCKDB)
    assert sql.count(IN_MONTHS) == sql.count(f'"public"."{STAGING}"') == 3


def test_restricting_to_one_range_does_not_affect_the_next(scx_star: CompiledStar) -> None:
    users = scx_star.star.table("users")
    first = scx_star.select_sql(users, MONTHS, DUCKDB)
    other = scx_star.select_sql(users, MonthRange(Month(1999, 1), Month(1999, 1)), DUCKDB)
    assert "2020" not in other
    assert scx_star.select_sql(users, MONTHS, DUCKDB) == first


def test_queries_are_not_restricted(scx_star: CompiledStar) -> None:
    query = next(query for query in scx_star.star.queries if query.name == "ground_profile_by_month")
    assert tables_in(scx_star.query_sql(query, DUCKDB)) == [
        '"public"."auto_classification_logs" AS "l"',
        '"public"."time" AS "t"',
    ]


def test_a_query_can_be_run_as_written(scx_star: CompiledStar) -> None:
    query = next(query for query in scx_star.star.queries if query.as_written)
    text = (scx_star.folder / "queries" / f"{query.name}.sql").read_text("utf-8")
    assert {scx_star.query_sql(query, dialect) for dialect in ("redshift", "postgres", DUCKDB)} == {text}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("description: The user.}", "description: Any user.}"),
        ("description: One row per user,", "description: A row for every user,"),
        ("The use of auto-segmentation", "What is segmented"),
        ("owners: [team:data]", "owners: []"),
        ("fresh_within_days: 45", "fresh_within_days: 46"),
    ],
)
def test_the_code_version_does_not_depend_on_descriptions(
    star: StarCopy, scx_star: CompiledStar, old: str, new: str
) -> None:
    star.replace(old, new)
    assert star.load().version == scx_star.version


def test_the_code_version_does_not_depend_on_comments_and_whitespace(
    star: StarCopy, scx_star: CompiledStar
) -> None:
    star.write(
        USERS, "-- the users\n" + USERS_SQL.replace(",\n   ", ", ").replace("SELECT", "select") + ";\n"
    )
    assert star.load().version == scx_star.version


@pytest.mark.parametrize(
    ("name", "old", "new", "table"),
    [
        (USERS, "plan_id", "plan_id + 0 AS plan_id", "users"),
        (USERS, f"FROM {STAGING}", f"FROM {STAGING}\nWHERE job_id > 0", "users"),
        ("defs.yaml", "sequence_by: [updated_at, job_id]", "sequence_by: [job_id, updated_at]", "users"),
        ("defs.yaml", "{name: summary, type: varchar(max)", "{name: summary, type: varchar(100)", STAGING),
        ("defs.yaml", "{year}/{month}/**.csv*", "{year}/{month}/*.csv*", STAGING),
        ("defs.yaml", "allowed_lateness_days: 1", "allowed_lateness_days: 2", STAGING),
        (
            "defs.yaml",
            "{name: updated_at, type: timestamp,",
            '{name: updated_at, type: timestamp, timestamp_format: "%d.%m.%Y",',
            STAGING,
        ),
    ],
)
def test_the_code_version_depends_on_sql_types_and_sources(
    star: StarCopy, scx_star: CompiledStar, name: str, old: str, new: str, table: str
) -> None:
    star.replace(old, new, name)
    changed = star.load()
    assert changed.version != scx_star.version
    versions = {item.name: scx_star.code_version(item) for item in scx_star.star.tables}
    assert {
        item.name for item in changed.star.tables if changed.code_version(item) != versions[item.name]
    } == {table}


def test_the_version_depends_on_where_objects_are_and_not_on_how_they_are_reached(
    star: StarCopy, scx_star: CompiledStar
) -> None:
    star.replace("      source: auto_classify_jobs\n", "      sources: [auto_classify_jobs]\n")
    assert star.load().version == scx_star.version, "another spelling"
    star.replace('      prefix: ""', '      url: s3://other\n      prefix: ""')
    other = star.load().version
    assert other != scx_star.version
    star.replace('      prefix: ""', '      region: eu-west-1\n      anonymous: true\n      prefix: ""')
    assert star.load().version == other


def test_the_version_depends_on_the_first_month(star: StarCopy, scx_star: CompiledStar) -> None:
    star.replace("first_month: 2020-01", "first_month: 2020-02")
    assert star.load().version != scx_star.version
