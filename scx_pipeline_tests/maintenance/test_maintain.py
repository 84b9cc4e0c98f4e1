"""`scx maintain`: what is not kept goes, all of it or nothing, and what stands of the star stays as a build from nothing has it.
What the engines advise of large tables is in warehouse/test_maintenance_advice.py, the command in cli/, the job in orchestration/."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from scx_pipeline.errors import LakeError, PipelineError, WarehouseError
from scx_pipeline.lake.build.unload import Unloader
from scx_pipeline.maintenance.maintain import (
    MaintenanceResult,
    RetentionPolicy,
    can_be_purged,
    maintain,
    preview_maintenance,
)
from scx_pipeline.warehouse.warehouse import Warehouse
from scx_pipeline_tests.support.broken_statements import BrokenOff, breaking
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    LIMITS,
    MARCH,
    MAY,
    STAGING,
    World,
    edited_star,
    folder_world,
    job,
    jobs_of,
    range_of_keys,
    scx_star,
)
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.redshift.server import ADMIN, USER, StandIn
from scx_pipeline_tests.support.redshift.wire import Failure
from scx_pipeline_tests.support.sensor_env import readings, sensor_star, sensor_world

pytestmark = pytest.mark.whoever_reads
FEBRUARY = "2021-02"
NEWEST = RetentionPolicy(staging_months=1)
LATER = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=100)
PUBLISHED = (FACTS, "users", "projects", "time")


def put(world: World, month: str, *numbers: int, bad: int = 0) -> None:
    year, _, of_year = month.partition("-")
    rows = [
        job(int(of_year) * 100 + n, f"{month}-05 10:00:{n:02d}", user_id=n % 3, project_id=n % 2, plan_id=n)
        for n in numbers
    ]
    world.put(f"{year}/{of_year}/a.csv", [*rows, *["not a job"] * bad])


def kept_up(world: World, policy: RetentionPolicy, now: datetime | None = None) -> MaintenanceResult:
    return maintain(world.compiled, world.warehouse, policy, world.told.append, now)


def months_of_staging(world: World) -> list[int]:
    return sorted({created.month for (created,) in world.table(STAGING, "created_at")})


def published(world: World) -> dict[str, list[tuple[object, ...]]]:
    return {name: world.table(name) for name in PUBLISHED}


def loaded(world: World) -> World:
    """March, April and May stand, with two bad rows in March, and the month before, of which March may have rows."""
    put(world, MARCH, *range(1, 60), bad=2)
    put(world, APRIL, 1, 2, 3)
    put(world, MAY, 1)
    world.load(FEBRUARY, MAY)
    return world


@pytest.fixture
def spring(world: World) -> World:
    return loaded(world)


@pytest.fixture
def duck_spring(duck: World) -> World:
    return loaded(duck)


# ------------------------------------------------------------------ staging


def test_staging_of_older_months_goes_and_nothing_else(spring: World) -> None:
    before, objects = published(spring), spring.state("objects")
    upkept = kept_up(spring, NEWEST)
    assert upkept.expired.staging == {STAGING: range_of_keys(FEBRUARY, APRIL).months}
    assert months_of_staging(spring) == [5]
    assert published(spring) == before
    assert spring.state("objects") == objects
    assert spring.changed() == []
    assert not kept_up(spring, NEWEST).expired


def test_a_month_that_is_loaded_again_has_its_staging_back_until_the_next_time(spring: World) -> None:
    kept_up(spring, NEWEST)
    put(spring, MARCH, 7, 8)
    assert spring.changed() == [FEBRUARY, MARCH], "the file may have rows of the month before"
    spring.load_changed()
    assert months_of_staging(spring) == [3, 5]
    assert kept_up(spring, NEWEST).expired.staging == {STAGING: range_of_keys(FEBRUARY, MARCH).months}
    assert jobs_of(spring) == [307, 308, 401, 402, 403, 501]


def test_tables_cannot_be_made_from_rows_that_are_not_kept(duck_spring: World) -> None:
    kept_up(duck_spring, NEWEST)
    before = duck_spring.snapshot()
    told = r"the staging rows of 2021-03 of scx are not kept any more \(SCX_KEEP_STAGING_MONTHS\), so users cannot be made"
    with pytest.raises(PipelineError, match=told):
        duck_spring.load(MARCH, MAY, {"users"})
    assert duck_spring.snapshot() == before
    assert set(duck_spring.load(MAY, MAY, {"users"}).tables) == {"users"}


def test_changed_columns_are_made_anew_from_the_objects(duck_spring: World, tmp_path: Path) -> None:
    kept_up(duck_spring, NEWEST)
    duck_spring.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    duck_spring.load("2020-01", MAY)
    assert months_of_staging(duck_spring) == [3, 4, 5]


def test_what_a_star_is_for_is_kept_and_so_is_what_a_refresh_compares() -> None:
    assert [table.name for table in can_be_purged(scx_star())] == [STAGING]
    assert can_be_purged(sensor_star()) == []
    assert can_be_purged(music_star()) == []


def test_an_unload_names_the_months_that_are_not_kept(duck_spring: World, tmp_path: Path) -> None:
    duck = duck_spring
    kept_up(duck, NEWEST)
    lake = (tmp_path / "lake").as_uri()
    with pytest.raises(LakeError) as caught:
        Unloader(duck.compiled, duck.warehouse).run(lake)
    assert str(caught.value) == (
        "2021-02…2021-04 of scx cannot be unloaded, as their staging rows are not kept any more (SCX_KEEP_STAGING_MONTHS): "
        "run `scx load scx --from 2021-02 --to 2021-04`, which brings them back, or unload the others: --from 2021-05 --to 2021-05"
    )
    assert Unloader(duck.compiled, duck.warehouse, range_of_keys(MAY)).run(lake).tables[0].rows == 1


@pytest.mark.postgres
def test_months_that_are_partitions_are_dropped(postgres_url: str, tmp_path: Path) -> None:
    """As those of a staging table without a key would be, were one declared that tables are made from."""
    sensors = sensor_world(tmp_path, postgres_url)
    for month in ("2023-01", "2023-02"):
        sensors.put_minute(f"{month}-01 00:00", readings(f"{month}-01 00:00"))
    sensors.loader().load(range_of_keys("2023-01", "2023-02"))
    with sensors.warehouse.transaction("sensor_readings") as session:
        session.begin()
        session.clear_partition("dwh", sensor_star().star.tables[0], range_of_keys("2023-01"))
    assert [table for table in sensors.tables() if table.startswith("dwh.")] == [
        "dwh.data_sample",
        "dwh.data_sample_2023_02",
    ]
    assert len(sensors.readings()) == 2


# ------------------------------------------------------------------ rejected rows and the history


def test_old_rejected_rows_go_and_stay_counted(spring: World) -> None:
    assert (
        kept_up(spring, RetentionPolicy(rejected_days=100), LATER - timedelta(days=1)).expired.rejected == 0
    )
    assert kept_up(spring, RetentionPolicy(rejected_days=99), LATER).expired.rejected == 2
    assert spring.state("rejected_rows") == []
    assert sum(count for (count,) in spring.state("objects", "rows_rejected")) == 2
    spring.load(MARCH)
    assert len(spring.state("rejected_rows")) == 2, "they were rejected anew"


def test_loads_of_which_nothing_stands_go_with_their_checks(spring: World) -> None:
    put(spring, MARCH, 1)
    spring.load(MARCH)
    put(spring, MARCH, 2)
    last = spring.load(MARCH)
    assert kept_up(spring, RetentionPolicy(loads_days=99), LATER).expired.loads == 1
    assert len(spring.state("loads")) == 2
    checked = {load for (load,) in spring.state("check_results", "load_id")}
    assert len(checked) == 2
    assert last.load_id in checked


# ------------------------------------------------------------------ all or nothing, and one at a time


def test_what_is_broken_off_removes_nothing(spring: World) -> None:
    policy = RetentionPolicy(staging_months=1, rejected_days=1, loads_days=1)
    before, statements = spring.snapshot(), 0
    while True:
        with breaking((statements, False)) as broken, suppress(BrokenOff):
            maintain(spring.compiled, spring.warehouse, policy, now=LATER)
        if spring.snapshot() != before:
            break
        assert broken
        statements += 3
    assert statements > 8
    assert months_of_staging(spring) == [5]
    assert spring.state("rejected_rows") == []


def test_a_dry_run_changes_nothing_and_says_what_it_would_do(spring: World) -> None:
    before = spring.snapshot()
    told = preview_maintenance(spring.compiled, spring.warehouse, RetentionPolicy(2, 1, 1), LATER)
    assert told.expired.told() == ["rows of staging_cleansed_logs: 2021-02…2021-03", "2 rejected rows"]
    assert told.statements
    assert told.after is None
    assert spring.snapshot() == before


def test_it_waits_for_a_load_and_then_gives_up(spring: World) -> None:
    spring.limits = replace(LIMITS, lock_timeout=0.2)
    with (
        Held(spring.warehouse),
        pytest.raises(WarehouseError, match="is being (loaded|written) by|is in use by"),
    ):
        kept_up(spring, NEWEST)
    assert months_of_staging(spring) == [3, 4, 5]


NOT_A_SUPERUSER = (
    "only a superuser may read svv_alter_table_recommendations, what Redshift's advisor recommends"
)


class Held:
    """As long as the block lasts, another thread has the star's lock."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse, self.taken, self.done = warehouse, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self.warehouse.transaction("scx"):
            self.taken.set()
            self.done.wait(20)

    def __enter__(self) -> None:
        self.thread.start()
        assert self.taken.wait(20)

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()


def test_an_empty_warehouse_needs_nothing(world: World) -> None:
    assert kept_up(world, NEWEST).found is None


# ------------------------------------------------------------------ what the engines find


def test_every_table_is_told_of_with_its_rows(spring: World) -> None:
    found = kept_up(spring, RetentionPolicy()).found
    assert found is not None
    rows = {table.name: table.rows for table in found.tables}
    assert rows[f"public.{FACTS}"] == 63
    assert rows["public.users"] == 3
    assert "scx_pipeline.rejected_rows" in rows
    redshift = spring.warehouse_url.startswith("redshift:")
    assert found.all_advice == ([NOT_A_SUPERUSER] if redshift else [])


@pytest.mark.postgres
def test_postgres_is_vacuumed_by_who_loads(pg: World) -> None:
    put(pg, MARCH, *range(1, 60))
    pg.load(MARCH)
    put(pg, MARCH, *range(1, 60))
    pg.load(MARCH)
    upkept = kept_up(pg, RetentionPolicy())
    assert f'VACUUM (ANALYZE) "public"."{FACTS}"' in upkept.statements
    assert upkept.before is not None
    assert upkept.after is not None
    [before], [after] = (
        [table.facts for table in found.tables if table.name == f"public.{FACTS}"]
        for found in (upkept.before, upkept.after)
    )
    assert after["dead rows"] == 0
    assert after["vacuumed"]
    assert not before["vacuumed"]


@pytest.mark.postgres
def test_bloat_is_estimated_from_what_rows_need(pg: World) -> None:
    put(pg, MARCH, 1)
    pg.load(MARCH)
    with psycopg2.connect(pg.warehouse_url) as con, con.cursor() as run:
        run.execute(
            "INSERT INTO public.projects SELECT n, repeat('x', 100), '', '' FROM generate_series(100, 20000) AS n"
        )
        run.execute("DELETE FROM public.projects WHERE project_id >= 100 AND project_id < 19000")
    [facts] = [t.facts for t in _after(pg) if t.name == "public.projects"]
    with psycopg2.connect(pg.warehouse_url) as con, con.cursor() as run:
        run.execute("SELECT pg_relation_size('public.projects')")
        [(size,)] = run.fetchall()
    assert 0.85 * size < int(str(facts["bloat bytes"])) < size


def _after(world: World):  # type: ignore[no-untyped-def]
    found = kept_up(world, RetentionPolicy()).after
    assert found is not None
    return found.tables


def test_redshifts_own_advice_is_passed_on(redshift: StandIn, redshift_url: str, tmp_path: Path) -> None:
    """To a superuser: nobody else may read it."""
    world = folder_world(tmp_path, redshift_url.replace(f"//{USER}:", f"//{ADMIN}:"))
    put(world, MARCH, 1)
    world.load(MARCH)
    with redshift.backend.superuser(redshift.backend_database) as run:
        run.execute("SET allow_system_table_mods = on")
        run.execute(
            "CREATE OR REPLACE VIEW pg_catalog.svv_alter_table_recommendations AS SELECT 'sortkey'::text AS \"type\","
            " 'dev'::text AS \"database\", 'public.users'::regclass::oid::int AS table_id, 1 AS group_id,"
            " 'ALTER TABLE users ALTER SORTKEY (user_id)'::text AS ddl, 'f'::text AS auto_eligible"
        )
    upkept = kept_up(world, RetentionPolicy())
    assert upkept.statements[:2] == [f'VACUUM "public"."{STAGING}"', f'ANALYZE "public"."{STAGING}"']
    assert upkept.after is not None
    assert upkept.after.all_advice == [
        "public.users: Redshift's advisor: ALTER TABLE users ALTER SORTKEY (user_id)"
    ]


@pytest.mark.parametrize("barred", ["the view", "what it reads"])
def test_who_may_not_read_redshifts_own_advice_is_told_so_and_loses_nothing_else(
    redshift: StandIn, redshift_url: str, tmp_path: Path, barred: str
) -> None:
    world = folder_world(tmp_path, redshift_url)
    put(world, MARCH, 1)
    world.load(MARCH)
    if barred == "what it reads":
        with redshift.backend.superuser(redshift.backend_database) as run:
            run.execute("SET allow_system_table_mods = on")
            run.execute("GRANT SELECT ON pg_catalog.svv_alter_table_recommendations TO PUBLIC")
        redshift.before = _bar_advice
    upkept = kept_up(world, RetentionPolicy())
    for found in (upkept.before, upkept.after):
        assert found is not None
        assert found.advice == (NOT_A_SUPERUSER,)
        assert {table.name: table.rows for table in found.tables}[f"public.{STAGING}"] is not None
    assert upkept.statements[0] == f'VACUUM "public"."{STAGING}"'


def _bar_advice(sql: str) -> None:
    if "FROM svv_alter_table_recommendations" in sql:
        raise Failure("42501", "permission denied for relation stv_recommendations")


def test_who_may_not_read_redshifts_view_is_told_so(
    redshift: StandIn, redshift_url: str, tmp_path: Path
) -> None:
    world = folder_world(tmp_path, redshift_url)
    put(world, MARCH, 1)
    world.load(MARCH)
    with redshift.backend.superuser(redshift.backend_database) as run:
        run.execute("SET allow_system_table_mods = on")
        run.execute("REVOKE SELECT ON pg_catalog.svv_table_info FROM scx")
    found = kept_up(world, RetentionPolicy()).found
    assert found is not None
    assert found.advice == (
        "this user may not read svv_table_info: have an administrator run what `scx roles` prints",
    )


# ------------------------------------------------------------------ the promise


def test_loads_and_upkeep_in_any_order_end_as_a_build_from_nothing(world: World, tmp_path: Path) -> None:
    dice = random.Random(world.warehouse.capabilities.name)  # another history on each engine
    months = (MARCH, APRIL, MAY)
    for month in months:
        put(world, month, *dice.sample(range(1, 50), 3))
    for _ in range(9):
        what, month = dice.choice(("put", "load", "load", "upkeep")), dice.choice(months)
        if what == "put":
            put(world, month, *dice.sample(range(1, 50), dice.randrange(4)))
        elif what == "load":
            world.load(month, dice.choice([other for other in months if other >= month]))
        else:
            kept_up(world, RetentionPolicy(dice.choice((1, 2)), 1, 1), LATER)
    world.load_changed()
    kept_up(world, NEWEST, LATER)
    assert world.changed() == []
    built = World(world.bucket_url, f"duckdb://{tmp_path}/built.duckdb")
    built.load_changed()
    assert published(world) == published(built)
