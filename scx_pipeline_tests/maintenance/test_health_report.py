"""The health report of a star's tables: row counts, dead rows, bloat and advice, as each engine reports them."""

from __future__ import annotations

from pathlib import Path

import psycopg2
import pytest

from scx_pipeline.maintenance.retention import RetentionPolicy
from scx_pipeline_tests.maintenance.months_to_maintain import put, run_maintenance
from scx_pipeline_tests.support.load_env import FACTS, MARCH, STAGING, LoadEnv, create_load_env
from scx_pipeline_tests.support.redshift.server import ADMIN, USER, StandIn
from scx_pipeline_tests.support.redshift.wire import Failure

pytestmark = pytest.mark.reader_independent


NOT_A_SUPERUSER = (
    "only a superuser may read svv_alter_table_recommendations, the recommendations of Redshift's advisor"
)


def test_the_health_report_has_every_table_with_its_row_count(spring: LoadEnv) -> None:
    found = run_maintenance(spring, RetentionPolicy()).found
    assert found is not None
    rows = {table.name: table.rows for table in found.tables}
    assert rows[f"public.{FACTS}"] == 63
    assert rows["public.users"] == 3
    assert "scx_pipeline.rejected_rows" in rows
    redshift = spring.warehouse_url.startswith("redshift:")
    assert found.all_advice == ([NOT_A_SUPERUSER] if redshift else [])


@pytest.mark.postgres
def test_the_loading_role_vacuums_postgres(postgres_env: LoadEnv) -> None:
    put(postgres_env, MARCH, *range(1, 60))
    postgres_env.load(MARCH)
    put(postgres_env, MARCH, *range(1, 60))
    postgres_env.load(MARCH)
    result = run_maintenance(postgres_env, RetentionPolicy())
    assert f'VACUUM (ANALYZE) "public"."{FACTS}"' in result.statements
    assert result.before is not None
    assert result.after is not None
    [before], [after] = (
        [table.facts for table in found.tables if table.name == f"public.{FACTS}"]
        for found in (result.before, result.after)
    )
    assert after["dead rows"] == 0
    assert after["vacuumed"]
    assert not before["vacuumed"]


@pytest.mark.postgres
def test_bloat_is_estimated_from_the_size_of_rows(postgres_env: LoadEnv) -> None:
    put(postgres_env, MARCH, 1)
    postgres_env.load(MARCH)
    with psycopg2.connect(postgres_env.warehouse_url) as con, con.cursor() as run:
        run.execute(
            "INSERT INTO public.projects SELECT n, repeat('x', 100), '', '' FROM generate_series(100, 20000) AS n"
        )
        run.execute("DELETE FROM public.projects WHERE project_id >= 100 AND project_id < 19000")
    [facts] = [t.facts for t in _after(postgres_env) if t.name == "public.projects"]
    with psycopg2.connect(postgres_env.warehouse_url) as con, con.cursor() as run:
        run.execute("SELECT pg_relation_size('public.projects')")
        [(size,)] = run.fetchall()
    assert 0.85 * size < int(str(facts["bloat bytes"])) < size


def _after(load_env: LoadEnv):  # type: ignore[no-untyped-def]
    found = run_maintenance(load_env, RetentionPolicy()).after
    assert found is not None
    return found.tables


def test_advice_of_redshifts_advisor_is_reported_to_a_superuser(
    redshift: StandIn, redshift_url: str, tmp_path: Path
) -> None:
    load_env = create_load_env(tmp_path, redshift_url.replace(f"//{USER}:", f"//{ADMIN}:"))
    put(load_env, MARCH, 1)
    load_env.load(MARCH)
    with redshift.backend.superuser(redshift.backend_database) as run:
        run.execute("SET allow_system_table_mods = on")
        run.execute(
            "CREATE OR REPLACE VIEW pg_catalog.svv_alter_table_recommendations AS SELECT 'sortkey'::text AS \"type\","
            " 'dev'::text AS \"database\", 'public.users'::regclass::oid::int AS table_id, 1 AS group_id,"
            " 'ALTER TABLE users ALTER SORTKEY (user_id)'::text AS ddl, 'f'::text AS auto_eligible"
        )
    result = run_maintenance(load_env, RetentionPolicy())
    assert result.statements[:2] == [f'VACUUM "public"."{STAGING}"', f'ANALYZE "public"."{STAGING}"']
    assert result.after is not None
    assert result.after.all_advice == [
        "public.users: Redshift's advisor: ALTER TABLE users ALTER SORTKEY (user_id)"
    ]


@pytest.mark.parametrize("barred", ["the view", "what it reads"])
def test_missing_access_to_redshifts_advisor_is_reported_and_the_rest_is_complete(
    redshift: StandIn, redshift_url: str, tmp_path: Path, barred: str
) -> None:
    load_env = create_load_env(tmp_path, redshift_url)
    put(load_env, MARCH, 1)
    load_env.load(MARCH)
    if barred == "what it reads":
        with redshift.backend.superuser(redshift.backend_database) as run:
            run.execute("SET allow_system_table_mods = on")
            run.execute("GRANT SELECT ON pg_catalog.svv_alter_table_recommendations TO PUBLIC")
        redshift.before = _bar_advice
    result = run_maintenance(load_env, RetentionPolicy())
    for found in (result.before, result.after):
        assert found is not None
        assert found.advice == (NOT_A_SUPERUSER,)
        assert {table.name: table.rows for table in found.tables}[f"public.{STAGING}"] is not None
    assert result.statements[0] == f'VACUUM "public"."{STAGING}"'


def _bar_advice(sql: str) -> None:
    if "FROM svv_alter_table_recommendations" in sql:
        raise Failure("42501", "permission denied for relation stv_recommendations")


def test_missing_access_to_redshifts_table_view_is_reported(
    redshift: StandIn, redshift_url: str, tmp_path: Path
) -> None:
    load_env = create_load_env(tmp_path, redshift_url)
    put(load_env, MARCH, 1)
    load_env.load(MARCH)
    with redshift.backend.superuser(redshift.backend_database) as run:
        run.execute("SET allow_system_table_mods = on")
        run.execute("REVOKE SELECT ON pg_catalog.svv_table_info FROM scx")
    found = run_maintenance(load_env, RetentionPolicy()).found
    assert found is not None
    assert found.advice == (
        "this user may not read svv_table_info: have an administrator run what `scx roles` prints",
    )
