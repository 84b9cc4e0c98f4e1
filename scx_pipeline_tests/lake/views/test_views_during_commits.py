"""Queries through the views of a lake while a commit replaces its files: the rows of one commit, or an error.

In each of these queries, another listing of folders is preceded by a commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
from fsspec.implementations.local import LocalFileSystem

from scx_pipeline.lake.views.views import CONCURRENT_COMMIT, duckdb_view
from scx_pipeline_tests.lake.loaded_stars import put_jobs
from scx_pipeline_tests.support.lake.lake_env import Lake
from scx_pipeline_tests.support.load_env import APRIL, FACTS, MARCH, MAY, create_load_env, job


class InterruptedFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A file system that runs a callback just before the n-th listing of folders."""

    protocol = ("interrupted",)
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.remaining, self.callback = -1, lambda: None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("interrupted://")))

    def glob(self, path: str, **options: Any) -> Any:
        self.remaining -= 1
        if self.remaining == 0:
            self.callback()
        return super().glob(path, **options)


def test_a_query_sees_one_commit_or_fails(lake: Lake, tmp_path: Path) -> None:
    """April's jobs alternate between two users; one after the other, each listing of a query is preceded by a commit."""
    other = create_load_env(tmp_path / "other")
    put_jobs(other)
    other.put("2021/04/a.csv", [job(n, f"2021-04-{n:02d} 10:00:00", user_id=5) for n in (1, 2)])
    other.load(MARCH, MAY)
    query = (
        f"SELECT f.user_id, u.user_id, count(*) FROM public.{FACTS} AS f LEFT JOIN public.users AS u USING (user_id)"
        " GROUP BY ALL ORDER BY ALL"
    )
    one, two = [(211, 211, 6)], [(5, 5, 2), (211, 211, 4)]
    files, outcomes = InterruptedFileSystem(), []
    with views_through(lake, files, [FACTS, "users"]) as con:
        for at in range(1, 10):
            before = con.execute(query).fetchall()
            after, load_env = (two, other) if before == one else (one, lake.load_env)
            files.remaining, files.callback = at, partial(replace(lake, load_env=load_env).unload, APRIL)
            try:
                found = con.execute(query).fetchall()
                assert found in (before, after)
                outcomes.append("after" if found == after else "before")
            except duckdb.Error as error:
                outcomes.append("conflict" if CONCURRENT_COMMIT in str(error) else "missing file")
    # For each table, the manifests are listed twice and then the files; when the query runs, the manifests of each table again.
    assert outcomes[:2] == ["after"] * 2
    assert {*outcomes[2:8]} <= {"conflict", "missing file"}
    assert outcomes[8] == "before"


@contextmanager
def views_through(
    lake: Lake, files: InterruptedFileSystem, tables: list[str]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Create views of a lake's tables that are read through another file system."""
    star = lake.load_env.compiled.star
    with duckdb.connect() as con:
        con.register_filesystem(files)
        con.execute("CREATE SCHEMA public")
        for name in tables:
            con.execute(duckdb_view(star, star.table(name), f"interrupted://{lake.store.folder}"))
        yield con
