"""The database behind a stand-in: a copy of one in which the project's roles file for Redshift was run.

The file is run through a stand-in.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import psycopg2

from scx_pipeline.warehouse.redshift import redshift_roles
from scx_pipeline.warehouse.roles import Roles
from scx_pipeline_tests.support.redshift.listener import stand_in
from scx_pipeline_tests.support.redshift.server import ADMIN, READER, USER
from scx_pipeline_tests.support.servers.postgres import ANALYST, LOADER, ROLES, PostgresServer

TEMPLATE = "with_users"
_READY: set[int] = set()  # the servers that have the template


def fresh_cluster(postgres: PostgresServer, name: str) -> None:
    """Recreate the database as it is after an administrator has run the roles file."""
    if postgres.pid not in _READY:
        _make_template(postgres)
        _READY.add(postgres.pid)
    postgres.copy_database(name, TEMPLATE, redshift_roles.database_sql(Roles((), USER, READER, name)))


def statements() -> list[str]:
    """Those of the file, but for the users' names: those of PostgreSQL's file are taken, on the same server."""
    text = (ROLES / "redshift.sql").read_text("utf-8").replace(LOADER, USER).replace(ANALYST, READER)
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [item.strip() for item in "\n".join(lines).split(";") if item.strip()]


def _make_template(postgres: PostgresServer) -> None:
    postgres.copy_database(TEMPLATE, "template1", "SELECT 1")
    with postgres.superuser(TEMPLATE) as run:
        run.execute("SET allow_system_table_mods = on")
        run.execute(VIEWS)
    with (
        tempfile.TemporaryDirectory() as folder,
        stand_in(Path(folder), postgres, TEMPLATE, None) as server,
        closing(psycopg2.connect(server.url(ADMIN).replace("redshift://", "postgresql://"))) as con,
    ):
        con.autocommit = True
        for statement in statements():
            con.cursor().execute(statement)
    with postgres.superuser() as run:
        for user in (USER, READER):
            run.execute(f"ALTER ROLE {user} PASSWORD %s", (postgres.password,))


# SVV_TABLE_INFO, which has no row for an empty table, and is visible to superusers and grantees only; and the
# recommendations, which are visible to superusers only. The numbers are invented.
VIEWS = """
CREATE VIEW pg_catalog.svv_table_info AS
SELECT current_database()::text AS "database", n.nspname::text AS "schema", c.oid AS table_id, c.relname::text AS "table",
    'Y'::text AS encoded, 'AUTO(ALL)'::text AS diststyle, 'AUTO(SORTKEY)'::text AS sortkey1, NULL::int AS max_varchar,
    NULL::text AS sortkey1_enc, 0 AS sortkey_num, (pg_relation_size(c.oid) / 1048576 + 1)::bigint AS size,
    0::numeric(10, 4) AS pct_used, 0::bigint AS empty, 0::numeric(5, 2) AS unsorted,
    CASE WHEN s.last_analyze IS NULL THEN 100 ELSE 0 END::numeric(5, 2) AS stats_off, s.n_live_tup::numeric(38, 0) AS tbl_rows,
    NULL::numeric(19, 2) AS skew_sortkey1, 1::numeric(19, 2) AS skew_rows, s.n_live_tup::numeric(38, 0) AS estimated_visible_rows,
    NULL::text AS risk_event, 0::numeric(12, 2) AS vacuum_sort_benefit, now()::timestamp AS create_time
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.relkind = 'r' AND s.n_live_tup > 0;
CREATE VIEW pg_catalog.svv_alter_table_recommendations AS
SELECT NULL::text AS "type", NULL::text AS "database", NULL::int AS table_id, NULL::int AS group_id, NULL::text AS ddl,
    NULL::text AS auto_eligible WHERE FALSE;
"""
