"""Blocking checks: each kind of declared check can fail, and a failed check leaves the published months unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scx_pipeline.history.ingest_result import IngestResult, ObjectCount
from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    STAGING,
    LoadEnv,
    edited_star,
    failed_load,
    job,
    jobs_of,
    scx_star,
)

pytestmark = pytest.mark.reader_independent

Facts = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Breach:
    """A declaration or a row of April that violates one check, with the expected name and message of the check."""

    table: str
    check: str
    message: str
    row: Mapping[str, object] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    sql: Mapping[str, tuple[str, str]] = field(default_factory=dict)


FROM = f"FROM {STAGING}"
BREACHES = {
    "accepted in staging": Breach(STAGING, "accepted_values_remove_dup", "remove_dup is not one of 0, 1 in 1 row in 2021-04", {"remove_dup": 5}),
    "accepted in the fact": Breach(FACTS, "accepted_values_remove_dup", "remove_dup is not one of 0, 1 in 1 row in 2021-04", {"remove_dup": 5}, {f"{FACTS}.remove_dup": {"accepted_values": [0, 1]}}),
    "range": Breach(STAGING, "range_plan_id", "plan_id is outside 0 … 1000 in 1 row in 2021-04", {"plan_id": -1}),
    "range of a dimension": Breach("users", "range_plan_id", "plan_id is outside 0 … 9 in 1 row", {"plan_id": 10}, {"users.plan_id": {"range": [0, 9]}}),
    "not null": Breach(
        FACTS,
        "not_null_ground_profile",
        "ground_profile is null in 1 row in 2021-04",
        {"ground_profile": None},
        {f"{FACTS}.ground_profile": {"nullable": False}},
    ),
    "not null in a dimension": Breach(
        "projects", "not_null_summary", "summary is null", {"summary": None}, {"projects.summary": {"nullable": False}}
    ),
    "unique within a month": Breach(
        FACTS, "unique_job_id", "job_id 40 occurs twice in 2021-04", sql={FACTS: (FROM, f"{FROM}, (SELECT 1 AS n UNION ALL SELECT 2) AS two WHERE n = 1 OR job_id = 40")}
    ),
    "unique over all months": Breach(
        FACTS, "unique_user_id", "user_id 1 occurs in 2021-03 and in 2021-04", {"user_id": 1}, {FACTS: {"key": ["user_id"]}}
    ),
    "unique over all months, of two columns": Breach(
        FACTS,
        "unique_user_id_project_id",
        "user_id 1, project_id 1 occurs in 2021-03 and in 2021-04",
        {"user_id": 1, "project_id": 1},
        {FACTS: {"key": ["user_id", "project_id"]}},
    ),
    "references": Breach(
        FACTS, "references_users", "user_id is missing in users in 1 row: 77", {"user_id": 77}, sql={"users": (FROM, f"{FROM} WHERE user_id <> 77")}
    ),
    "references by month": Breach(
        FACTS, "references_time", "created_at is missing in time in 1 row: 2021-04-05", sql={"time": (FROM, f"{FROM} WHERE job_id <> 40")}
    ),
    "as many rows": Breach(FACTS, "row_count", "2021-04: not as many rows as in staging", sql={FACTS: (FROM, f"{FROM} WHERE job_id <> 40")}),
    "no rows": Breach("time", "row_count", "2021-04: no rows, although its inputs have rows", sql={"time": (FROM, f"{FROM} WHERE job_id <> 40")}),
}  # fmt: skip


def load_march(load_env: LoadEnv) -> None:
    load_env.put(
        "2021/03/a.csv", [job(30 + n, "2021-03-05 10:00:00", user_id=1 + n, project_id=1) for n in range(3)]
    )
    load_env.load(MARCH)


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES)
def test_a_violated_check_prevents_publishing_the_month(
    breach: Breach, load_env: LoadEnv, tmp_path: Path
) -> None:
    load_env.compiled = edited_star(tmp_path, breach.facts, breach.sql)
    load_march(load_env)
    load_env.put(
        "2021/04/a.csv", [job(40, "2021-04-05 10:00:00", user_id=9, project_id=2) | dict(breach.row)]
    )
    failed = failed_load(load_env, APRIL)
    [message] = [check for check in failed if (check.table, check.name) == (breach.table, breach.check)]
    assert breach.message in message.message
    assert jobs_of(load_env) == [30, 31, 32]
    assert breach.check in {
        check.name for check in declared_checks(load_env.compiled.star) if check.table == breach.table
    }


def test_a_corrected_month_passes_a_check_that_failed_before(load_env: LoadEnv) -> None:
    load_march(load_env)
    load_env.put("2021/04/a.csv", [job(40, "2021-04-05 10:00:00", plan_id=1001)])
    failed_load(load_env, APRIL)
    load_env.put("2021/04/a.csv", [job(40, "2021-04-05 10:00:00", plan_id=1000)])
    load_env.load(APRIL)
    assert jobs_of(load_env) == [30, 31, 32, 40]


def test_a_report_has_each_declared_check_exactly_once(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    report = load_env.load(MARCH)
    done = [(check.table, check.name) for check in report.checks]
    assert sorted(done) == sorted((check.table, check.name) for check in declared_checks(scx_star().star))
    assert all(check.passed for check in report.checks)
    declared = {(check.table, check.name): check.severity for check in declared_checks(scx_star().star)}
    assert {(check.table, check.name): check.severity for check in report.checks} == declared


def test_objects_whose_row_counts_do_not_balance_are_not_published(
    load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    monkeypatch.setattr(ObjectCount, "balanced", property(lambda count: False))
    [check] = failed_load(load_env, MARCH)
    assert (check.table, check.name) == (STAGING, "row_reconciliation")
    assert "auto_classify_jobs/2021/03/a.csv" in check.message


def test_a_load_that_loses_staging_rows_is_not_published(
    load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    monkeypatch.setattr(
        IngestResult,
        "total",
        lambda ingest_result, name: (
            sum(getattr(each, name) for each in ingest_result.counts) + (name == "loaded")
        ),
    )
    [check] = failed_load(load_env, MARCH)
    assert (check.table, check.name, check.message) == (
        STAGING,
        "row_count",
        "the table has 1 row, but 2 were loaded",
    )


def test_a_rebuilt_dimension_must_contain_the_keys_that_facts_reference(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    load_march(load_env)
    load_env.compiled = edited_star(tmp_path, sql={"users": (FROM, f"{FROM} WHERE user_id <> 2")})
    before = load_env.snapshot()
    with pytest.raises(
        Exception,
        match="references_users on auto_classification_logs: user_id is missing in users in 1 row: 2",
    ):
        load_env.load(MARCH, tables={"users"})
    assert load_env.snapshot() == before


def test_fact_references_are_checked_only_against_rebuilt_months_of_a_dimension(load_env: LoadEnv) -> None:
    load_march(load_env)
    load_env.put("2021/04/a.csv", [job(40, "2021-04-05 10:00:00")])
    load_env.load(APRIL)
    before = load_env.table("time"), load_env.table(FACTS)
    [message] = [check for check in load_env.load(MARCH, tables={"time"}).checks if check.table == FACTS]
    assert (message.name, message.passed) == ("references_time", True)
    assert (load_env.table("time"), load_env.table(FACTS)) == before


def test_an_analysts_query_runs_unchanged_on_every_engine(load_env: LoadEnv) -> None:
    rows = [job(n, f"2021-{month:02d}-05 10:00:00", user_id=user, ground_profile=profile) for n, (month, user, profile) in enumerate(
        [(3, 211, "city"), (3, 211, "city"), (3, 211, None), (4, 211, "urban"), (4, 5, "city"), (5, 211, "city")], 1
    )]  # fmt: skip
    for row in rows:
        load_env.put(f"{str(row['created_at'])[:7].replace('-', '/')}/{row['job_id']}.csv", [row])
    load_env.load("2021-03", "2021-05")
    answer = load_env.rows(
        'WITH u AS (SELECT * FROM "dev"."public"."auto_classification_logs" WHERE user_id=211) SELECT t.year, t.month, u.ground_profile, '
        'COUNT(*) FROM u LEFT OUTER JOIN "dev"."public"."time" AS t ON u.created_at = t.created_at GROUP BY t.year, t.month, '
        "u.ground_profile HAVING t.year = 2021 ORDER BY t.month, u.ground_profile;"
    )
    assert answer == [(2021, 3, "city", 2), (2021, 3, None, 1), (2021, 4, "urban", 1), (2021, 5, "city", 1)]
