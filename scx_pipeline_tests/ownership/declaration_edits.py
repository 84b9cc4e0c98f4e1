"""Edits of the declaration of a star, for tests of what a load does about them.

Loading does not belong here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline_tests.support.load_env import APRIL, FACTS, STAGING

Facts = dict[str, Any]


def edited_declaration(folder: Path, edit: Callable[[Facts, dict[str, Facts], Path], None]) -> CompiledStar:
    """Return the star after an edit of its declaration, its tables' declarations by name, and its folder."""
    copy = folder / "declared" / str(len(list((folder / "declared").glob("*")))) / "scx"
    shutil.copytree(stars_folder() / "scx", copy)
    facts = yaml.safe_load((copy / "defs.yaml").read_text())["attributes"]
    edit(facts, {table["name"]: table for table in facts["tables"]}, copy)
    (copy / "defs.yaml").write_text(yaml.safe_dump({"attributes": facts}))
    return load_star(copy)


def widen_plan_id(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    next(item for item in tables["users"]["columns"] if item["name"] == "plan_id")["type"] = "bigint"


def extend_key(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    tables[FACTS]["key"] = ["job_id", "created_at"]


def add_column(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    tables[FACTS]["columns"].append({"name": "updated_at", "type": "timestamp", "description": "New."})
    path = folder / "sql" / f"{FACTS}.sql"
    path.write_text(path.read_text().replace("upload_time\n", "upload_time,\n    updated_at\n"))


def change_event_time(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    add_column(facts, tables, folder)
    tables[FACTS]["event_time"] = "updated_at"


def remove_projects(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["tables"].remove(tables["projects"])
    next(item for item in tables[FACTS]["columns"] if item["name"] == "project_id").pop("references")
    (folder / "sql" / "projects.sql").unlink()


def rename_projects(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    tables["projects"]["name"] = "sites"
    next(item for item in tables[FACTS]["columns"] if item["name"] == "project_id")["references"] = "sites"
    (folder / "sql" / "projects.sql").rename(folder / "sql" / "sites.sql")


def move_schema(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["schema"] = "dwh"


def start_later(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["first_month"] = APRIL


def keep_declaration(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    """The unchanged star of the project."""


CHANGES = [
    widen_plan_id,
    extend_key,
    keep_declaration,
    add_column,
    change_event_time,
    remove_projects,
    rename_projects,
    move_schema,
    start_later,
    keep_declaration,
]


def rename_source(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    facts["sources"][0]["name"] = tables[STAGING]["source"] = "logs"


def allow_jobs_in_two_months(facts: Facts, tables: dict[str, Facts], folder: Path) -> None:
    for name in (FACTS, "staging_cleansed_logs"):
        tables[name]["key"] = ["job_id", "created_at"]


def with_type(compiled: CompiledStar, table: str, column: str, kind: str) -> CompiledStar:
    """Return the star with another type of a column."""
    columns = [
        item.model_copy(update={"type": kind}) if item.name == column else item
        for item in compiled.star.table(table).columns
    ]
    changed = compiled.star.table(table).model_copy(update={"columns": tuple(columns)})
    tables = tuple(changed if item.name == table else item for item in compiled.star.tables)
    return replace(compiled, star=compiled.star.model_copy(update={"tables": tables}))
