"""A star of one staging table without months, made by a test for the files it writes.
What is in the files, and what must come of it, is in the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from scx_pipeline.engine.declare import load_star
from scx_pipeline.engine.load import Loader, LoadReport
from scx_pipeline.engine.objects import open_bucket
from scx_pipeline.warehouse.base import Limits, open_warehouse

LIMITS = Limits(memory="400MB", threads=2, lock_timeout=20)


@dataclass
class OneTable:
    """Files under `in/`, and the table `t.t` that is read from them; `columns` are types by name, all nullable."""

    home: Path
    warehouse_url: str
    columns: Mapping[str, str]
    source: Mapping[str, Any] = field(default_factory=dict)

    def load(self, **files: bytes) -> LoadReport:
        """Write files, whose names have __ for each dot, and load all that there are."""
        for name, content in files.items():
            path = self.home / "bucket" / "in" / name.replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        bucket = open_bucket((self.home / "bucket").as_uri())
        return Loader(
            load_star(self._declared()), bucket, open_warehouse(self.warehouse_url, LIMITS)
        ).refresh()

    def rows(self, sql: str = "SELECT * FROM t.t ORDER BY ALL") -> list[tuple[Any, ...]]:
        with open_warehouse(self.warehouse_url, LIMITS).reading() as session:
            return session.rows(sql)

    def rejected(self) -> list[tuple[Any, ...]]:
        """Key, line, column, reason and raw text of the rejected rows."""
        return self.rows(
            'SELECT object_key, line, column_name, reason, "raw" FROM scx_pipeline.rejected_rows ORDER BY object_key, line'
        )

    def _declared(self) -> Path:
        folder = self.home / "stars" / "t"
        folder.mkdir(parents=True, exist_ok=True)
        columns = [
            {"name": name, "type": kind, "description": "A column."} for name, kind in self.columns.items()
        ]
        source = {
            "name": "files", "description": "Files.", "format": "csv", "prefix": "in/", "files": [{"pattern": "**"}],
            "reject_limit": 1.0, **self.source,
        }  # fmt: skip
        table = {
            "name": "t",
            "role": "staging",
            "description": "A table.",
            "source": "files",
            "columns": columns,
        }
        star = {
            "name": "t", "description": "A star.", "schema": "t", "first_month": "2015-01", "owners": ["team:data"],
            "sources": [source], "tables": [table],
        }  # fmt: skip
        (folder / "defs.yaml").write_text(
            yaml.safe_dump({"type": "scx_pipeline.components.StarSchema", "attributes": star})
        )
        return folder
