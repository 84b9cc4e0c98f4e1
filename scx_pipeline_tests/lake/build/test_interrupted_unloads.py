"""Unloads that fail, are killed or lose the write lock: the lake has the old rows or the new ones.

A kill is an exception here, in place of the end of a process.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import new_run_id
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.lake.build.months_to_unload import load_months
from scx_pipeline_tests.support.lake.lake_env import Lake, read_tables
from scx_pipeline_tests.support.load_env import APRIL, FACTS, MARCH, LoadEnv, job

pytestmark = pytest.mark.reader_independent


def test_a_table_that_cannot_be_written_leaves_the_lake_unchanged(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_months(lake.load_env)
    lake.unload()
    before = lake.keys()
    fail_at(monkeypatch, type(_session_of(lake.load_env)), "time")
    with pytest.raises(LakeError, match="no room for time"):
        lake.unload()
    assert lake.keys() == before


def _session_of(load_env: LoadEnv) -> Session:
    with load_env.open_loaded() as session:
        return session


def fail_at(monkeypatch: pytest.MonkeyPatch, kind: type[Session], table: str) -> None:
    """Make an engine fail after it has written a table."""
    unload = kind.unload

    def failing(session: Session, request: Unload) -> int:
        written = unload(session, request)
        if f"/{table}/" in request.url:
            raise LakeError(f"no room for {table}")
        return written

    monkeypatch.setattr(kind, "unload", failing)


def test_missing_rows_in_the_files_fail_the_unload(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    load_months(lake.load_env)
    kind = type(_session_of(lake.load_env))
    unload = kind.unload

    def without_rows(request: Unload) -> Unload:
        return replace(request, select=f"SELECT * FROM ({request.select}) AS q WHERE 1 = 0")

    monkeypatch.setattr(kind, "unload", lambda session, request: unload(session, without_rows(request)))
    with pytest.raises(
        LakeError,
        match=r"^2021-03 of staging_cleansed_logs has \d+ rows, but 0 were written; nothing was changed",
    ):
        lake.unload()
    assert lake.keys() == []


class _KilledError(BaseException):
    """Raised in place of killing the process."""


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Raises at the n-th change of the lake, and prevents any cleanup afterwards."""
    state = {"remaining": 10**9}

    def counted(method: Any) -> Any:
        def call(store: LakeStore, *arguments: Any) -> Any:
            if state["remaining"] <= 0:
                raise _KilledError
            state["remaining"] -= 1
            return method(store, *arguments)

        return call

    for name in ("create", "move", "_remove"):
        monkeypatch.setattr(LakeStore, name, counted(getattr(LakeStore, name)))
    monkeypatch.setattr(LakeStore, "each", staticmethod(lambda work, keys: [work(key) for key in keys]))
    yield state


def test_a_kill_at_any_change_leaves_the_old_or_the_new_rows_and_the_next_run_cleans_up(
    duckdb_lake: Lake, killer: dict[str, int], tmp_path: Path
) -> None:
    lake, load_env = duckdb_lake, duckdb_lake.load_env
    load_months(load_env)
    lake.unload()
    old, folder, kept = read_tables(load_env), tmp_path / "lake", tmp_path / "kept"
    shutil.copytree(folder, kept)
    load_env.put("2021/03/a.csv", [job(1000, "2021-03-20 10:00:00")])
    load_env.load(MARCH)
    new = read_tables(load_env)
    number, finished = 0, False
    while not finished:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        killer["remaining"] = number
        try:
            lake.unload(MARCH)
            finished = True
        except _KilledError:
            pass
        killer["remaining"] = 10**9
        found = lake.contents()
        assert found in (old, new), number
        for name in found:  # an engine that reads folders may see both for a while, but never misses rows
            assert _holds(lake.rows_in_folders(name), found[name]), (number, name)
        lake.unload(APRIL)  # another month than the changed one
        assert lake.contents()[FACTS] == found[FACTS]
        assert {name: lake.rows_in_folders(name) for name in found} == lake.contents()
        assert lake.unpublished_keys() == []
        number += 2  # every second change is enough, and takes half the time
    assert number > 15
    assert lake.contents() == new


def _holds(rows: list[Any], wanted: list[Any]) -> bool:
    return set(map(repr, wanted)) <= set(map(repr, rows))


@pytest.mark.parametrize("is_retried", [True, False])
def test_a_lost_response_does_not_fail_an_unload_that_was_written(
    duckdb_lake: Lake, monkeypatch: pytest.MonkeyPatch, is_retried: bool
) -> None:
    load_months(duckdb_lake.load_env)
    create = LakeStore.create
    calls: list[str] = []

    def unresponsive(store: LakeStore, key: str, content: bytes) -> bool:
        calls.append(key)
        written = create(store, key, content)
        if len(calls) < 2:
            return written
        if is_retried:  # as if the client library had repeated the request and found the object
            return False
        raise LakeError("no answer")

    monkeypatch.setattr(LakeStore, "create", unresponsive)
    duckdb_lake.unload()
    assert duckdb_lake.contents() == read_tables(duckdb_lake.load_env)
    assert len(calls) == 2


def test_a_refused_move_leaves_the_lake_unchanged(duckdb_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    load_months(duckdb_lake.load_env)
    duckdb_lake.unload()
    before = duckdb_lake.keys()
    move = LakeStore.move

    def refusing(store: LakeStore, source: str, target: str) -> bool:
        if "month=5" in source:
            raise LakeError(f"cannot write {target}")
        return move(store, source, target)

    monkeypatch.setattr(LakeStore, "move", refusing)
    with pytest.raises(LakeError, match="cannot write"):
        duckdb_lake.unload()
    assert duckdb_lake.keys() == before


def test_an_unload_that_lost_the_write_lock_changes_nothing(duckdb_lake: Lake) -> None:
    load_months(duckdb_lake.load_env)
    inner: list[str] = []

    def meanwhile(message: str) -> None:
        if message == FACTS and not inner:
            inner.append(duckdb_lake.unload(APRIL).run)

    with pytest.raises(
        LakeError, match="another run started to write after this one and now holds the write lock"
    ):
        duckdb_lake.unload(progress=meanwhile)
    assert duckdb_lake.folders(FACTS) == [f"{FACTS}/year=2021/month=4"]
    assert [key for key in sorted(duckdb_lake.keys()) if inner[0] not in key] == []
    assert duckdb_lake.unpublished_keys() == []


def test_a_later_run_has_a_later_id_even_if_clocks_disagree() -> None:
    ahead = "29990101T000000000000-0123abcd"
    assert new_run_id([f"users/{ahead}-data_0.parquet"]) > ahead
    assert new_run_id([f"_unload/{ahead}/started", "users/x.parquet"]) > ahead
    assert new_run_id([]) < ahead
