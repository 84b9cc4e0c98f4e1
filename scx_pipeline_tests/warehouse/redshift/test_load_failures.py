"""Loads into the stand-in that fail: lost connections, conflicts, errors of the cluster, refused logins.

A failed load changes nothing.
"""

from __future__ import annotations

import re

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.redshift import redshift_warehouse as adapter
from scx_pipeline_tests.support.load_env import APRIL, LoadEnv, jobs_of
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure, Gone
from scx_pipeline_tests.warehouse.redshift.april_loads import CONFLICT, cut_at_statements, put_april, staged


def test_a_connection_cut_at_any_second_statement_changes_nothing_and_the_next_load_converges(
    redshift: StandIn, load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter.RedshiftWarehouse, "max_attempts", 1)
    put_april(load_env, 1)
    load_env.load(APRIL)
    number = cut_at_statements(redshift, load_env, lambda number: put_april(load_env, 2 + number % 2), step=2)
    assert number > 40
    assert jobs_of(load_env) == [2 + number % 2]
    assert staged(redshift, load_env) == []


def test_a_load_whose_connection_is_lost_succeeds_when_retried(redshift: StandIn, load_env: LoadEnv) -> None:
    put_april(load_env, 5)
    broken: list[str] = []

    def before(sql: str) -> None:
        if sql.startswith("COPY") and not broken:
            broken.append(sql)
            raise Gone

    redshift.before = before
    load_env.load(APRIL)
    assert jobs_of(load_env) == [5]
    assert len(broken) == 1
    assert any("trying again in 0.0 s (1 of 4)" in message for message in load_env.messages)
    assert staged(redshift, load_env) == []


@pytest.mark.parametrize(
    "failure",
    [CONFLICT, Failure("XX000", "1018: Relation does not exist: it was dropped by another transaction")],
)
def test_a_load_that_conflicts_with_another_is_retried(
    redshift: StandIn, load_env: LoadEnv, failure: Failure
) -> None:
    put_april(load_env, 5)
    load_env.load(APRIL)
    put_april(load_env, 6)
    refused: list[str] = []

    def before(sql: str) -> None:
        if sql.startswith('DELETE FROM "public"."users"') and len(refused) < 2:
            refused.append(sql)
            raise failure

    redshift.before = before
    load_env.load(APRIL)
    assert jobs_of(load_env) == [6]
    assert [message for message in load_env.messages if "trying again" in message][-1].endswith("(2 of 4)")


def test_a_persistent_conflict_is_reported_and_changes_nothing(redshift: StandIn, load_env: LoadEnv) -> None:
    put_april(load_env, 5)
    load_env.load(APRIL)
    before = load_env.snapshot()
    put_april(load_env, 6)

    def refuse(sql: str) -> None:
        if sql.startswith("COPY"):
            raise CONFLICT

    redshift.before = refuse
    with pytest.raises(WarehouseError, match="1023: Serializable isolation violation.*nothing was changed"):
        load_env.load(APRIL)
    redshift.before = lambda sql: None
    assert load_env.snapshot() == before
    assert staged(redshift, load_env) == []


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "User arn:aws:redshift:x is not authorized to assume IAM Role arn:aws:iam::1:role/r",
            "attach the role to the cluster",
        ),
        (
            "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid X",
            "must be allowed to read the bucket",
        ),
        (
            "S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey",
            "was deleted after it was listed",
        ),
        (
            "S3ServiceException:The bucket you are attempting to access must be addressed using the specified endpoint.",
            "set region=",
        ),
        ("Disk Full", "resize the cluster"),
    ],
)
def test_an_error_of_the_cluster_is_one_line_with_advice(
    redshift: StandIn, load_env: LoadEnv, message: str, advice: str
) -> None:
    put_april(load_env, 5)
    load_env.load(APRIL)
    before = load_env.snapshot()

    def refuse(sql: str) -> None:
        if sql.startswith("COPY"):
            raise Failure("XX000", message)

    redshift.before = refuse
    with pytest.raises(WarehouseError, match=re.escape(advice)) as caught:
        load_env.load(APRIL)
    redshift.before = lambda sql: None
    assert "\n" not in str(caught.value)
    assert load_env.snapshot() == before
    assert staged(redshift, load_env) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("s3cret", "wrong"), "password authentication failed.*temporary ones expire"),
        (("/dev?", "/other?"), 'database "other" does not exist'),
        (("localhost", "127.0.0.1"), "does not match host name|certificate"),
        (("sslrootcert=", "sslmode=verify-full&sslrootcert=/nowhere"), "root certificate file"),
    ],
)
def test_a_refused_connection_is_reported_without_the_password(
    load_env: LoadEnv, change: tuple[str, str], message: str
) -> None:
    put_april(load_env, 5)
    load_env.warehouse_url = load_env.warehouse_url.replace(*change, 1)
    with pytest.raises(WarehouseError, match=message) as caught:
        load_env.load(APRIL)
    assert "cret/@:%" not in str(caught.value)
    assert "cret%2F" not in str(caught.value)


def test_a_load_without_a_staging_prefix_fails(load_env: LoadEnv) -> None:
    put_april(load_env, 5)
    load_env.warehouse_url = load_env.warehouse_url.partition("&staging=")[0]
    with pytest.raises(WarehouseError, match="add staging=s3://bucket/prefix"):
        load_env.load(APRIL)
    with load_env.warehouse.open_if_loaded() as session:
        assert session is None
