"""A bucket, its lake, and a warehouse that is loaded from the one or the other; what stands in it.
No test lives here."""

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
from scx_pipeline.lake.format.commit import begin, commit
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.lake.load.lake_loader import LakeLoader
from scx_pipeline.lake.load.load_plan import LakeLoadPlan, plan_loading
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, contiguous_ranges
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA
from scx_pipeline_tests.support.load_env import Row, World, in_order, job, range_of_keys
from scx_pipeline_tests.support.music_env import MusicWorld, event, lines, song
from scx_pipeline_tests.support.sensor_env import SensorWorld, readings

# What the history says of loads, but for who made them and when.
_OF_HISTORY = {
    "loads": "first_month, last_month, objects, bytes, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    "objects": "source, object_key, etag, size_bytes, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    "check_results": "table_name, check_name, passed, severity, CASE WHEN check_name = 'declared_fields' THEN '' ELSE message END",
}


@dataclass
class Loads:
    """A warehouse over a bucket and its lake."""

    world: World
    lake: str  # its URL

    @property
    def star(self) -> str:
        return self.world.compiled.star.name

    @property
    def place(self) -> LakeStore:
        return open_lake_store(self.lake, self.star)

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.place, self.star)

    def builder(self) -> LakeBuilder:
        engine = DuckDBLakeEngine(self.world.limits)
        return LakeBuilder(self.world.compiled, self.world.bucket, self.place, engine, lambda message: None)

    def build(self) -> list[LoadScope]:
        """Build whatever is due in the lake, until nothing is."""
        return _settle(self._due_in_lake, self.builder())

    def loader(self, progress: Callable[[str], None] = lambda message: None) -> LakeLoader:
        return LakeLoader(self.world.compiled, self.lake, self.world.warehouse, progress)

    def plan(self) -> LakeLoadPlan:
        return plan_loading(self.world.compiled, self.lake, self.world.warehouse)

    def load(self) -> list[LoadScope]:
        """Load whatever differs from the lake, until nothing does."""
        return _settle(self.due, self.loader())

    def load_raw(self) -> list[LoadScope]:
        """Load whatever is due of the objects, until nothing is."""
        return _settle(self.due_raw, self.world.loader())

    def load_month(self, month: str) -> LoadReport:
        return self.loader().load(range_of_keys(month))

    def due(self) -> list[LoadScope]:
        plan = self.plan()
        return [UNPARTITIONED] if plan.unpartitioned else [*contiguous_ranges(list(plan.months))]

    def due_raw(self) -> list[LoadScope]:
        return _due(self.world.plan())

    def _due_in_lake(self) -> list[LoadScope]:
        return _due(plan_build(self.world.compiled, self.world.bucket, self.lake))

    def rewrite(self, folder: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Change the rows of a folder's first file as no run does: the manifest goes with it."""
        turn = begin(self.place, self.star, lambda message: None)
        assert turn.place.folder is not None
        item, *others = turn.before.of(folder)
        path = turn.place.folder / item.key
        with pq.ParquetFile(path) as file:
            rows = change(file.read())
        pq.write_table(rows, path)
        changed = replace(item, rows=rows.num_rows, bytes=path.stat().st_size)
        commit(turn, [], replace(turn.before, files={**turn.before.files, folder: (changed, *others)}))


def _due(plan: Any) -> list[LoadScope]:
    return (
        [UNPARTITIONED] if plan.unpartitioned else [*contiguous_ranges([item.month for item in plan.changed])]
    )


def _settle(due: Callable[[], list[LoadScope]], road: Any) -> list[LoadScope]:
    """Do what is due until nothing is; what was done, in order."""
    done: list[LoadScope] = []
    while parts := due():
        for part in parts:
            road.load(part) if part else road.refresh()
        done += parts
        assert len(done) < 20, done
    return done


def standing(world: World) -> Mapping[str, list[Row]]:
    """All that stands, the history included."""
    kept = {name: in_order(world.rows(_of(name))) for name in _OF_HISTORY}
    return {**world.snapshot(load_ids=False), **kept}


def published(found: Mapping[str, list[Row]]) -> Mapping[str, list[Row]]:
    """The same without what tells of single loads, and of an object's rows in the months that one was of."""
    return {name: rows for name, rows in found.items() if name not in _OF_HISTORY}


def _of(name: str) -> str:
    return f"SELECT {_OF_HISTORY[name]} FROM {STATE_SCHEMA}.{name}"


# What is in the buckets, and what changes in them


def put_scx(world: World) -> None:
    world.put("2021/03/a.csv", [
        job(1, "2021-03-05 10:00:00"),
        job(2, "2021-03-06 11:00:00", user_id=7, project_id=11, noise_type=None, project_name='"é, ,\\N'),
        job(2, "2021-03-06 11:00:00", user_id=7, updated_at="2021-03-06 10:00:00"),
        *(job(100 + number, f"2021-03-{number + 1:02d} 09:00:00") for number in range(25)),
    ])  # fmt: skip
    world.put("2021/04/a.csv.gz", [
        job(3, "2021-03-31 23:59:00"), job(4, "2021-04-01 00:00:00", user_id=7, email_encrypted="new"),
        *(job(200 + number, f"2021-04-{number + 1:02d} 09:00:00", user_id=8) for number in range(25)),
        job(5, "2021-04-05 00:00:00", user_id="nobody"),
    ])  # fmt: skip
    world.put("2021/06/a.csv", [job(6, "2021-06-05 10:00:00", user_id=9)])


def change_scx(world: World) -> None:
    world.put("2021/04/a.csv.gz", [job(4, "2021-04-01 00:00:00", user_id=8, plan_id=5)])
    world.put("2021/07/a.csv", [job(7, "2021-07-05 10:00:00", user_id=9, plan_id=1)])
    world.delete("2021/03/a.csv")


def put_music(world: World) -> None:
    assert isinstance(world, MusicWorld)
    world.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", year=1999))
    world.put_song("A/A/A/two", song("SOZCTXZ12AB0182365", title="Another", artist_id="AR 1/2 é%"))
    world.put_song("A/A/A/bad", song("SOZCTXZ12AB0182367", title=None, year="never", artist_id="AR3"))
    for number in range(25):
        name = f"SOZCTXZ12AB01824{number:02d}"
        world.put_song(f"A/B/C/{number}", song(name, title=f"Title {number}", artist_id=f"AR{number % 5}"))
    plays = [event(9, number, f"2018-11-{number + 1:02d} 12:00:00", userId="7") for number in range(25)]
    world.put_day(
        "2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00", level="free")]
    )
    world.put_key(
        "log_data/2018/11/more-events.json", lines([*plays, event(9, 99, "2018-11-05 10:00:00", ts="x")])
    )
    world.put_day("2018-12-05", [event(2, 0, "2018-12-05 10:00:00", song="Later")])
    world.put_day("2019-01-05", [event(3, 0, "2019-01-05 10:00:00", song="Unknown", userId="")])


def change_music(world: World) -> None:
    """A song comes late, one goes that plays point to, and a day changes."""
    assert isinstance(world, MusicWorld)
    world.put_song("A/A/A/three", song("SOZCTXZ12AB0182366", title="Later", artist_id="AR9"))
    world.delete_key("song_data/A/A/A/one.json")
    world.put_day("2019-01-05", [event(3, 0, "2019-01-05 10:00:00", song="Another", userId="16")])


def put_sensors(world: World) -> None:
    assert isinstance(world, SensorWorld)
    world.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", ["s1", "s1", "s2"]))
    world.put_minute("2023-01-31 23:59", readings("2023-01-31 23:59"))
    world.put_minute("2023-02-01 00:00", readings("2023-02-01 00:00", ["s3"]))


def change_sensors(world: World) -> None:
    assert isinstance(world, SensorWorld)
    world.put_minute("2023-02-01 00:00", readings("2023-02-01 00:00", ["s4", "s4"]))
    world.put_minute("2023-03-01 00:00", readings("2023-03-01 00:00", ["s5"]))


STARS: Mapping[str, tuple[type[World], Callable[[World], None], Callable[[World], None]]] = {
    "scx": (World, put_scx, change_scx),
    "songplays": (MusicWorld, put_music, change_music),
    "sensor_readings": (SensorWorld, put_sensors, change_sensors),
}


def open_loads(star: str, folder: Path) -> Loads:
    """An empty bucket, no lake yet and an empty DuckDB file, all in a folder."""
    (folder / "bucket").mkdir()
    world = STARS[star][0]((folder / "bucket").as_uri(), f"duckdb://{folder}/dev.duckdb")
    return Loads(world, (folder / "lake").as_uri())


@dataclass(frozen=True)
class State:
    """A bucket and a lake that was built from it, neither of which changes, and what a load of the objects left."""

    bucket: str
    lake: Path
    standing: Mapping[str, list[Row]]
    done: list[LoadScope]  # the loads that it took


def make_states(star: str, folder: Path) -> list[State]:
    """A star's objects, and then some of them changed."""
    made = open_loads(star, folder)
    states = []
    for number, change in enumerate(STARS[star][1:]):
        change(made.world)
        made.build()
        done, kept = made.load_raw(), folder / str(number)
        # Linked, as a file's number is part of its ETag.
        shutil.copytree(folder / "bucket", kept / "bucket", copy_function=os.link)
        shutil.copytree(folder / "lake", kept / "lake")
        states.append(State((kept / "bucket").as_uri(), kept / "lake", standing(made.world), done))
    return states
