"""Each engine's advice on large tables and files; small ones get none."""

from __future__ import annotations

import pytest

from scx_pipeline.warehouse.duckdb import duckdb_maintenance
from scx_pipeline.warehouse.postgres import postgres_maintenance
from scx_pipeline.warehouse.redshift import redshift_maintenance

HEALTHY = {
    "unsorted": 0.0,
    "stats_off": 0.0,
    "skew_rows": 1.0,
    "diststyle": "KEY(user_id)",
    "sortkey1": "created_at",
}
MANY = 2_000_000


@pytest.mark.parametrize(("heap", "lost"), [(50_000_000, 40_000_000), (1_000_000_000, 300_000_000), (10, 0)])
def test_little_bloat_gives_no_advice(heap: int, lost: int) -> None:
    assert postgres_maintenance.advise_on_bloat('"public"."t"', heap, lost) == ()


def test_advice_on_much_bloat_says_what_to_run_and_what_it_locks() -> None:
    [advice] = postgres_maintenance.advise_on_bloat('"public"."t"', 200_000_000, 150_000_000)
    assert advice.startswith("about 150.0 MB of 200.0 MB are free")
    assert 'VACUUM FULL "public"."t", which locks out all readers' in advice
    assert "pg_repack" in advice


def test_redshift_gives_no_advice_on_healthy_or_small_tables() -> None:
    assert redshift_maintenance.advise_on_table(MANY, HEALTHY) == ()
    assert redshift_maintenance.advise_on_table(1000, {"unsorted": 99.0, "skew_rows": 50.0}) == ()


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"unsorted": 35.0}, "35% of its rows are unsorted"),
        ({"stats_off": 40.0}, "its statistics are 40% off"),
        (
            {"skew_rows": 7.5},
            "its fullest slice has 7.5 times the rows of its emptiest, by KEY(user_id): choose another column",
        ),
        ({"sortkey1": ""}, "it is not sorted: set `sort` in the star's defs.yaml"),
    ],
)
def test_redshift_advises_on_sorting_statistics_and_skew(facts: dict[str, object], message: str) -> None:
    [advice] = redshift_maintenance.advise_on_table(MANY, HEALTHY | facts)
    assert message in advice


def test_advice_on_a_mostly_free_duckdb_file_is_to_copy_it() -> None:
    assert duckdb_maintenance.advise_on_free_space("/w/dev.duckdb", 1_000_000_000, 100_000_000) == ()
    [advice] = duckdb_maintenance.advise_on_free_space("/w/dev.duckdb", 1_000_000_000, 600_000_000)
    assert "600.0 MB of the file's 1,000.0 MB are free" in advice
    assert (
        "ATTACH '/w/dev.duckdb' AS old (READ_ONLY); ATTACH '/w/dev.duckdb.new' AS new; COPY FROM DATABASE old TO new"
        in advice
    )
