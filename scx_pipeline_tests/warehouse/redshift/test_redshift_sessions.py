"""Sessions on the stand-in: logins, transactions, keys that are not enforced, lengths in bytes, error numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from psycopg2.extensions import connection

from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Gone


@contextmanager
def session(redshift: StandIn, **options: str) -> Iterator[connection]:
    url = redshift.url().replace("redshift://", "postgresql://")
    with closing(psycopg2.connect(url, **options)) as con:
        yield con


def rows(con: connection, sql: str) -> list[tuple[object, ...]]:
    with con.cursor() as run:
        run.execute(sql)
        return list(run.fetchall()) if run.description else []


def test_the_version_is_that_of_redshift(redshift: StandIn) -> None:
    with session(redshift) as con:
        assert con.server_version == 80002


def test_the_certificate_of_the_stand_in_can_be_verified_in_full(redshift: StandIn) -> None:
    with session(redshift, sslmode="verify-full") as con:
        assert rows(con, "SELECT 1") == [(1,)]


def test_a_login_requires_tls_and_the_password(redshift: StandIn) -> None:
    url = redshift.url().replace("redshift://", "postgresql://")
    with pytest.raises(psycopg2.OperationalError, match="SSL off"):
        psycopg2.connect(url, sslmode="disable")
    with pytest.raises(psycopg2.OperationalError, match='password authentication failed for user "scx"'):
        psycopg2.connect(url, password="wrong")
    with pytest.raises(psycopg2.OperationalError, match='database "other" does not exist'):
        psycopg2.connect(url, dbname="other")


def test_a_refused_statement_fails_its_transaction(redshift: StandIn) -> None:
    with session(redshift) as con:
        rows(con, "CREATE TABLE t (a integer)")
        with pytest.raises(psycopg2.Error, match="DISTINCT ON"):
            rows(con, "SELECT DISTINCT ON (a) a FROM t")
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            rows(con, "SELECT 1")
        con.rollback()
        with pytest.raises(psycopg2.errors.UndefinedTable):
            rows(con, "SELECT a FROM t")


def test_truncate_commits(redshift: StandIn) -> None:
    with session(redshift) as con:
        rows(con, "CREATE TABLE t (a integer)")
        rows(con, "INSERT INTO t VALUES (1)")
        con.commit()
        rows(con, "TRUNCATE t")
        con.rollback()
        assert rows(con, "SELECT COUNT(*) FROM t") == [(0,)]


@pytest.mark.parametrize(
    "statement", ["VACUUM t", "ALTER TABLE t APPEND FROM u", "ALTER TABLE t ALTER COLUMN a TYPE varchar(9)"]
)
def test_some_statements_are_barred_from_transactions(redshift: StandIn, statement: str) -> None:
    with session(redshift) as con:
        rows(con, "CREATE TABLE t (a varchar(5))")
        with pytest.raises(psycopg2.errors.ActiveSqlTransaction):
            rows(con, statement)


def test_keys_are_not_enforced_but_not_null_is(redshift: StandIn) -> None:
    with session(redshift) as con:
        rows(con, "CREATE TABLE t (a integer NOT NULL, PRIMARY KEY (a))")
        rows(con, "INSERT INTO t VALUES (1), (1)")
        assert rows(con, "SELECT a FROM t") == [(1,), (1,)]
        with pytest.raises(psycopg2.errors.NotNullViolation):
            rows(con, "INSERT INTO t VALUES (NULL)")


def test_lengths_are_bytes(redshift: StandIn) -> None:
    with session(redshift) as con:
        rows(con, "CREATE TABLE t (a varchar(4))")
        rows(con, "INSERT INTO t VALUES ('äö')")
        with pytest.raises(psycopg2.errors.StringDataRightTruncation):
            rows(con, "INSERT INTO t VALUES ('äöü')")


def test_names_fold_to_lower_case_even_in_quotes(redshift: StandIn) -> None:
    with session(redshift) as con:
        rows(con, 'CREATE TABLE "Mixed" ("A" integer)')
        assert rows(con, 'SELECT "a", "A" FROM mixed') == []


def test_a_conflict_is_error_1023(redshift: StandIn) -> None:
    with session(redshift) as first, session(redshift) as second:
        rows(first, "CREATE TABLE t (a integer)")
        rows(first, "INSERT INTO t VALUES (1)")
        first.commit()
        rows(first, "SELECT a FROM t")
        rows(second, "UPDATE t SET a = 2")
        second.commit()
        with pytest.raises(psycopg2.Error, match="1023") as caught:
            rows(first, "UPDATE t SET a = 3")
        assert caught.value.pgcode == "XX000"


def test_a_connection_can_be_cut_at_a_statement(redshift: StandIn) -> None:
    def cut(sql: str) -> None:
        if sql.startswith("INSERT"):
            raise Gone

    redshift.before = cut
    with session(redshift) as con:
        rows(con, "CREATE TABLE t (a integer)")
        with pytest.raises(psycopg2.OperationalError):
            rows(con, "INSERT INTO t VALUES (1)")
    assert [sql.split()[0] for sql in redshift.statements] == ["BEGIN", "CREATE", "INSERT"]
