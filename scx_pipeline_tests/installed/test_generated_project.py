"""A project that `create-dagster` generates, with a scaffolded star: Dagster's own commands find, check and load it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.installed.conftest import Installation

MONTH = f"{Month.current().year}-01"
FILE = f"event_id,customer,country,amount,happened_at\n1,ada,GB,10.00,{MONTH}-05 10:00:00\n2,bob,,2.50,{MONTH}-06 10:00:00\n"
OWN_ASSET = """\
import dagster as dg
import scx_pipeline


@dg.asset(deps=[dg.AssetKey(["shop", "sales"])])
def total(warehouse: scx_pipeline.WarehouseResource) -> dg.MaterializeResult:
    frame = warehouse.query("SELECT SUM(amount) AS total FROM shop.sales")
    return dg.MaterializeResult(metadata={"total": float(frame["total"][0])})
"""
ONE_CALL = """\
from pathlib import Path

import dagster as dg
import scx_pipeline


@dg.definitions
def defs() -> dg.Definitions:
    own = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(own, scx_pipeline.build_defs(stars=Path(__file__).parents[2] / "stars"))
"""


@pytest.fixture
def project(installation: Installation, tmp_path: Path) -> Path:
    """Generate an empty project, with one file in its bucket."""
    installation.run("create-dagster", "project", "--no-uv-sync", "own", folder=tmp_path)
    bucket = tmp_path / "own" / ".scx" / "bucket" / "shop"
    bucket.mkdir(parents=True)
    (bucket / f"{MONTH}.csv").write_text(FILE, "utf-8")
    return tmp_path / "own"


def dg(installation: Installation, project: Path, *arguments: str) -> str:
    path = f"{project / 'src'}:{installation.site}"
    return installation.run("dg", *arguments, folder=project, PYTHONPATH=path)


def scaffold(installation: Installation, project: Path) -> None:
    dg(installation, project, "scaffold", "defs", "scx_pipeline.StarSchema", "shop")


def listed(installation: Installation, project: Path) -> dict[str, set[str]]:
    found = json.loads(dg(installation, project, "list", "defs", "--json"))
    return {
        "assets": {item["asset_key"] for item in found["assets"]},
        **{kind: {item["name"] for item in found[kind]} for kind in ("jobs", "schedules", "sensors")},
    }


def sold(project: Path) -> object:
    with duckdb.connect(str(project / ".scx" / "dev.duckdb"), read_only=True) as con:
        return con.execute("SELECT count(*), sum(amount)::DOUBLE FROM shop.sales").fetchone()


def test_a_scaffolded_star_is_checked_listed_and_loaded_by_dg(
    installation: Installation, project: Path
) -> None:
    components = json.loads(dg(installation, project, "list", "components", "--json"))
    assert {"scx_pipeline.StarSchema", "scx_pipeline.StarOperations"} <= {
        item["key"] for item in components["items"]
    }
    scaffold(installation, project)
    dg(installation, project, "scaffold", "defs", "scx_pipeline.StarOperations", "operations")
    (project / "src" / "own" / "defs" / "own_assets.py").write_text(OWN_ASSET)
    assert "validated successfully" in dg(installation, project, "check", "yaml")
    assert "All definitions loaded successfully" in dg(installation, project, "check", "defs")
    found = listed(installation, project)
    assert {"shop/events", "shop/staging_events", "shop/customers", "shop/sales", "total"} <= found["assets"]
    assert {"shop", "maintain"} <= found["jobs"]
    assert found["schedules"] == {"shop_hourly", "maintain_weekly"}
    assert found["sensors"] == {"shop_objects", "alerts"}
    dg(installation, project, "launch", "--job", "shop", "--partition", MONTH)
    assert sold(project) == (2, 12.5)
    dg(installation, project, "launch", "--assets", "total")
    status = json.loads(installation.run("scx", "status", "--json", folder=project, SCX_STARS="src/own/defs"))
    assert list(status["stars"]) == ["shop"]


def test_one_call_brings_the_stars_of_a_folder_into_a_project(
    installation: Installation, project: Path
) -> None:
    scaffold(installation, project)
    (project / "stars").mkdir()
    (project / "src" / "own" / "defs" / "shop").rename(project / "stars" / "shop")
    (project / "src" / "own" / "definitions.py").write_text(ONE_CALL)
    (project / "src" / "own" / "defs" / "own_assets.py").write_text(OWN_ASSET)
    dg(installation, project, "launch", "--job", "shop", "--partition", MONTH)
    assert sold(project) == (2, 12.5)
    assert {"total", "shop/sales"} <= listed(installation, project)["assets"]
