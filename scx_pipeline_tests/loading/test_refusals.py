"""What a load cannot do, as one line that names it and says what to do: keys that are too long, a full disk, a wrong statement.
What PostgreSQL's server refuses is in test_sessions.py, files that cannot be read are in test_bad_input.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scx_pipeline.errors import BucketError, WarehouseError
from scx_pipeline_tests.support.load_env import APRIL, LIMITS, MARCH, PREFIX, World, job, jobs_of
from scx_pipeline_tests.warehouse.postgres.test_scratch_database import files_of_at_most

JUNE = "2021-06"


def key_of(size: int) -> str:
    """A name of an object in June whose key has so many bytes, most of them in characters of several."""
    name = "2021/06/" + "".join(f"{'é' * 60}{number}/" for number in range(8))
    return name + "x" * (size - len(f"{PREFIX}{name}.csv".encode())) + ".csv"


@pytest.mark.parametrize("engine", ["duck", "pg"])
def test_a_key_as_long_as_s3_allows_is_loaded_and_a_longer_one_is_refused_by_name(
    engine: str, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue(engine)
    world.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    longest = world.put(key_of(1024), [job(4, "2021-06-05 10:00:00")])
    assert len(longest.encode()) == 1024
    world.load(MARCH, JUNE)
    assert jobs_of(world) == [3, 4]
    world.put(key_of(1025), [job(5, "2021-06-05 10:00:00")])
    before = world.snapshot()
    with pytest.raises(
        BucketError, match=r"cannot read auto_.*éé.*has 1,025 bytes, and at most 1,024 are allowed"
    ) as caught:
        world.load(JUNE)
    assert "\n" not in str(caught.value)
    assert world.snapshot() == before
    world.put("2021/03/a.csv", [job(33, "2021-03-05 10:00:00")])
    world.load(MARCH)
    assert sorted(jobs_of(world)) == [4, 33]


@pytest.mark.parametrize("size", [4096, 20_000])
def test_a_full_disk_of_duckdb_at_the_commit_is_one_line_and_changes_nothing(size: int, duck: World) -> None:
    duck.put("2021/03/a.csv", [job(n, "2021-03-05 10:00:00") for n in range(20)])
    duck.load(MARCH)
    before = duck.snapshot()
    duck.put("2021/04/a.csv", [job(n, "2021-04-05 10:00:00", summary=f"{n:0200}") for n in range(100, 140)])
    with (
        files_of_at_most(size),
        pytest.raises(WarehouseError, match=r"dev\.duckdb.*nothing was changed$") as caught,
    ):
        duck.load(APRIL)
    assert "\n" not in str(caught.value)
    assert duck.snapshot() == before
    duck.load(APRIL)
    assert len(jobs_of(duck)) == 60


def test_too_little_memory_is_one_line_that_names_the_setting(duck: World) -> None:
    duck.put("2021/03/a.csv", [job(n, "2021-03-05 10:00:00") for n in range(2000)])
    duck.limits = replace(LIMITS, memory="1MB")
    with pytest.raises(
        WarehouseError, match=r"raise SCX_MEMORY_LIMIT \(1MB\); nothing was changed$"
    ) as caught:
        duck.load(MARCH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", ["duck", "pg"])
def test_a_query_of_a_table_that_is_not_there_is_one_line(
    engine: str, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue(engine)
    world.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    world.load(MARCH)
    with pytest.raises(WarehouseError, match="nowhere") as caught:
        world.rows("SELECT * FROM public.nowhere")
    assert "\n" not in str(caught.value)
