"""Stars that are proposed from files of ten public shapes: they load their own samples, whole, on every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import duckdb
import pytest

from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.inference.proposal import Proposal, propose_star
from scx_pipeline.inference.star_folder_files import StarFolderFiles
from scx_pipeline.model.calendar import MonthRange
from scx_pipeline.storage.compression import compression_suffix
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline_tests.inference import shapes
from scx_pipeline_tests.support.load_env import LoadEnv

Shape = Callable[[Random], Mapping[str, bytes]]
ROWS = {"weather_stations": 400, "minute_files": 240}


def local_files(folder: Path, contents: Mapping[str, bytes]) -> list[LocalFile]:
    files = []
    for number, (key, content) in enumerate(contents.items()):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        item = ObjectInfo(key, len(content), "", datetime(2023, 1, 1, tzinfo=UTC))
        files.append(LocalFile(item, path, compression_suffix(key), folder / f".{number}.plain"))
    return files


def proposed(name: str, folder: Path, contents: Mapping[str, bytes]) -> Proposal:
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute("SET TimeZone = 'UTC'")
        return propose_star(con, name, local_files(folder, contents), list(contents))


@pytest.mark.parametrize("shape", shapes.SHAPES, ids=lambda shape: shape.__name__)
def test_a_proposed_star_loads_every_row_of_its_samples(
    shape: Shape, load_urls: tuple[str, str], tmp_path: Path
) -> None:
    name, contents = shape.__name__, shape(Random(1))
    proposal = proposed(name, tmp_path / "samples", contents)
    folder = tmp_path / "stars" / name
    for path, text in StarFolderFiles(name, "public", proposal).create().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    env = LoadEnv(*load_urls, load_star(folder))
    for key, content in contents.items():
        env.put_key(key, content)
    months = MonthRange(proposal.first_month, proposal.last_month)
    report = env.load(str(months.first), str(months.last))
    expected = ROWS.get(name, shapes.ROWS)
    assert (report.read, report.loaded, report.rejected) == (expected, expected, 0)
    assert len(env.table(name, "1")) == expected


DESIGNS = {
    "trips": ("tpep_pickup_datetime", ("vendor_id", "tpep_pickup_datetime"), {}),
    "web_shop": ("bestellt_am", ("bestellnr",), {"kunden_nr": ("name", "ort")}),
    "access_log": ("column_4", ("column_1", "column_4"), {}),
    "github_events": ("created_at", ("id",), {"actor_id": ("actor_login",), "repo_id": ("repo_name",)}),
    "sensor_export": ("timestamp", ("sensor_id", "timestamp"), {"sensor_id": ("room",)}),
    "bank_statement": ("buchungstag", (), {}),
    "weather_stations": ("date", ("station", "date"), {"station": ("name", "latitude", "longitude")}),
    "music_events": ("ts", ("session_id", "item_in_session"), {}),
    "job_log": ("created_at", ("job_id",), {}),
    "minute_files": ("create_at", (), {}),
}


@pytest.mark.parametrize("shape", shapes.SHAPES, ids=lambda shape: shape.__name__)
def test_event_time_key_and_dimensions_are_those_that_a_person_would_choose(
    shape: Shape, tmp_path: Path
) -> None:
    design = proposed("x", tmp_path, shape(Random(2))).design
    dimensions = {dimension.key: dimension.attributes for dimension in design.dimensions}
    assert (design.event_time, design.key, dimensions) == DESIGNS[shape.__name__]


PATTERNS = {
    "trips": ("trips/", "yellow_tripdata_{year}-{month}.csv"),
    "web_shop": ("shop/", "export.csv"),
    "access_log": ("logs/", "access.log"),
    "github_events": ("events/", "{year}-{month}-{day}.json"),
    "sensor_export": ("sensors/", "logger.tsv"),
    "bank_statement": ("bank/", "statement.csv"),
    "weather_stations": ("weather/", "daily.csv"),
    "music_events": ("log_data/", "{year}/{month}/{year}-{month}-{day}-events.json"),
    "job_log": ("jobs/", "{year}/{month}/jobs_{year}{month}.csv"),
    "minute_files": ("data_sample/", "{year}-{month}-{day} *:*:*.parquet"),
}


@pytest.mark.parametrize("shape", shapes.SHAPES, ids=lambda shape: shape.__name__)
def test_the_months_are_read_from_the_keys_where_they_name_them(shape: Shape, tmp_path: Path) -> None:
    source = proposed("x", tmp_path, shape(Random(2))).source
    assert (source["prefix"], source["files"][0]["pattern"]) == PATTERNS[shape.__name__]
