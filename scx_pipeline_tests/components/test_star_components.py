"""The components StarSchema and StarOperations in a folder of definitions: templates, lines of errors, resources, the registry.

The command `dg` is not run here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.core.package_entry import get_package_objects_in_module
from dagster.components.testing import create_defs_folder_sandbox
from dagster_shared.yaml_utils.sample_yaml import generate_sample_yaml
from jsonschema import Draft202012Validator

import scx_pipeline
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.errors import DeclarationError
from scx_pipeline_tests.components.conftest import MONTH, scaffold

TEMPLATE_VARS = """\
import dagster as dg

@dg.template_var
def least() -> int:
    return 7

@dg.template_var
def place(context: dg.ComponentLoadContext) -> str:
    return context.path.name
"""


def load_folder(*declarations: Path) -> dg.Definitions:
    """Return the definitions of a project whose folder has these components."""
    with create_defs_folder_sandbox() as sandbox:
        for declaration in declarations:
            for path in declaration.parent.rglob("*"):
                if path.is_file():
                    target = (
                        sandbox.defs_folder_path
                        / declaration.parent.name
                        / path.relative_to(declaration.parent)
                    )
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())
        with sandbox.build_all_defs() as definitions:
            definitions.get_repository_def()
            return definitions


def replaced(declaration: Path, old: str, new: str) -> Path:
    text = declaration.read_text()
    assert old in text
    declaration.write_text(text.replace(old, new, 1))
    return declaration


def line_of(declaration: Path, text: str) -> int:
    return next(at for at, line in enumerate(declaration.read_text().splitlines(), 1) if text in line)


def table_name(definitions: dg.Definitions) -> Any:
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["shop", "sales"]))
    return node.metadata["dagster/table_name"]


def test_two_stars_share_their_resources_and_load(shop: Path, tmp_path: Path) -> None:
    definitions = load_folder(shop, scaffold(tmp_path / "stars" / "orders"))
    assert definitions.resolve_job_def("shop").execute_in_process(partition_key=MONTH).success
    assert {"warehouse", "bucket", "lake"} <= (definitions.resources or {}).keys()


def test_operations_cover_the_stars_of_their_folder(shop: Path, tmp_path: Path) -> None:
    operations = tmp_path / "stars" / "operations" / "defs.yaml"
    operations.parent.mkdir()
    operations.write_text("type: scx_pipeline.StarOperations\n")
    repository = load_folder(shop, operations).get_repository_def()
    assert {item.name for item in repository.sensor_defs} == {"shop_objects", "alerts"}
    assert "maintain" in repository.job_names


def test_templates_are_evaluated_in_dagster_and_without_it(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(shop, "schema: shop", 'schema: "{{ env.SHOP_SCHEMA }}"')
    replaced(shop, "key: [event_id]", "key: [event_id]\n      min_rows: \"{{ env('SHOP_ROWS', '3') }}\"")
    monkeypatch.setenv("SHOP_SCHEMA", "sold")
    assert table_name(load_folder(shop)) == "dev.sold.sales"
    star = load_star(shop.parent).star
    assert (star.schema_name, star.tables[0].min_rows) == ("sold", 3)


def test_template_variables_of_a_module_are_evaluated_in_dagster_and_without_it(shop: Path) -> None:
    (shop.parent / "template_vars.py").write_text(TEMPLATE_VARS)
    shop.write_text("template_vars_module: .template_vars\n" + shop.read_text())
    replaced(shop, "first_month:", 'fresh_within_days: "{{ least }}"\n  first_month:')
    load_folder(shop)
    assert load_star(shop.parent).star.fresh_within_days == 7


def test_template_variables_that_need_dagster_are_known_in_dagster_only(shop: Path) -> None:
    (shop.parent / "template_vars.py").write_text(TEMPLATE_VARS)
    shop.write_text("template_vars_module: .template_vars\n" + shop.read_text())
    replaced(shop, "schema: shop", 'schema: "{{ place }}"')
    assert table_name(load_folder(shop)) == "dev.shop.sales"
    with pytest.raises(DeclarationError, match=f"line {line_of(shop, 'schema:')}: .*'place' is undefined"):
        load_star(shop.parent)


def test_a_missing_module_of_template_variables_is_reported(shop: Path) -> None:
    shop.write_text("template_vars_module: .absent\n" + shop.read_text())
    replaced(shop, "schema: shop", 'schema: "{{ place }}"')
    message = f"{shop.parent}: template_vars_module .absent cannot be imported (FileNotFoundError: "
    with pytest.raises(DeclarationError, match=re.escape(message)):
        load_star(shop.parent)


def test_an_unset_variable_is_reported_with_its_line(shop: Path) -> None:
    replaced(shop, "prefix: shop/", 'prefix: "{{ env.SHOP_PREFIX }}/"')
    message = f"defs.yaml, line {line_of(shop, 'prefix:')}: {{{{ env.SHOP_PREFIX }}}}/: the environment variable SHOP_PREFIX is not set"
    with pytest.raises(DeclarationError, match=re.escape(message)):
        load_star(shop.parent)
    assert message in str(cause(shop))


def test_an_evaluated_value_that_is_invalid_is_reported_with_its_line(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_FORMAT", "xml")
    replaced(shop, "format: csv", 'format: "{{ env.SHOP_FORMAT }}"')
    with pytest.raises(DeclarationError, match=f"line {line_of(shop, 'format:')}: sources.0.format: "):
        load_star(shop.parent)


def test_an_invalid_template_is_reported_with_its_line(shop: Path) -> None:
    replaced(shop, "prefix: shop/", 'prefix: "{{ env. }}/"')
    with pytest.raises(DeclarationError, match=f"line {line_of(shop, 'prefix:')}: .*expected name"):
        load_star(shop.parent)


def cause(declaration: Path) -> BaseException:
    """Return the error that Dagster reports a component with."""
    with pytest.raises(Exception) as error:  # noqa: PT011
        load_folder(declaration)
    found: BaseException = error.value
    while found.__cause__:
        found = found.__cause__
    return found


def test_a_mistake_is_reported_by_dagster_with_file_and_line(shop: Path) -> None:
    replaced(shop, "role: fact", "roll: fact")
    assert f"defs.yaml, line {line_of(shop, 'roll:')}: unknown key 'roll'; did you mean 'role'?" in str(
        cause(shop)
    )


def test_a_star_links_to_its_declaration_once(shop: Path) -> None:
    node = load_folder(shop).resolve_asset_graph().get(dg.AssetKey(["shop", "sales"]))
    references = node.metadata["dagster/code_references"].code_references
    assert [Path(item.file_path).name for item in references] == ["sales.sql", "defs.yaml"]


def test_the_registry_finds_the_components_with_what_they_produce() -> None:
    found: dict[str, Any] = dict(get_package_objects_in_module(scx_pipeline))
    assert found.keys() == {"StarSchema", "StarOperations"}
    spec = found["StarSchema"].get_spec()
    assert spec.description
    assert set(spec.produces) == {"asset", "asset_check", "job", "schedule", "sensor", "resource"}


def test_the_schema_accepts_templates_and_refuses_mistakes(shop: Path) -> None:
    import yaml

    schema = scx_pipeline.StarSchema.get_model_cls().model_json_schema()
    assert generate_sample_yaml("scx_pipeline.StarSchema", schema)
    validator, attributes = Draft202012Validator(schema), yaml.safe_load(shop.read_text())["attributes"]
    assert not list(validator.iter_errors({**attributes, "fresh_within_days": "{{ env.DAYS }}"}))
    assert list(validator.iter_errors({**attributes, "fresh_within_days": "many"}))
    assert list(validator.iter_errors({**attributes, "no_such_key": 1}))


@pytest.mark.parametrize("name", ["Shop", "pg_shop", "1st"])
def test_scaffolding_refuses_a_name_that_no_star_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeclarationError, match="a star is named as its folder: "):
        scaffold(tmp_path / name)


@pytest.mark.parametrize(("scaffold_format", "append"), [("python", False), ("yaml", True)])
def test_scaffolding_refuses_python_and_a_second_star_in_a_file(
    tmp_path: Path, scaffold_format: str, append: bool
) -> None:
    with pytest.raises(DeclarationError, match="name a new folder"):
        scaffold(tmp_path / "shop", scaffold_format, append)
