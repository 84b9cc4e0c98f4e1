"""Errors of a load: one line that names the problem and the solution."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scx_pipeline.errors import BucketError, WarehouseError
from scx_pipeline_tests.support.load_env import APRIL, LIMITS, MARCH, PREFIX, LoadEnv, job, jobs_of
from scx_pipeline_tests.warehouse.postgres.test_scratch_database import files_of_at_most

JUNE = "2021-06"


def key_of(size: int) -> str:
    """Return the name of an object in June whose key has this many bytes, most of them in multi-byte characters."""
    name = "2021/06/" + "".join(f"{'é' * 60}{number}/" for number in range(8))
    return name + "x" * (size - len(f"{PREFIX}{name}.csv".encode())) + ".csv"


@pytest.mark.parametrize("engine", ["duckdb_env", "postgres_env"])
def test_a_key_of_the_maximum_length_is_loaded_and_a_longer_one_is_refused_by_name(
    engine: str, request: pytest.FixtureRequest
) -> None:
    load_env: LoadEnv = request.getfixturevalue(engine)
    load_env.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    longest = load_env.put(key_of(1024), [job(4, "2021-06-05 10:00:00")])
    assert len(longest.encode()) == 1024
    load_env.load(MARCH, JUNE)
    assert jobs_of(load_env) == [3, 4]
    load_env.put(key_of(1025), [job(5, "2021-06-05 10:00:00")])
    before = load_env.snapshot()
    with pytest.raises(
        BucketError, match=r"cannot read auto_.*éé.*has 1,025 bytes, and at most 1,024 are allowed"
    ) as caught:
        load_env.load(JUNE)
    assert "\n" not in str(caught.value)
    assert load_env.snapshot() == before
    load_env.put("2021/03/a.csv", [job(33, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    assert sorted(jobs_of(load_env)) == [4, 33]


@pytest.mark.parametrize("size", [4096, 20_000])
def test_a_full_disk_at_a_duckdb_commit_is_a_one_line_error_and_changes_nothing(
    size: int, duckdb_env: LoadEnv
) -> None:
    duckdb_env.put("2021/03/a.csv", [job(n, "2021-03-05 10:00:00") for n in range(20)])
    duckdb_env.load(MARCH)
    before = duckdb_env.snapshot()
    duckdb_env.put(
        "2021/04/a.csv", [job(n, "2021-04-05 10:00:00", summary=f"{n:0200}") for n in range(100, 140)]
    )
    with (
        files_of_at_most(size),
        pytest.raises(WarehouseError, match=r"dev\.duckdb.*nothing was changed$") as caught,
    ):
        duckdb_env.load(APRIL)
    assert "\n" not in str(caught.value)
    assert duckdb_env.snapshot() == before
    duckdb_env.load(APRIL)
    assert len(jobs_of(duckdb_env)) == 60


def test_too_little_memory_is_a_one_line_error_that_names_the_setting(duckdb_env: LoadEnv) -> None:
    duckdb_env.put("2021/03/a.csv", [job(n, "2021-03-05 10:00:00") for n in range(2000)])
    duckdb_env.limits = replace(LIMITS, memory="1MB")
    with pytest.raises(
        WarehouseError, match=r"raise SCX_MEMORY_LIMIT \(1MB\); nothing was changed$"
    ) as caught:
        duckdb_env.load(MARCH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", ["duckdb_env", "postgres_env"])
def test_a_query_of_a_missing_table_is_a_one_line_error(engine: str, request: pytest.FixtureRequest) -> None:
    load_env: LoadEnv = request.getfixturevalue(engine)
    load_env.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    with pytest.raises(WarehouseError, match="nowhere") as caught:
        load_env.rows("SELECT * FROM public.nowhere")
    assert "\n" not in str(caught.value)
