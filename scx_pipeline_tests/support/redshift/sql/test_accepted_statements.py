"""Statements that Redshift accepts and the stand-in must too, each with its page of the developer guide; and types of results."""

from __future__ import annotations

import psycopg2
from psycopg2.extensions import connection

from scx_pipeline_tests.support.redshift.sql.guide import GUIDE

TAKEN = [
    ("CREATE TABLE n (a integer NOT NULL ENCODE az64, b varchar(65535) ENCODE zstd, PRIMARY KEY (a)) DISTSTYLE KEY"
     " DISTKEY (a) COMPOUND SORTKEY (a, b)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer DISTKEY SORTKEY, b integer)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer) DISTSTYLE ALL SORTKEY AUTO", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE IF NOT EXISTS t (a integer)", "r_CREATE_TABLE_NEW"),
    ('CREATE TABLE n ("tag" integer)', "r_pg_keywords"),
    ("CREATE TABLE n (a varchar(max))", "r_Character_types"),
    ("CREATE TEMPORARY TABLE n (LIKE t)", "r_CREATE_TABLE_NEW"),
    ("CREATE TEMPORARY TABLE n AS SELECT a FROM t", "r_CREATE_TABLE_AS"),
    ("CREATE VIEW n AS SELECT a FROM t", "r_CREATE_VIEW"),
    ("CREATE SCHEMA IF NOT EXISTS other", "r_CREATE_SCHEMA"),
    ("DROP TABLE IF EXISTS nothing", "r_DROP_TABLE"),
    ("ALTER TABLE t RENAME TO n", "r_ALTER_TABLE"),
    ("ALTER TABLE t ADD COLUMN x integer", "r_ALTER_TABLE"),
    ("ALTER TABLE t DROP COLUMN b", "r_ALTER_TABLE"),
    ("INSERT INTO t (a, b) VALUES (7, 'x'), (8, NULL)", "r_INSERT_30"),
    ("INSERT INTO t SELECT a + 10, b FROM u", "r_INSERT_30"),
    ("DELETE FROM t USING u WHERE t.a = u.a", "r_DELETE"),
    ("UPDATE t SET b = u.b FROM u WHERE t.a = u.a", "r_UPDATE"),
    ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = u.b"
     " WHEN NOT MATCHED THEN INSERT VALUES (u.a, u.b)", "r_MERGE"),
    ("TRUNCATE t", "r_TRUNCATE"),
    ("ANALYZE t", "r_ANALYZE"),
    ("VACUUM DELETE ONLY t", "r_VACUUM_command"),
    ("SET query_group TO 'nightly'", "r_query_group"),
    ("SET statement_timeout TO 10000", "r_statement_timeout"),
    ("SELECT a, ROW_NUMBER() OVER (PARTITION BY a ORDER BY b DESC NULLS LAST) FROM t", "r_WF_ROW_NUMBER"),
    ("SELECT * FROM (SELECT a FROM t) AS x QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1", "r_QUALIFY_clause"),
    ("SELECT a FROM t WHERE (a, b) IN (SELECT a, b FROM u)", "r_in_condition"),
    ("WITH x AS (SELECT a FROM t) SELECT COUNT(*) FROM x", "r_WITH_clause"),
    ("SELECT LISTAGG(b, ',') WITHIN GROUP (ORDER BY a) FROM t", "r_LISTAGG"),
    ("SELECT DATEADD(ms, 1500, CAST('1970-01-01' AS TIMESTAMP))", "r_DATEADD_function"),
    ("SELECT DATE_TRUNC('month', CAST('2021-03-05' AS TIMESTAMP))", "r_DATE_TRUNC"),
    ("SELECT EXTRACT(DOW FROM CAST('2021-03-05' AS TIMESTAMP))", "r_EXTRACT_function"),
    ("SELECT TRY_CAST(b AS INTEGER) FROM t", "r_TRY_CAST"),
    ("SELECT FNV_HASH(b, FNV_HASH(a)) FROM t", "r_FNV_HASH"),
    ("SELECT OCTET_LENGTH(b), MD5(b), b ~ '^x' FROM t", "r_OCTET_LENGTH"),
    ("SELECT PG_BACKEND_PID()", "PG_BACKEND_PID"),
    ("SELECT nspname FROM pg_namespace", "c_join_PG"),
    ("EXPLAIN SELECT a FROM t", "r_EXPLAIN"),
    ("CREATE USER x PASSWORD DISABLE", "r_CREATE_USER"),
    ("ALTER USER scx SET statement_timeout TO 1000", "r_ALTER_USER"),
    ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO scx_reader", "r_GRANT"),
    ("REVOKE TEMP ON DATABASE dev FROM PUBLIC", "r_REVOKE"),
    ("ALTER DEFAULT PRIVILEGES FOR USER scx GRANT SELECT ON TABLES TO scx_reader", "r_ALTER_DEFAULT_PRIVILEGES"),
    ("TRUNCATE TABLE t", "r_TRUNCATE"),
    ("CREATE OR REPLACE VIEW n AS SELECT a FROM t", "r_CREATE_VIEW"),
    ("CREATE TABLE n (LIKE t INCLUDING DEFAULTS)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer, b integer REFERENCES u (a), UNIQUE (a))", "r_CREATE_TABLE_NEW"),
    ("CREATE TEMPORARY TABLE n (a integer)", "r_CREATE_TABLE_NEW"),
    ("DROP VIEW IF EXISTS nothing", "r_DROP_VIEW"),
    ("DROP SCHEMA IF EXISTS nothing CASCADE", "r_DROP_SCHEMA"),
    ("ALTER TABLE t RENAME COLUMN b TO c", "r_ALTER_TABLE"),
    ("ALTER TABLE t ADD x decimal(9, 2)", "r_ALTER_TABLE"),
    ("INSERT INTO t DEFAULT VALUES", "r_INSERT_30"),
    ("INSERT INTO t WITH x AS (SELECT a, b FROM u) SELECT a, b FROM x", "r_WITH_clause"),
    ("UPDATE t SET a = 1, b = 'x'", "r_UPDATE"),
    ("SELECT a FROM t UNION ALL SELECT a FROM u", "r_UNION"),
    ("SELECT a FROM t INTERSECT SELECT a FROM u", "r_UNION"),
    ("SELECT a, b, COUNT(*) FROM t GROUP BY GROUPING SETS ((a), (b), ())", "r_GROUP_BY_aggregation-extensions"),
    ("SELECT a FROM t WHERE a = ANY (SELECT a FROM u)", "r_in_condition"),
    ("SELECT SUM(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t", "r_Window_function_synopsis"),
    ("SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 1", "r_ORDER_BY_clause"),
    ("SELECT a FROM t WHERE b LIKE 'truncate t cascade, fetch first'", "r_patternmatching_condition_like"),
    ("COMMENT ON TABLE t IS 'from only, intersect all'", "r_COMMENT"),
    ("EXPLAIN VERBOSE SELECT a FROM t", "r_EXPLAIN"),
    ("ANALYZE t (a, b)", "r_ANALYZE"),
    ("VACUUM FULL t", "r_VACUUM_command"),
    ("SELECT TRY_CAST(NULL AS INTEGER)", "r_TRY_CAST"),
]  # fmt: skip


def test_a_valid_statement_is_accepted(con: connection) -> None:
    """Each runs in a transaction that is rolled back, if it may."""
    assert len(TAKEN) >= 60
    rejected = []
    with con.cursor() as run:
        for statement, page in TAKEN:
            alone = statement.startswith("VACUUM")
            try:
                run.execute("SELECT 1" if alone else "BEGIN")
                run.execute(statement)
                assert run.description is None or run.fetchall() is not None
            except psycopg2.Error as error:
                rejected.append(f"{statement} ({GUIDE}{page}.html): {error}")
            run.execute("SELECT 1" if alone else "ROLLBACK")
    assert rejected == []


def test_results_have_redshifts_types(con: connection) -> None:
    with con.cursor() as run:
        run.execute("SELECT EXTRACT(DOW FROM CAST('2021-03-05' AS TIMESTAMP)), FNV_HASH('a') = FNV_HASH('b')")
        assert run.fetchall() == [(5, False)]
        run.execute(
            "SELECT TRY_CAST(x AS INTEGER) FROM (SELECT '7' AS x UNION ALL SELECT b FROM t) AS y ORDER BY 1"
        )
        assert run.fetchall() == [(7,), (None,), (None,)]
        run.execute("SELECT LISTAGG(b, ',') WITHIN GROUP (ORDER BY a DESC) FROM u")
        assert run.fetchall() == [("tre,uno",)]
