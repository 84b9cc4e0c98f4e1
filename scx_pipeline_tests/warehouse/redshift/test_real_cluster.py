"""`pytest --redshift-url`: the suite on a real Redshift cluster, tested with a stand-in instead."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from scx_pipeline_tests.support.redshift.server import ADMIN, StandIn

ROOT = Path(__file__).parents[3]
LOADS = "scx_pipeline_tests/loading/test_load.py"
REJECTED = "scx_pipeline_tests/loading/ingest/test_rejected_rows.py"


def suite(url: str, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests as an administrator, who may drop and create schemas."""
    url = url.replace("redshift://scx:", f"redshift://{ADMIN}:")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--redshift-url={url}",
        *tests,
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def execute(redshift: StandIn, sql: str) -> None:
    with closing(psycopg2.connect(redshift.url(ADMIN).replace("redshift://", "postgresql://"))) as con:
        con.autocommit = True
        with con.cursor() as cursor:
            cursor.execute(sql)


def test_scenarios_run_one_after_the_other_on_a_real_cluster(redshift: StandIn, redshift_url: str) -> None:
    balance = f"{LOADS}::test_row_counts_of_every_object_balance_and_are_recorded"
    tests = [
        f"{balance}[redshift]",
        f"{LOADS}::test_times_are_utc_with_iso_weeks[redshift]",
        f"{REJECTED}::test_an_empty_value_is_null_whether_quoted_or_not[redshift]",
        f"{balance}[redshift-reading]",
    ]
    done = suite(redshift_url, *tests)
    assert "4 passed" in done.stdout, done.stdout
    assert sum(sql.startswith("COPY") for sql in redshift.statements) >= 3
    assert any(sql.startswith('DROP TABLE "public"') for sql in redshift.statements)


def test_tests_of_the_stand_in_are_skipped_on_a_real_cluster(redshift_url: str) -> None:
    done = suite(
        redshift_url,
        "scx_pipeline_tests/warehouse/redshift/test_redshift_sessions.py",
        "-k",
        "version",
        "-rs",
    )
    assert "1 skipped" in done.stdout
    assert "which --redshift-url takes the place of" in done.stdout


@pytest.mark.parametrize("mark", [False, True])
def test_a_database_with_tables_is_emptied_only_if_it_is_marked(
    redshift: StandIn, redshift_url: str, mark: bool
) -> None:
    execute(redshift, "CREATE TABLE precious (a integer)")
    if mark:
        execute(redshift, "CREATE SCHEMA scx_pipeline_tests")
    done = suite(redshift_url, f"{LOADS}::test_times_are_utc_with_iso_weeks[redshift]")
    if mark:
        assert "1 passed" in done.stdout
    else:
        assert done.returncode != 0
        assert "the database has tables, such as public.precious" in done.stdout
        execute(redshift, "SELECT a FROM precious")


def test_an_unreachable_cluster_ends_the_run_with_one_line() -> None:
    done = suite(
        "redshift://other:pl4nted@127.0.0.1:1/dev", f"{LOADS}::test_times_are_utc_with_iso_weeks[redshift]"
    )
    assert done.returncode != 0
    assert "--redshift-url: cannot connect to redshift://127.0.0.1:1/dev" in done.stdout
    assert "pl4nted" not in done.stdout + done.stderr
