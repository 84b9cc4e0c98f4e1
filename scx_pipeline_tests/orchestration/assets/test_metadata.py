"""What each asset shows in the catalog: description, owners, columns, lineage, SQL and links.

Which assets there are is not tested here.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.table_assets import source_assets
from scx_pipeline.settings import read_settings
from scx_pipeline_tests.support.load_env import scx_star
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.orchestration.dagster_env import (
    TABLES,
    DagsterEnv,
    key,
    put_march_and_april,
    specs_of,
)

PASSWORD = "hunter2-is-no-secret"
STAR = scx_star().star
DERIVED = [table.name for table in STAR.derived_tables]


def test_every_asset_has_group_description_and_kinds(specs: dict[str, dg.AssetSpec]) -> None:
    assert {spec.group_name for spec in specs.values()} == {"scx"}
    assert all(len(spec.description or "") > 20 for spec in specs.values())
    assert all(specs[name].kinds == {"duckdb", "table"} for name in TABLES)
    assert specs["auto_classify_jobs"].kinds == {"file", "csv"}
    assert specs["report"].kinds == {"pandas", "matplotlib"}


def test_tables_and_report_have_the_owners_of_their_star(specs: dict[str, dg.AssetSpec]) -> None:
    assert STAR.owners
    assert all(list(specs[name].owners) == list(STAR.owners) for name in [*TABLES, "report"])


def test_the_description_of_the_report_lists_its_queries(specs: dict[str, dg.AssetSpec]) -> None:
    description = specs["report"].description or ""
    assert all(query.title in description for query in STAR.queries)


@pytest.mark.parametrize("table", STAR.tables, ids=lambda table: table.name)
def test_a_table_shows_its_qualified_name_and_its_role(specs: dict[str, dg.AssetSpec], table: Table) -> None:
    spec = specs[table.name]
    assert spec.metadata["dagster/table_name"] == f"dev.public.{table.name}"
    assert spec.tags["role"] == table.role
    assert spec.metadata["key"] == ", ".join(table.key)
    assert spec.code_version == scx_star().code_version(table)


@pytest.mark.parametrize("table", STAR.tables, ids=lambda table: table.name)
def test_a_table_shows_every_column_with_type_description_and_constraints(
    specs: dict[str, dg.AssetSpec], table: Table
) -> None:
    schema = specs[table.name].metadata["dagster/column_schema"]
    assert [_shown(column) for column in schema.columns] == [
        _declared(table, column) for column in table.columns
    ]
    assert all(column.description for column in schema.columns)


def _shown(column: dg.TableColumn) -> tuple[object, ...]:
    rules = column.constraints
    assert rules is not None
    return column.name, column.type, column.description, rules.nullable, rules.unique, len(rules.other)


def _declared(table: Table, column: Column) -> tuple[object, ...]:
    unique = table.key == (column.name,)
    others = (column.accepted_values, column.range, column.days_after, column.references)
    return column.name, column.type, column.description, column.nullable, unique, sum(map(bool, others))


def test_the_other_constraints_of_a_column_are_short_texts(project: dg.Definitions) -> None:
    found = {
        f"{spec.key.path[-1]}.{column.name}": column.constraints.other
        for spec in project.resolve_all_asset_specs()
        for column in getattr(spec.metadata.get("dagster/column_schema"), "columns", ())
        if column.constraints.other
    }
    assert found["staging_cleansed_logs.switch_xy"] == ["one of 0, 1"]
    assert found["auto_classification_logs.user_id"] == ["references users"]
    assert found["staging_cleansed_logs.plan_id"] == ["from 0 to 1000"]
    assert found["data_sample.product_expire"] == ["87 to 89 days after create_at"]
    assert {len(texts) for texts in found.values()} == {1}


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_table_shows_the_lineage_of_each_column(specs: dict[str, dg.AssetSpec], name: str) -> None:
    lineage = specs[name].metadata["dagster/column_lineage"].deps_by_column
    assert list(lineage) == list(STAR.table(name).column_names)
    known = {(key(table.name), column.name): True for table in STAR.tables for column in table.columns}
    sources = [(dep.asset_key, dep.column_name) for deps in lineage.values() for dep in deps]
    assert sources
    assert all(source in known for source in sources)


def test_lineage_is_also_a_narrow_markdown_table(specs: dict[str, dg.AssetSpec]) -> None:
    lines = specs["time"].metadata["lineage"].value.splitlines()
    assert lines[0] == "| column | from staging_cleansed_logs |"
    assert lines[1] == "|---|---|"
    assert "| `weekday` | `created_at` |" in lines
    assert len(lines) == 2 + len(STAR.table("time").columns)


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_table_shows_its_sql_and_links_to_its_file_and_declaration(
    specs: dict[str, dg.AssetSpec], name: str
) -> None:
    metadata = specs[name].metadata
    sql = scx_star().tables[name]
    assert sql.text in metadata["sql"].value
    linked = [Path(item.file_path) for item in metadata["dagster/code_references"].code_references]
    assert linked == [sql.path, scx_star().folder / "defs.yaml"]
    assert all(path.is_file() for path in linked)


def test_sources_and_lake_tables_show_where_their_files_are(
    project: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = {spec.key.to_user_string(): spec for spec in project.resolve_all_asset_specs()}
    bucket = read_settings().bucket
    assert specs["songplays/log_data"].metadata["dagster/uri"] == f"{bucket}/log_data/"
    assert specs["songplays/lake/users"].metadata["dagster/uri"] == "s3://scx-lake/stars/songplays/users"
    assert "dagster/uri" not in specs["songplays/users"].metadata


def test_the_url_of_a_bucket_is_shown_without_its_password_and_with_its_kind() -> None:
    for url, shown, store in (
        ("s3://scx-raw/logs/", "s3://scx-raw/logs/log_data/", "s3"),
        (f"https://scx:{PASSWORD}@host/raw", "https://scx:***@host/raw/log_data/", "file"),
    ):
        source, *_ = source_assets(music_star(), url)
        assert isinstance(source, dg.SourceAsset)
        assert source.metadata["dagster/uri"].value == shown
        assert source.tags.keys() == {f"dagster/kind/{store}", "dagster/kind/json_lines"}


def test_facts_have_the_freshness_policy_of_their_star(project: dg.Definitions) -> None:
    policies = {
        spec.key.to_user_string(): spec.freshness_policy
        for spec in project.resolve_all_asset_specs()
        if spec.freshness_policy
    }
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=45))
    assert policies == {"scx/auto_classification_logs": policy, "songplays/songplays": policy}


def test_every_materialization_has_the_columns_and_their_lineage(dagster_env: DagsterEnv) -> None:
    """Catalogues and OpenLineage read them there, also those of a table that was not selected."""
    put_march_and_april(dagster_env)
    assert dagster_env.run("2021-03", "2021-04", ["staging_cleansed_logs"]).success
    for table in STAR.tables:
        spec = specs_of(dagster_env.definitions, "scx")[table.name]
        found = dagster_env.materializations(table.name)
        assert found.keys() == {"2021-03", "2021-04"}
        for metadata in found.values():
            assert metadata["dagster/column_schema"] == spec.metadata["dagster/column_schema"]
            assert metadata.get("dagster/column_lineage") == spec.metadata.get("dagster/column_lineage")
