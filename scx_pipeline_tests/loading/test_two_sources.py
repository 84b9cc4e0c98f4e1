"""Loads of a star with two sources of each month, and with a dimension whose column has a narrower type than the SELECT returns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline_tests.support.load_env import LoadEnv, create_load_env

pytestmark = pytest.mark.reader_independent

JANUARY = "2023-01"
AT = {"name": "at", "type": "timestamp", "nullable": False}


def _columns(**types: str) -> list[dict[str, object]]:
    return [{"name": name, "type": kind, "description": "x"} for name, kind in types.items()]


@pytest.fixture
def two_sources(load_env: LoadEnv, tmp_path: Path) -> LoadEnv:
    """The star `pair`, with the staging tables `readings` and `notes` and the dimension `devices`."""
    staged = {
        "readings": {"device": "varchar(8)", "d": "double", "b": "boolean"},
        "notes": {"n": "integer"},
    }
    tables = [
        {"name": name, "role": "staging", "description": "x", "source": f"{name}_files", "event_time": "at",
         "columns": [{**AT, "description": "x"}, *_columns(**types)]}
        for name, types in staged.items()
    ]  # fmt: skip
    devices = {
        "name": "devices", "role": "dimension", "description": "x", "key": ["device"], "event_time": "at", "sequence_by": ["at"],
        "columns": [{"name": "device", "type": "varchar(8)", "nullable": False, "description": "x"}, *_columns(n="integer", b="boolean")],
    }  # fmt: skip
    sources = [
        {"name": f"{name}_files", "description": "x", "format": "csv", "prefix": f"{name}/", "event_time": "at",
         "files": [{"pattern": "{year}/{month}/*.csv"}]}
        for name in staged
    ]  # fmt: skip
    attributes = {
        "name": "pair", "description": "x", "schema": "public", "first_month": JANUARY, "owners": ["team:data"],
        "sources": sources, "tables": [*tables, devices],
    }  # fmt: skip
    folder = tmp_path / "stars" / "pair"
    (folder / "sql").mkdir(parents=True)
    (folder / "defs.yaml").write_text(
        yaml.safe_dump({"type": "scx_pipeline.StarSchema", "attributes": attributes})
    )
    (folder / "sql" / "devices.sql").write_text("SELECT device, d AS n, b, at FROM readings\n")
    load_env.compiled = load_star(folder)
    return load_env


def put_readings(load_env: LoadEnv, name: str, rows: Sequence[str]) -> None:
    load_env.put_key(f"readings/2023/01/{name}.csv", "\n".join(["device,d,b,at", *rows, ""]).encode())


def put_note(load_env: LoadEnv) -> None:
    load_env.put_key("notes/2023/01/a.csv", b"n,at\n1,2023-01-05 10:00:00\n")


def test_a_load_of_one_source_leaves_the_month_due_for_changes_of_the_other(two_sources: LoadEnv) -> None:
    put_readings(two_sources, "a", ["a,1.0,true,2023-01-05 10:00:00"])
    put_note(two_sources)
    two_sources.load(JANUARY)
    assert two_sources.changed() == []
    put_readings(two_sources, "a", ["a,2.0,true,2023-01-05 10:00:00"])
    two_sources.delete_key("notes/2023/01/a.csv")
    two_sources.load(JANUARY, tables={"readings"})
    assert two_sources.table("devices", "n") == [(2,)]
    assert two_sources.changed() == [JANUARY]
    two_sources.load_changed()
    assert two_sources.table("notes", "n") == []


def test_the_latest_row_is_that_of_the_values_as_stored_however_it_is_loaded(
    two_sources: LoadEnv, tmp_path: Path
) -> None:
    ties = [f"a,{value},2023-01-05 10:00:00" for value in ("1.4,false", "1.3,true")]
    others = [f"b{number},5.0,true,2023-01-04 10:00:{number:02d}" for number in range(20)]
    put_note(two_sources)
    for order in (ties, ties[::-1]):
        put_readings(two_sources, "a", [*others, order[0]])
        two_sources.load(JANUARY)
        put_readings(two_sources, "c", order[1:])
        assert two_sources.load(JANUARY).is_addition
        added = sorted(two_sources.table("devices"))
        built = create_load_env(tmp_path / order[0][2:5], compiled=two_sources.compiled)
        built.bucket_url = two_sources.bucket_url
        built.load(JANUARY)
        assert added == sorted(built.table("devices"))
        assert ("a", 1, True) in added, "true is the later of two values, after both numbers became 1"
        two_sources.delete_key("readings/2023/01/c.csv")
