"""Statements that the stand-in accepts or rejects, each with its page of the developer guide.

Sessions, transactions and errors are tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection

from scx_pipeline_tests.support.redshift.server import ADMIN, StandIn

GUIDE = "https://docs.aws.amazon.com/redshift/latest/dg/"
FEATURES, TYPES, FUNCTIONS = (
    f"c_unsupported-postgresql-{name}" for name in ("features", "datatypes", "functions")
)

# Statements, with the page of the guide.
REFUSED = [
    ("SAVEPOINT here", "c_redshift-sql-commands"),
    ("CREATE INDEX i ON t (a)", FEATURES),
    ("CREATE UNIQUE INDEX i ON t (a)", FEATURES),
    ("CREATE SEQUENCE s", FEATURES),
    ("CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()", FEATURES),
    ("CREATE DOMAIN d AS integer", "c_redshift-sql-commands"),
    ("CREATE TYPE mood AS ENUM ('sad', 'glad')", TYPES),
    ("CREATE EXTENSION hstore", "c_redshift-sql-commands"),
    ("CREATE UNLOGGED TABLE n (a integer)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer) PARTITION BY RANGE (a)", FEATURES),
    ("CREATE TABLE n (a integer CHECK (a > 0))", FEATURES),
    ("CREATE TABLE n (a integer, CHECK (a > 0))", FEATURES),
    ("CREATE TABLE n (a integer[])", TYPES),
    ("CREATE TABLE n (a json)", TYPES),
    ("CREATE TABLE n (a jsonb)", TYPES),
    ("CREATE TABLE n (a uuid)", TYPES),
    ("CREATE TABLE n (a bytea)", TYPES),
    ("CREATE TABLE n (a serial)", TYPES),
    ("CREATE TABLE n (a money)", TYPES),
    ("CREATE TABLE n (a xml)", TYPES),
    ("CREATE TABLE n (a varchar(65536))", "r_Character_types"),
    ("CREATE TABLE n (a char(4097))", "r_Character_types"),
    ("CREATE TABLE n (a decimal(39, 2))", "r_Numeric_types201"),
    ("CREATE TABLE n (tag integer)", "r_pg_keywords"),
    ("CREATE TABLE n (a integer ENCODE gzip)", "c_Compression_encodings"),
    ("CREATE TABLE n (a integer, b integer) DISTSTYLE KEY", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer, b integer) DISTSTYLE ALL DISTKEY (a)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer DISTKEY, b integer DISTKEY)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer) SORTKEY (b)", "r_CREATE_TABLE_NEW"),
    ("INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING", "r_INSERT_30"),
    ("INSERT INTO t (a) VALUES (1) RETURNING a", "r_INSERT_30"),
    ("DELETE FROM t RETURNING a", "r_DELETE"),
    ("SELECT DISTINCT ON (a) a, b FROM t", "r_SELECT_list"),
    ("SELECT COUNT(*) FILTER (WHERE a > 0) FROM t", "c_Aggregate_Functions"),
    ("SELECT a FROM t, LATERAL (SELECT 1) AS x", "r_FROM_clause30"),
    ("SELECT STRING_AGG(b, ',') FROM t", FUNCTIONS),
    ("SELECT ARRAY_AGG(a) FROM t", FUNCTIONS),
    ("SELECT ARRAY[1, 2]", FEATURES),
    ("SELECT a FROM t WHERE a IS DISTINCT FROM 1", FUNCTIONS),
    ("SELECT v.a FROM (VALUES (1), (2)) AS v (a)", FEATURES),
    ("SELECT a FROM t, GENERATE_SERIES(1, 3)", FUNCTIONS),
    ("SELECT b COLLATE \"C\" FROM t", FEATURES),
    ("SELECT a FROM t FOR UPDATE", "r_SELECT_synopsis"),
    ("SELECT a FROM t TABLESAMPLE BERNOULLI (1)", "r_SELECT_synopsis"),
    ("SELECT '{}'::json", TYPES),
    ("SELECT REGEXP_MATCHES(b, 'x') FROM t", FUNCTIONS),
    ("SELECT PG_SLEEP(1)", FUNCTIONS),
    ("SELECT CLOCK_TIMESTAMP()", FUNCTIONS),
    ("SELECT gen_random_uuid()", FUNCTIONS),
    ("SELECT pg_advisory_xact_lock(1)", FUNCTIONS),
    ("SELECT to_regclass('t')", FUNCTIONS),
    ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = u.b", "r_MERGE"),
    ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED AND u.a > 1 THEN UPDATE SET b = u.b"
     " WHEN NOT MATCHED THEN INSERT VALUES (u.a, u.b)", "r_MERGE"),
    ("ALTER TABLE t ADD COLUMN x integer, ADD COLUMN y integer", "r_ALTER_TABLE"),
    ("LISTEN news", "c_redshift-sql-commands"),
    ("DO $$ BEGIN END $$", "c_redshift-sql-commands"),
    ("SET work_mem = '1GB'", "cm_chap_ConfigurationRef"),
    ("LOCK t IN ACCESS SHARE MODE", "r_LOCK"),
    ("SELECT a FROM " + "n" * 128, "r_names"),
    ("CREATE USER IF NOT EXISTS x PASSWORD DISABLE", "r_CREATE_USER"),
    ("CREATE USER x", "r_CREATE_USER"),
    ("CREATE ROLE IF NOT EXISTS x", "r_CREATE_ROLE"),
    ("ALTER USER scx SET default_transaction_read_only TO on", "r_ALTER_USER"),
    ("GRANT CONNECT ON DATABASE dev TO scx", "r_GRANT"),
    ("GRANT SELECT ON t TO CURRENT_USER", "r_GRANT"),
    ("GRANT SELECT ON SCHEMA public TO scx", "r_GRANT"),
    ("ALTER DEFAULT PRIVILEGES FOR ROLE scx GRANT SELECT ON TABLES TO scx_reader", "r_ALTER_DEFAULT_PRIVILEGES"),
    ("TRUNCATE t CASCADE", "r_TRUNCATE"),
    ("TRUNCATE t RESTRICT", "r_TRUNCATE"),
    ("TRUNCATE t RESTART IDENTITY", "r_TRUNCATE"),
    ("TRUNCATE t, u", "r_TRUNCATE"),
    ("TRUNCATE ONLY t", "r_TRUNCATE"),
    ("CREATE OR REPLACE TABLE n (a integer)", "r_CREATE_TABLE_NEW"),
    ("CREATE OR REPLACE TABLE n AS SELECT a FROM t", "r_CREATE_TABLE_AS"),
    ("CREATE TABLE IF NOT EXISTS n AS SELECT a FROM t", "r_CREATE_TABLE_AS"),
    ("CREATE TABLE n AS SELECT a FROM t WITH NO DATA", "r_CREATE_TABLE_AS"),
    ("CREATE TABLE n AS TABLE t", "r_CREATE_TABLE_AS"),
    ("CREATE TABLE n AS VALUES (1)", "r_CREATE_TABLE_AS"),
    ("CREATE TABLE n (a integer) INHERITS (t)", FEATURES),
    ("CREATE TABLE n PARTITION OF t DEFAULT", FEATURES),
    ("CREATE TABLE n (a integer) TABLESPACE pg_default", FEATURES),
    ("CREATE TABLE n (a integer) WITH (fillfactor = 70)", "r_CREATE_TABLE_NEW"),
    ("CREATE TEMPORARY TABLE n (a integer) ON COMMIT DROP", "r_CREATE_TABLE_NEW"),
    ("CREATE TEMPORARY TABLE n ON COMMIT DROP AS SELECT a FROM t", "r_CREATE_TABLE_AS"),
    ("CREATE TABLE n (LIKE t INCLUDING ALL)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer, EXCLUDE USING gist (a WITH =))", FEATURES),
    ("CREATE TABLE n (a integer GENERATED ALWAYS AS (1 + 1) STORED)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer GENERATED ALWAYS AS IDENTITY)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a varchar(5) COLLATE \"C\")", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer REFERENCES u (a) ON DELETE CASCADE)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (a integer UNIQUE DEFERRABLE)", "r_CREATE_TABLE_NEW"),
    ("CREATE TABLE n (\"ctid\" integer)", FEATURES),
    ("CREATE TABLE n (\"oid\" integer)", FEATURES),
    ("CREATE TABLE n (a bit(3))", TYPES),
    ("CREATE TABLE n (a inet)", TYPES),
    ("CREATE TABLE n (a tsvector)", TYPES),
    ("CREATE TABLE n (a point)", TYPES),
    ("CREATE TABLE n (a int4range)", TYPES),
    ("CREATE TABLE n (a oid)", TYPES),
    ("CREATE TABLE n (a bigserial)", TYPES),
    ("CREATE TABLE n (a smallserial)", TYPES),
    ("CREATE TABLE n (a hstore)", TYPES),
    ("CREATE TEMPORARY VIEW n AS SELECT a FROM t", "r_CREATE_VIEW"),
    ("CREATE RECURSIVE VIEW n (a) AS SELECT 1", "r_CREATE_VIEW"),
    ("CREATE VIEW n AS SELECT a FROM t WITH CHECK OPTION", "r_CREATE_VIEW"),
    ("CREATE MATERIALIZED VIEW IF NOT EXISTS n AS SELECT a FROM t", "materialized-view-create-sql-command"),
    ("CREATE FOREIGN TABLE n (a integer) SERVER s", FEATURES),
    ("CREATE TEMPORARY SEQUENCE s", FEATURES),
    ("CREATE FUNCTION f() RETURNS integer AS 'SELECT 1' LANGUAGE plpgsql", "r_CREATE_FUNCTION"),
    ("CREATE AGGREGATE f (integer) (sfunc = int4pl, stype = integer)", "c_redshift-sql-commands"),
    ("CREATE OPERATOR === (leftarg = integer, function = int4eq)", "c_redshift-sql-commands"),
    ("CREATE CAST (integer AS boolean) WITHOUT FUNCTION", "c_redshift-sql-commands"),
    ("CREATE TABLESPACE s LOCATION '/tmp'", FEATURES),
    ("CREATE COLLATION c FROM \"C\"", FEATURES),
    ("CREATE STATISTICS s ON a, b FROM t", "c_SQL_commands"),
    ("CREATE PUBLICATION p FOR TABLE t", "c_SQL_commands"),
    ("CREATE POLICY p ON t", "c_SQL_commands"),
    ("DROP INDEX i", FEATURES),
    ("DROP SEQUENCE IF EXISTS s", FEATURES),
    ("DROP TRIGGER IF EXISTS g ON t", FEATURES),
    ("DROP EXTENSION IF EXISTS hstore", "c_SQL_commands"),
    ("DROP TYPE IF EXISTS mood", "c_SQL_commands"),
    ("DROP OWNED BY scx_reader", "c_SQL_commands"),
    ("ALTER TABLE t ALTER COLUMN a SET NOT NULL", "r_ALTER_TABLE"),
    ("ALTER TABLE t ALTER COLUMN a DROP NOT NULL", "r_ALTER_TABLE"),
    ("ALTER TABLE t ALTER COLUMN a SET DEFAULT 1", "r_ALTER_TABLE"),
    ("ALTER TABLE t ADD COLUMN IF NOT EXISTS x integer", "r_ALTER_TABLE"),
    ("ALTER TABLE t DROP COLUMN IF EXISTS b", "r_ALTER_TABLE"),
    ("ALTER TABLE IF EXISTS t RENAME TO n", "r_ALTER_TABLE"),
    ("ALTER TABLE t ADD COLUMN x integer, DROP COLUMN b", "r_ALTER_TABLE"),
    ("ALTER TABLE t DROP COLUMN a, DROP COLUMN b", "r_ALTER_TABLE"),
    ("ALTER TABLE t SET SCHEMA pg_temp", "r_ALTER_TABLE"),
    ("ALTER TABLE t ALTER COLUMN a TYPE bigint", "r_ALTER_TABLE"),
    ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "r_ALTER_TABLE"),
    ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "r_ALTER_TABLE-rls"),
    ("ALTER TABLE t INHERIT u", FEATURES),
    ("ALTER SEQUENCE s RESTART", FEATURES),
    ("ALTER INDEX i RENAME TO j", FEATURES),
    ("WITH x AS (SELECT a, b FROM u) INSERT INTO t SELECT a, b FROM x", "r_INSERT_30"),
    ("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x", "r_WITH_clause"),
    ("WITH x AS MATERIALIZED (SELECT a FROM t) SELECT a FROM x", "r_WITH_clause"),
    ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 'x'", "r_INSERT_30"),
    ("INSERT INTO t AS x (a) VALUES (1)", "r_INSERT_30"),
    ("INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (1)", "r_INSERT_30"),
    ("UPDATE t SET (a, b) = (1, 'x')", "r_UPDATE"),
    ("UPDATE ONLY t SET a = 1", "r_UPDATE"),
    ("UPDATE t SET a = 1 RETURNING a", "r_UPDATE"),
    ("DELETE FROM ONLY t", "r_DELETE"),
    ("SELECT a FROM ONLY t", "r_FROM_clause30"),
    ("SELECT a FROM t FOR SHARE", "r_SELECT_synopsis"),
    ("SELECT a FROM t FOR NO KEY UPDATE", "r_SELECT_synopsis"),
    ("SELECT a FROM t ORDER BY a FETCH FIRST 1 ROW ONLY", "r_ORDER_BY_clause"),
    ("SELECT a FROM t INTERSECT ALL SELECT a FROM u", "r_UNION"),
    ("SELECT a FROM t EXCEPT ALL SELECT a FROM u", "r_UNION"),
    ("SELECT SUM(a) OVER (ORDER BY a RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t", "r_Window_function_synopsis"),
    ("SELECT SUM(a) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t", "r_Window_function_synopsis"),
    ("SELECT SUM(a) OVER w FROM t WINDOW w AS (PARTITION BY b)", "r_Window_function_synopsis"),
    ("SELECT a FROM t WHERE b ~* 'x'", "pattern-matching-conditions-posix"),
    ("SELECT ROW(a, b) FROM t", FEATURES),
    ("SELECT (ARRAY[1, 2])[1]", FEATURES),
    ("SELECT a FROM t WHERE a = ANY (ARRAY[1])", FEATURES),
    ("SELECT a FROM t CROSS JOIN LATERAL (SELECT 1) AS x", "r_FROM_clause30"),
    ("SELECT a FROM t WHERE a IS NOT DISTINCT FROM 1", FUNCTIONS),
    ("SELECT UNNEST(ARRAY[1])", FUNCTIONS),
    ("SELECT ARRAY(SELECT a FROM t)", FEATURES),
    ("SELECT '{}'::jsonb", TYPES),
    ("SELECT '1'::money", TYPES),
    ("SELECT JSON_AGG(a) FROM t", FUNCTIONS),
    ("SELECT JSONB_BUILD_OBJECT('a', 1)", FUNCTIONS),
    ("SELECT EVERY(a > 0) FROM t", FUNCTIONS),
    ("SELECT CORR(a, a) FROM t", FUNCTIONS),
    ("SELECT OVERLAY(b PLACING 'x' FROM 1) FROM t", FUNCTIONS),
    ("SELECT BIT_LENGTH(b) FROM t", FUNCTIONS),
    ("SELECT FORMAT('%s', b) FROM t", FUNCTIONS),
    ("SELECT ENCODE('x', 'hex')", FUNCTIONS),
    ("SELECT NEXTVAL('s')", FUNCTIONS),
    ("SELECT WIDTH_BUCKET(a, 1, 5, 2) FROM t", FUNCTIONS),
    ("SELECT JUSTIFY_DAYS(INTERVAL '35 days')", FUNCTIONS),
    ("SELECT TRANSACTION_TIMESTAMP()", FUNCTIONS),
    ("SELECT REGEXP_SPLIT_TO_TABLE(b, 'x') FROM t", FUNCTIONS),
    ("SELECT PG_TABLE_SIZE('t')", FUNCTIONS),
    ("SELECT PG_ADVISORY_LOCK(1)", FUNCTIONS),
    ("SELECT PG_NOTIFY('a', 'b')", FUNCTIONS),
    ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (u.a, u.b)", "r_MERGE"),
    ("MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED THEN INSERT VALUES (u.a, u.b)", "r_MERGE"),
    ("MERGE INTO t AS x USING u ON x.a = u.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (u.a, u.b)", "r_MERGE"),
    ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE", "r_MERGE"),
    ("COMMENT ON SCHEMA public IS 'x'", "r_COMMENT"),
    ("COMMENT ON INDEX i IS 'x'", "r_COMMENT"),
    ("NOTIFY news", "c_SQL_commands"),
    ("UNLISTEN *", "c_SQL_commands"),
    ("RELEASE SAVEPOINT here", "c_SQL_commands"),
    ("ROLLBACK TO SAVEPOINT here", "r_ROLLBACK"),
    ("ROLLBACK WORK TO SAVEPOINT here", "r_ROLLBACK"),
    ("PREPARE TRANSACTION 'x'", "c_SQL_commands"),
    ("COMMIT PREPARED 'x'", "r_COMMIT"),
    ("COMMIT AND CHAIN", "r_COMMIT"),
    ("ROLLBACK AND CHAIN", "r_ROLLBACK"),
    ("BEGIN DEFERRABLE", "r_BEGIN"),
    ("VACUUM (FULL, ANALYZE) t", "r_VACUUM_command"),
    ("VACUUM ANALYZE t", "r_VACUUM_command"),
    ("VACUUM FREEZE t", "r_VACUUM_command"),
    ("VACUUM t, u", "r_VACUUM_command"),
    ("ANALYZE t, u", "r_ANALYZE"),
    ("EXPLAIN ANALYZE SELECT a FROM t", "r_EXPLAIN"),
    ("EXPLAIN (FORMAT json) SELECT a FROM t", "r_EXPLAIN"),
    ("LOCK TABLE t NOWAIT", "r_LOCK"),
    ("REINDEX TABLE t", FEATURES),
    ("CLUSTER t", FEATURES),
    ("CHECKPOINT", "c_SQL_commands"),
    ("DISCARD ALL", "c_SQL_commands"),
    ("SET ROLE scx", "r_SET"),
    ("SET CONSTRAINTS ALL DEFERRED", "r_SET"),
    ("VALUES (1), (2)", FEATURES),
    ("TABLE t", "c_SQL_commands"),
    ("SELECT TRY_CAST('' AS INTEGER)", "r_TRY_CAST"),
    ("SELECT TRY_CAST(x AS INTEGER) FROM (SELECT '7' AS x UNION ALL SELECT '  ') AS y", "r_TRY_CAST"),
]  # fmt: skip

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


@pytest.fixture
def con(redshift: StandIn) -> Iterator[connection]:
    """Provide an administrator's session that commits each statement, and two small tables."""
    with closing(psycopg2.connect(redshift.url(ADMIN).replace("redshift://", "postgresql://"))) as con:
        con.autocommit = True
        with con.cursor() as run:
            run.execute("CREATE TABLE t (a integer, b varchar(20))")
            run.execute("CREATE TABLE u (a integer, b varchar(20))")
            run.execute("INSERT INTO t VALUES (1, 'one'), (2, NULL)")
            run.execute("INSERT INTO u VALUES (1, 'uno'), (3, 'tre')")
        yield con


def test_a_statement_that_redshift_refuses_is_refused(con: connection) -> None:
    """All use one session, which each must leave unchanged."""
    assert len(REFUSED) >= 200
    taken = []
    with con.cursor() as run:
        for statement, page in REFUSED:
            try:
                run.execute(statement)
                taken.append(f"{statement} ({GUIDE}{page}.html)")
            except psycopg2.Error:
                pass
        run.execute("SELECT COUNT(*) FROM t")
        assert run.fetchall() == [(2,)]
    assert taken == []


def test_what_redshift_takes_is_taken(con: connection) -> None:
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
