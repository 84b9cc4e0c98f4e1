"""A star whose staging table is fed by two sources: visits as JSON lines and as CSV, in the same folders.

No server is started here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline_tests.support.load_env import LoadEnv, compress

JANUARY, FEBRUARY = "2023-01", "2023-02"
Visit = Mapping[str, object]
SOURCES = {"visits_json": "json_lines", "visits_csv": "csv"}
COLUMNS = {"id": "integer", "page": "varchar(16)", "seconds": "integer", "at": "timestamp"}
PAGES = "SELECT page, seconds, at, id FROM visits WHERE page IS NOT NULL\n"


def visits_star(folder: Path, **by_source: Mapping[str, object]) -> CompiledStar:
    """Return the star with the staging table `visits` and the dimension `pages`; its sources may have further keys."""
    nullable = {"page", "seconds"}
    columns = [
        {"name": name, "type": kind, "nullable": name in nullable, "description": "x"}
        for name, kind in COLUMNS.items()
    ]
    sources = [
        {"name": name, "description": "x", "format": kind, "prefix": "visits/", "event_time": "at", "reject_limit": 0.5,
         "null_values": [""], "files": [{"pattern": f"{{year}}/{{month}}/*.{kind.split('_')[0]}*", "allowed_lateness_days": 1}]}
        | by_source.get(name, {})
        for name, kind in SOURCES.items()
    ]  # fmt: skip
    visits = {
        "name": "visits", "role": "staging", "description": "x", "sources": [*SOURCES], "key": ["id"], "event_time": "at",
        "sequence_by": ["at"], "columns": columns,
    }  # fmt: skip
    pages = {
        "name": "pages", "role": "dimension", "description": "x", "key": ["page"], "event_time": "at",
        "sequence_by": ["at", "id"], "min_rows": 0,
        "columns": [{**columns[1], "nullable": False}, columns[2]],
    }  # fmt: skip
    attributes = {
        "name": "traffic", "description": "x", "schema": "public", "first_month": JANUARY, "owners": ["team:data"],
        "sources": sources, "tables": [visits, pages],
    }  # fmt: skip
    home = folder / "stars" / "traffic"
    (home / "sql").mkdir(parents=True)
    component = {"type": "scx_pipeline.components.StarSchema", "attributes": attributes}
    (home / "defs.yaml").write_text(yaml.safe_dump(component))
    (home / "sql" / "pages.sql").write_text(PAGES)
    return load_star(home)


@cache
def plain_star() -> CompiledStar:
    """Return the star without further keys."""
    with tempfile.TemporaryDirectory(prefix="scx-visits-") as folder:
        return visits_star(Path(folder))


@dataclass
class VisitsEnv(LoadEnv):
    """A load environment of the star."""

    compiled: CompiledStar = field(default_factory=plain_star)

    def put_visits(self, name: str, visits: Sequence[Visit]) -> None:
        write = as_csv if ".csv" in name else as_json
        self.put_key(f"visits/{name}", compress(write(visits), name))


def visit(number: int, day: str, page: str = "home", seconds: object = 1) -> Visit:
    return {"id": number, "page": page, "seconds": seconds, "at": f"{day} 10:00:00"}


def as_json(visits: Sequence[Visit]) -> bytes:
    return "".join(f"{json.dumps(item)}\n" for item in visits).encode()


def as_csv(visits: Sequence[Visit]) -> bytes:
    rows = [",".join("" if item[name] is None else str(item[name]) for name in COLUMNS) for item in visits]
    return "\n".join([",".join(COLUMNS), *rows, ""]).encode()
