"""`scx_pipeline.build_defs`, merged with the definitions of a project.

No project is generated here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

import scx_pipeline
from scx_pipeline.errors import DeclarationError, SettingsError, WarehouseError
from scx_pipeline_tests.components.conftest import FILE, MONTH, scaffold

EXPORT, TOTAL = dg.AssetKey(["shop_system", "export"]), dg.AssetKey("total")


def merged(shop: Path, home: Path) -> dg.Definitions:
    """Return the definitions of a project with an asset before the star and one after it."""

    @dg.asset(key=EXPORT)
    def export() -> None:
        (home / "bucket" / "shop" / f"{MONTH}.csv").write_text(FILE + f"2,bob,,2.50,{MONTH}-06 10:00:00\n")

    @dg.asset(key=TOTAL, deps=[dg.AssetKey(["shop", "sales"])])
    def total(warehouse: scx_pipeline.WarehouseResource) -> dg.MaterializeResult[None]:
        frame = warehouse.query("SELECT SUM(amount) AS total FROM shop.sales")
        return dg.MaterializeResult(metadata={"total": float(frame["total"][0])})

    own = dg.Definitions(
        assets=[export, total],
        jobs=[dg.define_asset_job("export_job", [EXPORT]), dg.define_asset_job("total_job", [TOTAL])],
        resources={"mine": dg.ResourceDefinition.none_resource()},
        executor=dg.multiprocess_executor,
    )
    return dg.Definitions.merge(own, scx_pipeline.build_defs(stars=shop.parents[1]))


def run(definitions: dg.Definitions, job: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
    result = definitions.resolve_job_def(job).execute_in_process(partition_key=partition)
    assert result.success
    return result


def test_assets_before_and_after_a_star_are_connected_and_share_its_warehouse(shop: Path, home: Path) -> None:
    shop.write_text(shop.read_text().replace("format: csv", "format: csv\n      deps: [shop_system/export]"))
    definitions = merged(shop, home)
    graph = definitions.resolve_asset_graph()
    assert EXPORT in graph.get(dg.AssetKey(["shop", "staging_events"])).parent_keys
    assert TOTAL in graph.get(dg.AssetKey(["shop", "sales"])).child_keys
    run(definitions, "export_job")
    run(definitions, "shop", MONTH)
    [event] = run(definitions, "total_job").get_asset_materialization_events()
    assert event.materialization.metadata["total"].value == 12.5


def test_the_stars_keep_their_executor_and_the_project_its_own(shop: Path, home: Path) -> None:
    definitions = merged(shop, home)
    assert definitions.resolve_job_def("shop").executor_def.name == "in_process"
    assert definitions.resolve_job_def("total_job").executor_def.name == "multiprocess"


def test_alerts_maintenance_and_resources_come_with_the_stars(shop: Path) -> None:
    repository = scx_pipeline.build_defs(str(shop.parents[1])).get_repository_def()
    assert {item.name for item in repository.sensor_defs} == {"shop_objects", "alerts"}
    assert {item.name for item in repository.schedule_defs} == {"shop_hourly", "maintain_weekly"}
    assert {"shop", "maintain"} <= set(repository.job_names)
    assert {"warehouse", "bucket", "lake"} <= repository.get_top_level_resources().keys()


def test_maintenance_covers_the_projects_stars(shop: Path) -> None:
    definitions = scx_pipeline.build_defs(shop.parents[1])
    run(definitions, "shop", MONTH)
    result = run(definitions, "maintain")
    [output] = [event for event in result.all_events if event.is_successful_output]
    assert "shop" in output.step_output_data.metadata


def test_a_query_before_the_first_load_says_what_to_do(shop: Path) -> None:
    warehouse = scx_pipeline.build_defs(shop.parents[1]).resources["warehouse"]  # type: ignore[index]
    with pytest.raises(WarehouseError, match=r"is empty: run `scx load`"):
        warehouse.query("SELECT 1")


def test_several_folders_of_stars_are_checked_against_each_other(shop: Path, tmp_path: Path) -> None:
    other = scaffold(tmp_path / "more" / "orders")
    definitions = scx_pipeline.build_defs([shop.parents[1], other.parents[1]])
    assert {"shop", "orders"} <= set(definitions.get_repository_def().job_names)
    other.write_text(other.read_text().replace("schema: orders", "schema: shop"))
    with pytest.raises(DeclarationError, match=r"the table shop.staging_events is also declared in"):
        scx_pipeline.build_defs([shop.parents[1], other.parents[1]])


@pytest.mark.usefixtures("home")
def test_a_missing_folder_is_reported() -> None:
    with pytest.raises(SettingsError, match="the folder of stars /no/such/folder does not exist"):
        scx_pipeline.build_defs("/no/such/folder")


def test_importing_the_package_imports_nothing_else() -> None:
    script = "import sys, scx_pipeline; print([name for name in sys.modules if name.startswith(('dagster', 'pydantic'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'scx_pipeline' has no attribute 'StarShema'"):
        _ = scx_pipeline.StarShema  # type: ignore[attr-defined]
