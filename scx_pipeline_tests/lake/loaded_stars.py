"""A loaded bucket and warehouse of each star, to build lakes from.

No tests belong here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import MAY, LoadEnv, create_load_env, job
from scx_pipeline_tests.support.music_env import create_music_env, event, song
from scx_pipeline_tests.support.sensor_env import create_sensor_env, readings

FEBRUARY = "2021-02"


def put_jobs(load_env: LoadEnv, user_id: int = 211, first: int = 0) -> None:
    """Put two jobs in each of March, April and May."""
    for month in (3, 4, 5):
        rows = [
            job(first + 10 * month + day, f"2021-{month:02d}-{day:02d} 10:00:00", user_id=user_id)
            for day in (1, 2)
        ]
        load_env.put(f"2021/{month:02d}/a.csv", rows)


def _scx(folder: Path) -> LoadEnv:
    load_env = create_load_env(folder)
    put_jobs(load_env)
    load_env.load(FEBRUARY, MAY)  # a file of March may have rows of February
    return load_env


def _music(folder: Path) -> LoadEnv:
    load_env = create_music_env(folder)
    load_env.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", year=1999))
    load_env.put_song("A/A/A/two", song("SOZCTXZ12AB0182365", title="Another", artist_id="AR 1/2 é%"))
    load_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    load_env.put_day("2018-12-05", [event(2, 0, "2018-12-05 10:00:00", song="Unknown")])
    load_env.settle()
    return load_env


def _sensors(folder: Path) -> LoadEnv:
    load_env = create_sensor_env(folder)
    load_env.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", ["s1", "s1", "s2"]))
    load_env.january()
    return load_env


LOAD_ENVS: dict[str, Callable[[Path], LoadEnv]] = {
    "scx": _scx,
    "songplays": _music,
    "sensor_readings": _sensors,
}


def copy_lake(source: Path, folder: Path) -> Lake:
    """Copy a lake with its bucket and warehouse. The copied objects differ from those in the load history."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    star = next((folder / "lake").iterdir()).name
    compiled = load_star(stars_folder() / star)
    return Lake(lake_url("", folder), create_load_env(folder, compiled=compiled), folder)
