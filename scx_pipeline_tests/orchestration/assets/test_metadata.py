"""What each asset shows in the catalog: description, owners, columns, lineage, SQL and links.

Which assets there are is not tested here.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline_tests.support.load_env import scx_star
from scx_pipeline_tests.support.orchestration.dagster_env import TABLES, key

STAR = scx_star().star
DERIVED = [table.name for table in STAR.derived_tables]


def test_every_asset_has_group_description_and_kinds(specs: dict[str, dg.AssetSpec]) -> None:
    assert {spec.group_name for spec in specs.values()} == {"scx"}
    assert all(len(spec.description or "") > 20 for spec in specs.values())
    assert all(specs[name].kinds == {"duckdb", "table"} for name in TABLES)
    assert specs["auto_classify_jobs"].kinds == {"s3", "csv"}
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
    return column.name, column.type, column.description, rules.nullable, rules.unique


def _declared(table: Table, column: Column) -> tuple[object, ...]:
    unique = table.key == (column.name,)
    return column.name, column.type, column.description, column.nullable, unique


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
