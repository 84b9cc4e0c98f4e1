"""Tables of others are never touched, and our own follow their declaration, whatever of it changes.
What a load does to rows is in test_load.py, and to dimensions in test_tables.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.errors import CheckFailedError, PipelineError, WarehouseBusyError, WarehouseError
from scx_pipeline.maintenance.maintain import RetentionPolicy, preview_maintenance
from scx_pipeline.model.calendar import contiguous_ranges
from scx_pipeline.ownership.table_ownership import adopt, drop_leftovers, find_leftovers
from scx_pipeline.services.doctor import _tables as examine_tables
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    STAGING,
    World,
    edited_star,
    filled,
    job,
    range_of_keys,
    scx_star,
)
from scx_pipeline_tests.support.music_env import MusicWorld, event, song
from scx_pipeline_tests.support.sensor_env import SensorWorld, readings

pytestmark = pytest.mark.whoever_reads
Facts = dict[str, Any]
# Files hold rows of the day before their month as well, so April lies between with no file that may have any.
JUNE = "2021-06"
ALL_OF_THEM = ["2021-02", MARCH, APRIL, "2021-05", JUNE]


def run(world: World, *statements: str) -> None:
    """Run statements in the warehouse, as another application does."""
    with world.warehouse.transaction("another application") as session:
        session.begin()
        if session.capabilities.name == "duckdb":
            session.create_schema("public")
        for statement in statements:
            session.execute(statement)


def ask(world: World, sql: str) -> list[tuple[Any, ...]]:
    """What a query gives, also where nothing was ever loaded."""
    with world.warehouse.inspecting() as session:
        assert session is not None
        return session.rows(sql)


def put_months(world: World, *months: str) -> None:
    """Two jobs of two users in each month, the same users in all."""
    for month in months:
        number, day = int(month[-2:]) * 10, f"{month}-05 10:00:00"
        rows = [job(number + user, day, user_id=user, plan_id=number) for user in (1, 2)]
        world.put(f"{month[:4]}/{month[5:7]}/a.csv", rows)


def built(world: World, folder: Path) -> Any:
    """What a build from nothing has, in an empty DuckDB."""
    number = len(list(folder.glob("built*.duckdb")))
    fresh = World(world.bucket_url, f"duckdb://{folder}/built{number}.duckdb", world.compiled)
    fresh.load_changed()
    return filled(fresh)


# ------------------------------------------------------------------ tables of others


OTHER_COLUMNS = "CREATE TABLE public.users (who INTEGER)"
SAME_COLUMNS = "CREATE TABLE public.users (user_id INTEGER, email_encrypted VARCHAR(150), plan_id INTEGER)"
OTHERS = {
    "other columns": (OTHER_COLUMNS, "INSERT INTO public.users VALUES (7)"),
    "the same columns": (SAME_COLUMNS, "INSERT INTO public.users VALUES (7, 'x', 1)"),
    "a view": ("CREATE VIEW public.users AS SELECT 7 AS who",),
}


def test_what_others_have_under_a_declared_name_is_refused_before_anything_changes(world: World) -> None:
    put_months(world, MARCH)
    for what, statements in OTHERS.items():
        run(world, *statements)
        [foreign] = world.plan().readiness.foreign
        assert (foreign.name, foreign.adoptable) == ("public.users", what != "a view")
        before = ask(world, "SELECT * FROM public.users")
        with pytest.raises(WarehouseError, match="public.users was not made by this pipeline") as caught:
            world.load(MARCH)
        told = str(caught.value)
        assert "declare another `schema:` for the star scx" in told
        assert ("scx adopt scx users" in told) == ("run it with --yes" in told) == foreign.adoptable
        assert foreign.relation.columns[0][0] in told
        assert "nothing was changed" in told
        assert ask(world, "SELECT * FROM public.users") == before
        assert _tables_of_stars(world) == ["users"]
        run(world, f"DROP {'VIEW' if what == 'a view' else 'TABLE'} public.users")


def test_a_schema_that_differs_in_case_only_is_the_stars_in_duckdb(duck: World) -> None:
    with duckdb.connect(duck.warehouse_url.removeprefix("duckdb://")) as con:
        con.execute('CREATE SCHEMA "PUBLIC"; CREATE TABLE "PUBLIC".users AS SELECT 7 AS who')
    put_months(duck, MARCH)
    assert [foreign.name for foreign in duck.plan().readiness.foreign] == ["public.users"]
    with pytest.raises(WarehouseError, match="public.users was not made by this pipeline"):
        duck.load(MARCH)
    run(duck, 'DROP TABLE "PUBLIC".users')
    assert duck.load(MARCH).loaded
    assert MARCH not in duck.changed()


def _tables_of_stars(world: World) -> list[str]:
    found = ask(world, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    return sorted(name for (name,) in found)


def test_doctor_names_the_tables_of_others(duck: World, pg: World) -> None:
    for world in (duck, pg):
        assert examine_tables(world.warehouse).startswith(("none yet", "no table of others"))
        run(world, OTHER_COLUMNS)
        with pytest.raises(
            PipelineError, match="(?i)public.users was not made by this pipeline.*who INTEGER"
        ):
            examine_tables(world.warehouse)


def test_the_owner_of_a_foreign_table_is_named(pg: World) -> None:
    run(pg, OTHER_COLUMNS)
    put_months(pg, MARCH)
    [foreign] = pg.plan().readiness.foreign
    assert foreign.relation.owner == "scx_loader"
    assert "(table of scx_loader with the columns who integer)" in foreign.message()


def test_an_adopted_table_is_shown_first_and_then_rebuilt_by_the_next_load(
    world: World, tmp_path: Path
) -> None:
    run(world, *OTHERS["the same columns"])
    put_months(world, MARCH, JUNE)
    [shown] = adopt(world.compiled, world.warehouse, ["users"], yes=False)
    assert (shown.table, shown.kind, shown.rows, len(shown.columns)) == ("public.users", "table", 1, 3)
    with pytest.raises(WarehouseError, match="scx adopt"):
        world.load(MARCH)
    adopt(world.compiled, world.warehouse, ["users"], yes=True)
    assert len(ask(world, "SELECT * FROM public.users")) == 1, "its rows stay until a load replaces them"
    world.load_changed()
    assert filled(world) == built(world, tmp_path)
    assert world.changed() == []


def test_a_view_cannot_be_adopted(duck: World) -> None:
    run(duck, *OTHERS["a view"])
    with pytest.raises(WarehouseError, match="rename or remove it; nothing was changed"):
        adopt(duck.compiled, duck.warehouse, [], yes=True)


def test_a_table_that_others_put_in_the_place_of_ours_is_refused(pg: World) -> None:
    put_months(pg, MARCH)
    pg.load(MARCH)
    run(pg, "DROP TABLE public.users", *OTHERS["other columns"])
    with pytest.raises(WarehouseError, match="public.users was changed by others since"):
        pg.load(MARCH)
    assert ask(pg, "SELECT * FROM public.users") == [(7,)]


def test_tables_of_another_star_are_refused(duck: World) -> None:
    put_months(duck, MARCH)
    duck.load(MARCH)
    star = duck.compiled.star.model_copy(update={"name": "other"})
    other = CompiledStar(star, duck.compiled.folder, duck.compiled.tables, duck.compiled.queries)
    with pytest.raises(WarehouseError, match="belongs to the star scx ") as caught:
        World(duck.bucket_url, duck.warehouse_url, other).load(MARCH)
    told = str(caught.value)
    assert "declare another `schema:` for one of the two stars" in told
    assert "if scx no longer declares it, run `scx drop scx` first" in told
    assert "remove it" not in told


def test_what_applies_to_the_first_foreign_table_is_not_said_of_those_that_are_foreign_for_another_reason(
    duck: World,
) -> None:
    put_months(duck, MARCH)
    duck.load(MARCH)
    run(
        duck,
        "UPDATE scx_pipeline.tables SET star = 'other' WHERE table_name = 'users'",
        "DELETE FROM scx_pipeline.tables WHERE table_name IN ('projects', 'time')",
    )
    with pytest.raises(WarehouseError) as caught:
        duck.load(MARCH)
    told = str(caught.value)
    assert told.startswith("public.users belongs to the star other ")
    assert told.endswith(
        "; besides, public.projects was not made by this pipeline, public.time was not made by this pipeline; nothing was changed"
    )
    run(duck, "DELETE FROM scx_pipeline.tables WHERE table_name = 'users'")
    with pytest.raises(WarehouseError, match="the same applies to public.projects, public.time; nothing"):
        duck.load(MARCH)


def test_a_warehouse_of_a_version_that_recorded_no_tables_is_adopted_as_a_whole(
    world: World, tmp_path: Path
) -> None:
    put_months(world, MARCH, JUNE)
    world.load(MARCH, JUNE)
    run(world, "DROP TABLE scx_pipeline.tables")
    before = world.table(FACTS)
    with pytest.raises(
        WarehouseError, match="a version that did not record.*`scx adopt scx --all`.* with --yes;"
    ):
        world.load(MARCH)
    assert len(adopt(world.compiled, world.warehouse, [], yes=True)) == len(world.compiled.star.tables) + 2
    assert world.table(FACTS) == before
    assert world.changed() == ALL_OF_THEM
    world.load_changed()
    assert filled(world) == built(world, tmp_path)


def test_a_state_schema_of_another_application_is_refused(world: World) -> None:
    schema = ["CREATE SCHEMA scx_pipeline"] if world.warehouse_url.startswith("duckdb") else []
    run(world, *schema, "CREATE TABLE scx_pipeline.months (name VARCHAR(3))")
    put_months(world, MARCH)
    for look in (world.plan, lambda: world.load(MARCH)):
        with pytest.raises(
            WarehouseError, match="the schema scx_pipeline, which .*, has a table months"
        ) as caught:
            look()
        assert "if a newer version of scx_pipeline made it, use that version again" in str(caught.value)
        assert "if another application did, rename its schema" in str(caught.value)
    assert ask(world, "SELECT * FROM scx_pipeline.months") == []


def test_a_table_named_as_the_one_that_rows_land_in_is_kept(duck: World) -> None:
    name = "staging_cleansed_logs__landing"
    run(duck, f"CREATE TABLE public.{name} AS SELECT 7 AS who")
    put_months(duck, MARCH)
    duck.load(MARCH)
    assert ask(duck, f"SELECT * FROM public.{name}") == [(7,)]
    assert len([table for table in duck.tables() if "landing" in table]) == 1


# ------------------------------------------------------------------ declarations that change


def declared(folder: Path, edit: Callable[[Facts, dict[str, Facts], Path], None]) -> CompiledStar:
    """The star with an edit of its facts, its tables' facts by name, and its folder."""
    copy = folder / "declared" / str(len(list((folder / "declared").glob("*")))) / "scx"
    shutil.copytree(stars_folder() / "scx", copy)
    facts = yaml.safe_load((copy / "defs.yaml").read_text())["attributes"]
    edit(facts, {table["name"]: table for table in facts["tables"]}, copy)
    (copy / "defs.yaml").write_text(yaml.safe_dump({"attributes": facts}))
    return load_star(copy)


def _wider(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    next(item for item in tables["users"]["columns"] if item["name"] == "plan_id")["type"] = "bigint"


def _more_in_key(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    tables[FACTS]["key"] = ["job_id", "created_at"]


def _column(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    tables[FACTS]["columns"].append({"name": "updated_at", "type": "timestamp", "description": "New."})
    path = folder / "sql" / f"{FACTS}.sql"
    path.write_text(path.read_text().replace("upload_time\n", "upload_time,\n    updated_at\n"))


def _event_time(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    _column(facts, tables, folder)
    tables[FACTS]["event_time"] = "updated_at"


def _without_projects(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["tables"].remove(tables["projects"])
    next(item for item in tables[FACTS]["columns"] if item["name"] == "project_id").pop("references")
    (folder / "sql" / "projects.sql").unlink()


def _renamed(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    tables["projects"]["name"] = "sites"
    next(item for item in tables[FACTS]["columns"] if item["name"] == "project_id")["references"] = "sites"
    (folder / "sql" / "projects.sql").rename(folder / "sql" / "sites.sql")


def _schema(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["schema"] = "dwh"


def _later(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["first_month"] = APRIL


def _same(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    """The project's own star."""


CHANGES = [
    _wider,
    _more_in_key,
    _same,
    _column,
    _event_time,
    _without_projects,
    _renamed,
    _schema,
    _later,
    _same,
]


def test_after_any_change_of_the_declaration_the_planned_loads_end_as_a_build_from_nothing(
    world: World, tmp_path: Path
) -> None:
    put_months(world, MARCH, JUNE)
    for month in (MARCH, JUNE):  # a gap is between them
        world.load(month)
    for change in CHANGES:
        world.compiled = declared(tmp_path, change)
        spans = contiguous_ranges([item.month for item in world.plan().changed])
        assert len(spans) == 1, f"{change.__name__}: all months at once"
        world.load_changed()
        assert world.changed() == [], change.__name__
        assert filled(world) == built(world, tmp_path), change.__name__


def test_a_table_that_is_declared_again_is_rebuilt_as_loads_have_left_it_out_meanwhile(
    world: World, tmp_path: Path
) -> None:
    put_months(world, MARCH, JUNE)
    world.load_changed()
    for change, gone, new in ((_schema, "2021/06", APRIL), (_renamed, "2021/04", JUNE)):
        world.compiled = declared(tmp_path, change)
        world.load_changed()
        world.delete(f"{gone}/a.csv")
        put_months(world, new)
        world.load_changed()
        world.compiled = scx_star()
        assert "was not declared for a time" in world.plan().readiness.rebuild
        with pytest.raises(WarehouseError, match="must be rebuilt in one load"):
            world.load(MARCH)
        world.load_changed()
        assert world.changed() == [], change.__name__
        assert filled(world) == built(world, tmp_path), change.__name__


def _renamed_source(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["sources"][0]["name"] = tables[STAGING]["source"] = "logs"


def test_objects_and_rejected_rows_of_a_source_that_is_not_declared_any_more_are_forgotten(
    world: World, tmp_path: Path
) -> None:
    good = [job(number, "2021-03-05 10:00:00") for number in range(200)]
    world.put("2021/03/a.csv", [*good, job(200, "not a time")])
    world.load_changed()
    world.compiled = declared(tmp_path, _renamed_source)
    world.load_changed()
    assert {source for (source,) in world.state("objects", "source")} == {"logs"}
    assert world.state("rejected_rows", "source, line") == [("logs", 202)]


def test_a_key_that_became_smaller_is_checked_over_all_months(world: World, tmp_path: Path) -> None:
    world.compiled = declared(tmp_path, _two_months_of_a_job)
    world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    world.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    world.load(MARCH, APRIL)
    world.compiled = scx_star()
    before = world.snapshot()
    with pytest.raises(WarehouseError, match="2021-04 is not part of this one: run `scx load scx`"):
        world.load(MARCH)
    with pytest.raises(CheckFailedError, match="job_id 1 stands in 2021-03 and in 2021-04"):
        world.load_changed()
    assert world.snapshot() == before


def _two_months_of_a_job(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    for name in (FACTS, "staging_cleansed_logs"):
        tables[name]["key"] = ["job_id", "created_at"]


def test_tables_that_are_not_declared_any_more_are_named_and_dropped_on_demand(
    world: World, tmp_path: Path
) -> None:
    put_months(world, MARCH)
    world.load(MARCH)
    assert world.plan().readiness.leftovers == []
    world.compiled = declared(tmp_path, _renamed)
    expected = ["public.projects", "scx_pipeline.scx__projects"]
    assert [item.name for item in world.plan().readiness.leftovers] == expected
    world.load_changed()
    assert [item.name for item in world.plan().readiness.leftovers] == expected
    dropped = drop_leftovers(world.warehouse, "scx", world.compiled)
    assert [item.name for item in dropped] == expected
    assert "public.projects" not in world.tables()
    assert world.plan().readiness.leftovers == []
    assert filled(world) == built(world, tmp_path)


def test_a_leftover_that_others_replaced_is_not_dropped(duck: World, tmp_path: Path) -> None:
    put_months(duck, MARCH)
    duck.load(MARCH)
    duck.compiled = declared(tmp_path, _renamed)
    duck.load_changed()
    run(duck, "DROP TABLE public.projects", "CREATE TABLE public.projects AS SELECT 7 AS who")
    drop_leftovers(duck.warehouse, "scx", duck.compiled)
    assert ask(duck, "SELECT * FROM public.projects") == [(7,)]


def test_a_table_that_was_adopted_and_never_loaded_is_not_dropped(duck: World, tmp_path: Path) -> None:
    put_months(duck, MARCH)
    duck.compiled = declared(tmp_path, _without_projects)
    duck.load(MARCH)
    run(duck, "CREATE TABLE public.projects AS SELECT 7 AS who")
    adopt(scx_star(), duck.warehouse, ["projects"], yes=True)
    duck.load(MARCH)
    [left] = drop_leftovers(duck.warehouse, "scx", duck.compiled)
    assert (left.name, left.state) == ("public.projects", "was made or changed by others, and is left alone")
    assert ask(duck, "SELECT * FROM public.projects") == [(7,)]


def test_the_tables_of_a_removed_star_are_leftovers_with_its_history(pg: World) -> None:
    put_months(pg, MARCH)
    pg.load(MARCH)
    with pg.reading() as session:
        assert find_leftovers(session, None, ["scx"]) == []
        found = find_leftovers(session, None, ["another"])
    assert len(found) == len(pg.compiled.star.tables) + 2
    assert drop_leftovers(pg.warehouse, "scx", None) == found
    assert pg.state("months") == pg.state("objects") == pg.state("tables") == []
    assert not [name for name in pg.tables() if name.startswith("public.")]


def test_a_rebuild_takes_all_months_and_a_load_of_one_is_refused(duck: World, tmp_path: Path) -> None:
    put_months(duck, MARCH, JUNE)
    for month in (MARCH, JUNE):
        duck.load(month)
    before = duck.snapshot()
    duck.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    with pytest.raises(
        WarehouseError,
        match=r"public.users differs from its declaration.*2021-06 is not part of this one: run `scx load scx`",
    ):
        duck.load(MARCH)
    assert duck.snapshot() == before
    assert duck.changed() == ALL_OF_THEM


# ------------------------------------------------------------------ what a table has, not how it is named


def _load_again(world: World) -> None:
    world.put("2021/03/b.csv", [job(99, "2021-03-06 10:00:00")])
    world.load(MARCH)


def test_a_brin_index_that_was_dropped_is_built_again(pg: World) -> None:
    put_months(pg, MARCH, JUNE)
    pg.load(MARCH, JUNE)
    brin = f"SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'public.{FACTS}'::regclass AND NOT indisprimary"
    [(name,)] = ask(pg, brin)
    run(pg, f"DROP INDEX public.{name.removeprefix('public.')}")
    _load_again(pg)
    assert len(ask(pg, brin)) == 1


def test_a_key_of_other_columns_under_the_usual_name_is_not_trusted(pg: World) -> None:
    put_months(pg, MARCH)
    pg.load(MARCH)
    [(name,)] = ask(
        pg, f"SELECT conname FROM pg_constraint WHERE conrelid = 'public.{FACTS}'::regclass AND contype = 'p'"
    )
    run(
        pg,
        *(
            f"ALTER TABLE public.{table} DROP CONSTRAINT {key}"
            for table, key in ((FACTS, name), (STAGING, f"{STAGING}_pkey"))
        ),
        f"ALTER TABLE public.{FACTS} ADD CONSTRAINT {name} PRIMARY KEY (job_id, created_at) DEFERRABLE INITIALLY DEFERRED",
    )
    pg.put("2021/04/a.csv", [job(31, "2021-04-05 10:00:00")])  # a job of March
    with pytest.raises(CheckFailedError, match="job_id 31 stands in 2021-03 and in 2021-04"):
        pg.load(APRIL)


def test_indexes_of_others_may_have_any_name(pg: World) -> None:
    run(
        pg,
        "CREATE TABLE public.mine (a INTEGER CONSTRAINT users_pkey PRIMARY KEY, b TIMESTAMP)",
        f"CREATE INDEX {FACTS}_created_at_idx ON public.mine (b)",
    )
    put_months(pg, MARCH)
    pg.load(MARCH)
    assert len(pg.table("users")) == 2


def test_a_table_that_has_the_name_of_a_partition_is_refused_and_kept(pg: World) -> None:
    sensors = SensorWorld(pg.bucket_url, pg.warehouse_url)
    sensors.put_minute("2023-01-01 00:00", readings("2023-01-01 00:00", "a"))
    run(pg, "CREATE TABLE dwh.data_sample_2023_01 AS SELECT 7 AS who")
    with pytest.raises(WarehouseError, match="dwh.data_sample_2023_01 was not made by this pipeline"):
        sensors.january()
    assert ask(pg, "SELECT * FROM dwh.data_sample_2023_01") == [(7,)]


# ------------------------------------------------------------------ readers while a table is rebuilt


def test_readers_see_the_old_rows_until_a_rebuild_commits(world: World, tmp_path: Path) -> None:
    put_months(world, MARCH)
    world.load(MARCH)
    world.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    seen = []

    def read(message: str) -> None:
        if "checks in" in message:
            with world.warehouse.reading() as session:
                seen.append((session.rows("SELECT COUNT(*) FROM public.users"), _type_of_plan(session)))

    world.loader(read).load(range_of_keys("2021-02", MARCH))
    assert seen == [([(2,)], "integer")]
    with world.reading() as session:
        assert _type_of_plan(session) == "bigint"
    assert not [name for name in world.tables() if name.count("__") > ("scx__" in name)]


def _type_of_plan(session: Session) -> str:
    return dict(session.existing_columns("public", "users"))["plan_id"].lower()


def test_a_rebuild_waits_for_a_reader_as_long_as_set_and_then_changes_nothing(
    pg: World, tmp_path: Path
) -> None:
    put_months(pg, MARCH)
    pg.load(MARCH)
    before = pg.snapshot()
    pg.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    pg.limits = replace(pg.limits, lock_timeout=0.5)
    with pg.reading() as session:
        session.rows("SELECT COUNT(*) FROM public.users")
        with pytest.raises(WarehouseBusyError, match=r"public.*users.* is being read .*SCX_LOCK_TIMEOUT"):
            pg.load_changed()
    assert pg.snapshot() == before


def test_a_view_that_selects_from_a_table_to_be_rebuilt_is_named_first(pg: World, tmp_path: Path) -> None:
    put_months(pg, MARCH)
    pg.load(MARCH)
    run(pg, "CREATE VIEW dwh.mine AS SELECT user_id FROM public.users")
    before = pg.snapshot()
    pg.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    with pytest.raises(
        WarehouseError, match=r"public.users must be rebuilt, but views select from it \(dwh.mine\)"
    ):
        pg.load_changed()
    assert pg.snapshot() == before
    assert len(ask(pg, "SELECT * FROM dwh.mine")) == 2


def with_type(compiled: CompiledStar, table: str, column: str, kind: str) -> CompiledStar:
    """The star with another type of a column."""
    columns = [
        item.model_copy(update={"type": kind}) if item.name == column else item
        for item in compiled.star.table(table).columns
    ]
    changed = compiled.star.table(table).model_copy(update={"columns": tuple(columns)})
    tables = tuple(changed if item.name == table else item for item in compiled.star.tables)
    return replace(compiled, star=compiled.star.model_copy(update={"tables": tables}))


def test_tables_without_months_are_rebuilt_by_the_refresh_that_the_plan_asks_for(
    music: MusicWorld, tmp_path: Path
) -> None:
    music.put_song("a", song("S1"))
    music.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00")])
    music.settle()
    music.compiled = with_type(music.compiled, "songs", "year", "bigint")
    assert "public" not in str(music.plan().unpartitioned)
    assert "songs differs from its declaration" in str(music.plan().unpartitioned)
    music.settle()
    fresh = MusicWorld(music.bucket_url, f"duckdb://{tmp_path}/built.duckdb", music.compiled)
    fresh.settle()
    assert filled(music) == filled(fresh)
    music.compiled = with_type(music.compiled, "songplays", "session_id", "bigint")
    fresh = MusicWorld(music.bucket_url, f"duckdb://{tmp_path}/again.duckdb", music.compiled)
    music.settle()
    fresh.settle()
    assert filled(music) == filled(fresh)
    assert not [name for name in music.tables() if name.count("__") > ("songplays__" in name)]


def test_a_table_that_is_partitioned_is_rebuilt_with_its_months(sensors: SensorWorld, tmp_path: Path) -> None:
    for minute in ("2023-01-01 00:00", "2023-02-01 00:00"):
        sensors.put_minute(minute, readings(minute, "ab"))
    sensors.load("2023-01", "2023-02")
    sensors.compiled = with_type(sensors.compiled, "data_sample", "product_name", "varchar(64)")
    if sensors.warehouse.capabilities.name != "duckdb":  # which has no lengths of texts
        assert "data_sample differs from its declaration" in sensors.plan().changed[0].reason
    sensors.load_changed()
    for letters in ("abc", "c"):
        sensors.put_minute("2023-02-01 00:00", readings("2023-02-01 00:00", letters))
        sensors.load_changed()
    assert [row[1] for row in sensors.readings()] == ["a", "b", "c"]
    assert sensors.changed() == []
    assert filled(sensors) == built(sensors, tmp_path)
    if sensors.warehouse.capabilities.name == "postgres":
        partitions = "SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1"
        assert ask(sensors, partitions) == [("dwh.data_sample_2023_01",), ("dwh.data_sample_2023_02",)]


def test_upkeep_leaves_tables_of_others_alone(pg: World) -> None:
    run(pg, SAME_COLUMNS)
    assert preview_maintenance(pg.compiled, pg.warehouse, RetentionPolicy()).before is None
    put_months(pg, MARCH)
    adopt(pg.compiled, pg.warehouse, [], yes=True)
    pg.load_changed()
    run(pg, "DROP TABLE public.projects", "CREATE TABLE public.projects (who INTEGER)")
    statements = " ".join(preview_maintenance(pg.compiled, pg.warehouse, RetentionPolicy()).statements)
    assert "users" in statements
    assert '"public"."projects"' not in statements
