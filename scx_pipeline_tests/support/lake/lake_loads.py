"""A bucket, a lake that is built from it, and a warehouse that is loaded from either.

No tests belong here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scx_pipeline.lake.build.builder import LakeBuilder, plan_build
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.lake.format.transaction import begin_transaction, commit
from scx_pipeline.lake.load.lake_load_plan import LakeLoadPlan, plan_lake_load
from scx_pipeline.lake.load.lake_loader import LakeLoader
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, contiguous_ranges
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA
from scx_pipeline_tests.support.lake.visits_star import VisitsEnv, visit
from scx_pipeline_tests.support.load_env import LoadEnv, job, range_of_keys
from scx_pipeline_tests.support.music_env import MusicEnv, event, lines, song
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings
from scx_pipeline_tests.support.snapshots import Row, in_order

# The columns of the load history that do not depend on load IDs and times.
_HISTORY_COLUMNS = {
    "loads": "first_month, last_month, objects, bytes, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    "objects": "source, object_key, etag, size_bytes, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    "check_results": "table_name, check_name, passed, severity, CASE WHEN check_name = 'declared_fields' THEN '' ELSE message END",
}


@dataclass
class LakeLoadEnv:
    """A bucket, its lake, and a warehouse."""

    load_env: LoadEnv
    lake: str  # its URL

    @property
    def star(self) -> str:
        return self.load_env.compiled.star.name

    @property
    def store(self) -> LakeStore:
        return open_lake_store(self.lake, self.star)

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.store, self.star)

    def builder(self) -> LakeBuilder:
        engine = DuckDBLakeEngine(self.load_env.limits)
        return LakeBuilder(
            self.load_env.compiled, self.load_env.bucket, self.store, engine, lambda message: None
        )

    def build(self) -> list[LoadScope]:
        """Build what is due in the lake until nothing is; return the builds."""
        return _load_until_current(self._due_in_lake, self.builder())

    def loader(self, progress: Callable[[str], None] = lambda message: None) -> LakeLoader:
        return LakeLoader(self.load_env.compiled, self.lake, self.load_env.warehouse, progress)

    def plan(self) -> LakeLoadPlan:
        return plan_lake_load(self.load_env.compiled, self.lake, self.load_env.warehouse)

    def load(self) -> list[LoadScope]:
        """Load what differs from the lake until nothing does; return the loads."""
        return _load_until_current(self.due, self.loader())

    def load_raw(self) -> list[LoadScope]:
        """Load what is due from the objects until nothing is; return the loads."""
        return _load_until_current(self.due_raw, self.load_env.loader())

    def load_month(self, month: str) -> LoadReport:
        return self.loader().load(range_of_keys(month))

    def due(self) -> list[LoadScope]:
        plan = self.plan()
        return [UNPARTITIONED] if plan.unpartitioned else [*contiguous_ranges(list(plan.months))]

    def due_raw(self) -> list[LoadScope]:
        return _due(self.load_env.plan())

    def _due_in_lake(self) -> list[LoadScope]:
        return _due(plan_build(self.load_env.compiled, self.load_env.bucket, self.lake))

    def rewrite(self, folder: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Change the rows of a folder's first file, and its size and row count in the manifest."""
        transaction = begin_transaction(self.store, self.star, lambda message: None)
        assert transaction.store.folder is not None
        item, *others = transaction.before.select_files(folder)
        path = transaction.store.folder / item.key
        with pq.ParquetFile(path) as file:
            rows = change(file.read())
        pq.write_table(rows, path)
        changed = replace(item, rows=rows.num_rows, bytes=path.stat().st_size)
        commit(
            transaction,
            [],
            replace(transaction.before, files={**transaction.before.files, folder: (changed, *others)}),
        )


def _due(plan: Any) -> list[LoadScope]:
    return (
        [UNPARTITIONED] if plan.unpartitioned else [*contiguous_ranges([item.month for item in plan.changed])]
    )


def _load_until_current(due: Callable[[], list[LoadScope]], loader: Any) -> list[LoadScope]:
    """Load what is due until nothing is; return the loads in order."""
    done: list[LoadScope] = []
    while parts := due():
        for part in parts:
            loader.refresh() if part is UNPARTITIONED else loader.load(part)
        done += parts
        assert len(done) < 20, done
    return done


def read_all_tables(load_env: LoadEnv) -> Mapping[str, list[Row]]:
    """Return the rows of all tables and of the load history."""
    history = {name: in_order(load_env.rows(_history_query(name))) for name in _HISTORY_COLUMNS}
    return {**load_env.snapshot(load_ids=False), **history}


def without_history(found: Mapping[str, list[Row]]) -> Mapping[str, list[Row]]:
    """Return the rows without the history of single loads and of objects."""
    return {name: rows for name, rows in found.items() if name not in _HISTORY_COLUMNS}


def _history_query(name: str) -> str:
    return f"SELECT {_HISTORY_COLUMNS[name]} FROM {STATE_SCHEMA}.{name}"


# Objects of the buckets, and changes to them


def put_scx(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [
        job(1, "2021-03-05 10:00:00"),
        job(2, "2021-03-06 11:00:00", user_id=7, project_id=11, noise_type=None, project_name='"é, ,\\N'),
        job(2, "2021-03-06 11:00:00", user_id=7, updated_at="2021-03-06 10:00:00"),
        *(job(100 + number, f"2021-03-{number + 1:02d} 09:00:00") for number in range(25)),
    ])  # fmt: skip
    load_env.put("2021/04/a.csv.gz", [
        job(3, "2021-03-31 23:59:00"), job(4, "2021-04-01 00:00:00", user_id=7, email_encrypted="new"),
        *(job(200 + number, f"2021-04-{number + 1:02d} 09:00:00", user_id=8) for number in range(25)),
        job(5, "2021-04-05 00:00:00", user_id="not-a-number"),
    ])  # fmt: skip
    load_env.put("2021/06/a.csv", [job(6, "2021-06-05 10:00:00", user_id=9)])


def change_scx(load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv.gz", [job(4, "2021-04-01 00:00:00", user_id=8, plan_id=5)])
    load_env.put("2021/07/a.csv", [job(7, "2021-07-05 10:00:00", user_id=9, plan_id=1)])
    load_env.delete("2021/03/a.csv")


def put_music(load_env: LoadEnv) -> None:
    assert isinstance(load_env, MusicEnv)
    load_env.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", year=1999))
    load_env.put_song("A/A/A/two", song("SOZCTXZ12AB0182365", title="Another", artist_id="AR 1/2 é%"))
    load_env.put_song("A/A/A/bad", song("SOZCTXZ12AB0182367", title=None, year="never", artist_id="AR3"))
    for number in range(25):
        name = f"SOZCTXZ12AB01824{number:02d}"
        load_env.put_song(f"A/B/C/{number}", song(name, title=f"Title {number}", artist_id=f"AR{number % 5}"))
    plays = [event(9, number, f"2018-11-{number + 1:02d} 12:00:00", userId="7") for number in range(25)]
    load_env.put_day(
        "2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00", level="free")]
    )
    load_env.put_key(
        "log_data/2018/11/more-events.json", lines([*plays, event(9, 99, "2018-11-05 10:00:00", ts="x")])
    )
    load_env.put_day("2018-12-05", [event(2, 0, "2018-12-05 10:00:00", song="Later")])
    load_env.put_day("2019-01-05", [event(3, 0, "2019-01-05 10:00:00", song="Unknown", userId="")])


def change_music(load_env: LoadEnv) -> None:
    """Add a song late, delete a song that plays reference, and change a day."""
    assert isinstance(load_env, MusicEnv)
    load_env.put_song("A/A/A/three", song("SOZCTXZ12AB0182366", title="Later", artist_id="AR9"))
    load_env.delete_key("song_data/A/A/A/one.json")
    load_env.put_day("2019-01-05", [event(3, 0, "2019-01-05 10:00:00", song="Another", userId="16")])


def put_sensors(load_env: LoadEnv) -> None:
    assert isinstance(load_env, SensorEnv)
    load_env.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", ["s1", "s1", "s2"]))
    load_env.put_minute("2023-01-31 23:59", readings("2023-01-31 23:59"))
    load_env.put_minute("2023-02-01 00:00", readings("2023-02-01 00:00", ["s3"]))


def change_sensors(load_env: LoadEnv) -> None:
    assert isinstance(load_env, SensorEnv)
    load_env.put_minute("2023-02-01 00:00", readings("2023-02-01 00:00", ["s4", "s4"]))
    moved = readings("2023-03-01 00:00", ["s5", "s1"], department_name=pa.array(["d", "e"]))
    load_env.put_minute("2023-03-01 00:00", moved)


def put_visits(load_env: LoadEnv) -> None:
    assert isinstance(load_env, VisitsEnv)
    load_env.put_visits("2023/01/a.json", [visit(n, f"2023-01-{n:02d}", f"p{n % 3}") for n in range(1, 30)])
    load_env.put_visits(
        "2023/01/a.csv.gz", [visit(29, "2023-01-30", "later"), visit(30, "2023-01-05", "x", "many")]
    )
    load_env.put_visits(
        "2023/02/a.csv", [visit(n + 40, f"2023-02-{n:02d}", f"p{n % 4}", n) for n in range(1, 28)]
    )
    load_env.put_visits("2023/02/b.json", [visit(41, "2023-02-01", "earlier"), visit(31, "2023-01-31")])


def change_visits(load_env: LoadEnv) -> None:
    """Delete an object of one source, change one of the other, and add one."""
    assert isinstance(load_env, VisitsEnv)
    load_env.delete_key("visits/2023/01/a.csv.gz")
    load_env.put_visits("2023/02/b.json", [visit(42, "2023-02-28", "p9")])
    load_env.put_visits("2023/03/a.csv", [visit(90, "2023-03-05"), visit(91, "2023-03-05", "x", "few")])


STARS: Mapping[str, tuple[type[LoadEnv], Callable[[LoadEnv], None], Callable[[LoadEnv], None]]] = {
    "scx": (LoadEnv, put_scx, change_scx),
    "songplays": (MusicEnv, put_music, change_music),
    "sensor_readings": (SensorEnv, put_sensors, change_sensors),
    "traffic": (VisitsEnv, put_visits, change_visits),
}


def open_lake_load_env(star: str, folder: Path) -> LakeLoadEnv:
    """Open an empty bucket, no lake yet, and an empty DuckDB file, all in a folder."""
    (folder / "bucket").mkdir()
    load_env = STARS[star][0]((folder / "bucket").as_uri(), f"duckdb://{folder}/dev.duckdb")
    return LakeLoadEnv(load_env, (folder / "lake").as_uri())


@dataclass(frozen=True)
class BucketState:
    """A bucket, the lake that was built from it, and the result of a load from the bucket. Neither changes."""

    bucket: str
    lake: Path
    tables: Mapping[str, list[Row]]  # of the warehouse
    loads: list[LoadScope]


def build_states(star: str, folder: Path) -> list[BucketState]:
    """Build two states of a star: its objects, and then some of them changed."""
    env = open_lake_load_env(star, folder)
    states = []
    for number, change in enumerate(STARS[star][1:]):
        change(env.load_env)
        env.build()
        loads, kept = env.load_raw(), folder / str(number)
        # Hard links keep the inode, which is part of the ETag.
        shutil.copytree(folder / "bucket", kept / "bucket", copy_function=os.link)
        shutil.copytree(folder / "lake", kept / "lake")
        states.append(
            BucketState((kept / "bucket").as_uri(), kept / "lake", read_all_tables(env.load_env), loads)
        )
    return states
