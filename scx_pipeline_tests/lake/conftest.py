"""Lakes to look at: of jobs in three months, in a folder, and of each of the stars.
What can be done with one is in support/lake_env.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline_tests.support.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import MAY, World, folder_world, job
from scx_pipeline_tests.support.music_env import event, music_world, song
from scx_pipeline_tests.support.sensor_env import readings, sensor_world

FEBRUARY = "2021-02"


def put_jobs(world: World, user_id: int = 211, first: int = 0) -> None:
    """Two jobs in each of March, April and May."""
    for month in (3, 4, 5):
        rows = [
            job(first + 10 * month + day, f"2021-{month:02d}-{day:02d} 10:00:00", user_id=user_id)
            for day in (1, 2)
        ]
        world.put(f"2021/{month:02d}/a.csv", rows)


@pytest.fixture
def fresh_lake(tmp_path: Path) -> Lake:
    """A lake of jobs with the very bucket that it was made from."""
    found = Lake(lake_url("", tmp_path), _scx(tmp_path), tmp_path)
    found.unload()
    return found


def _scx(folder: Path) -> World:
    world = folder_world(folder)
    put_jobs(world)
    world.load(FEBRUARY, MAY)  # a file of March may have rows of February
    return world


def _music(folder: Path) -> World:
    world = music_world(folder)
    world.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", year=1999))
    world.put_song("A/A/A/two", song("SOZCTXZ12AB0182365", title="Another", artist_id="AR 1/2 é%"))
    world.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    world.put_day("2018-12-05", [event(2, 0, "2018-12-05 10:00:00", song="Unknown")])
    world.settle()
    return world


def _sensors(folder: Path) -> World:
    world = sensor_world(folder)
    world.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", ["s1", "s1", "s2"]))
    world.january()
    return world


WORLDS: dict[str, Callable[[Path], World]] = {"scx": _scx, "songplays": _music, "sensor_readings": _sensors}


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What gives a folder with bucket, warehouse and lake of a star, made once, to be copied."""

    @cache
    def home(star: str) -> Path:
        folder = tmp_path_factory.mktemp(star)
        Lake(lake_url("", folder), WORLDS[star](folder), folder).unload()
        return folder

    return home


def copied(home: Path, folder: Path) -> Lake:
    """A lake of one's own, with bucket and warehouse. To the load history, copied objects are other ones."""
    shutil.copytree(home, folder, dirs_exist_ok=True)
    star = next((folder / "lake").iterdir()).name
    compiled = load_star(stars_folder() / star)
    return Lake(lake_url("", folder), folder_world(folder, compiled=compiled), folder)


@pytest.fixture
def lake(homes: Callable[[str], Path], tmp_path: Path) -> Lake:
    """A lake in a folder, with jobs in March, April and May."""
    return copied(homes("scx"), tmp_path)


@pytest.fixture(params=WORLDS)
def any_lake(homes: Callable[[str], Path], request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake of each of the project's stars."""
    return copied(homes(request.param), tmp_path)
