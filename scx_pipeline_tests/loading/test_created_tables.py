"""Tables that are created without a load: exactly those of a load, by the statements that `scx ddl` prints.

What a load does with tables that exist already is not tested here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.loading.targets.prepare import create_tables
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.ownership.table_records import creation_statements
from scx_pipeline.warehouse.open_warehouse import engine_of, table_sql_of
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.loading.test_tables import WIDER
from scx_pipeline_tests.ownership.warehouse_content import OTHER_COLUMNS, put_months, query, run
from scx_pipeline_tests.support.load_env import APRIL, MARCH, LoadEnv, edited_star
from scx_pipeline_tests.support.music_env import MusicEnv

pytestmark = pytest.mark.reader_independent
TABLES_OF_SCX = [
    "public.staging_cleansed_logs",
    "public.users",
    "public.projects",
    "public.time",
    "public.auto_classification_logs",
    "scx_pipeline.scx__users",
    "scx_pipeline.scx__projects",
]


def created(load_env: LoadEnv) -> list[str]:
    """Create the tables of the environment's star, and return the names of those that did not exist."""
    return load_env.warehouse.run(
        load_env.compiled.star.name, lambda session: create_tables(session, load_env.compiled)
    )


def printed(load_env: LoadEnv) -> list[str]:
    return creation_statements(load_env.compiled, table_sql_of(engine_of(load_env.warehouse_url)))


def recorded(load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list in which the statements of each session are recorded from now on."""
    with load_env.warehouse.transaction("any") as session:
        kind: type[Session] = type(session)
    executed: list[str] = []
    execute = kind.execute

    def record(session: Session, sql: str, parameters: object = ()) -> int:
        executed.append(sql)
        return execute(session, sql, parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "execute", record)
    return executed


def of_tables(statements: list[str]) -> list[str]:
    """Return the statements that create the lasting tables, without the random part of a name."""
    kinds = ("CREATE TABLE", "CREATE INDEX", "CREATE STATISTICS", "ALTER TABLE")
    found = [sql for sql in statements if sql.startswith(kinds) and " (nothing smallint)" not in sql]
    return [sql if not sql.startswith("CREATE STATISTICS") else sql.partition(" ON ")[2] for sql in found]


def test_the_printed_statements_are_those_of_a_first_load(
    load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_months(load_env, MARCH)
    executed = recorded(load_env, monkeypatch)
    load_env.load(MARCH)
    expected = of_tables(printed(load_env))
    assert of_tables(executed)[: len(expected)] == expected
    assert len([sql for sql in expected if sql.startswith("CREATE TABLE")]) == 11 + len(TABLES_OF_SCX)


def test_the_printed_statements_run_in_an_empty_database(load_env: LoadEnv) -> None:
    with load_env.warehouse.transaction("any") as session:
        session.begin()
        # the loader of a server may not create schemas, which its administrator did
        found = {session.table_sql.create_schema(name) for name in session.catalog.list_schemas()}
        for statement in printed(load_env):
            if statement not in found:
                session.execute(statement)
    assert query(load_env, "SELECT COUNT(*) FROM public.users") == [(0,)]


def test_created_tables_are_recorded_and_a_load_fills_them(load_env: LoadEnv) -> None:
    assert created(load_env) == TABLES_OF_SCX
    assert query(load_env, "SELECT COUNT(*) FROM scx_pipeline.loads") == [(0,)]
    assert query(load_env, "SELECT COUNT(*) FROM scx_pipeline.tables") == [(len(TABLES_OF_SCX),)]
    assert created(load_env) == []
    put_months(load_env, MARCH)
    before = query(load_env, "SELECT table_name, created_at FROM scx_pipeline.tables ORDER BY 1")
    assert load_env.load(MARCH).loaded
    assert query(load_env, "SELECT table_name, created_at FROM scx_pipeline.tables ORDER BY 1") == before


def test_unpartitioned_tables_are_created_as_well(music_env: MusicEnv) -> None:
    assert "songplays.songs" in created(music_env)
    assert query(music_env, "SELECT COUNT(*) FROM songplays.songs") == [(0,)]
    assert UNPARTITIONED.value not in str(query(music_env, "SELECT * FROM scx_pipeline.month_rows"))


def test_empty_tables_are_created_again_when_the_declaration_has_changed(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    created(load_env)
    load_env.compiled = edited_star(tmp_path, WIDER)
    assert created(load_env) == []
    columns = query(
        load_env,
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name = 'users' AND column_name = 'plan_id'",
    )
    assert [kind.lower() for _, kind in columns] == ["bigint"]


def test_loaded_tables_are_not_rebuilt_without_a_load(load_env: LoadEnv, tmp_path: Path) -> None:
    put_months(load_env, MARCH, APRIL)
    load_env.load(MARCH)
    load_env.compiled = edited_star(tmp_path, WIDER)
    with pytest.raises(WarehouseError, match=r"must be rebuilt in one load, but .* run `scx load scx`"):
        created(load_env)
    assert query(load_env, "SELECT COUNT(*) FROM public.users") == [(2,)]


def test_foreign_tables_are_refused(load_env: LoadEnv) -> None:
    run(load_env, OTHER_COLUMNS)
    with pytest.raises(WarehouseError, match="public.users was not created by this pipeline"):
        created(load_env)
