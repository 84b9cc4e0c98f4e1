"""A star of one staging table with any format and columns, and its load environment: for tests of single values.

No server is started here.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline_tests.support.load_env import LoadEnv
from scx_pipeline_tests.support.snapshots import Row

NAME = "small"
SCHEMA = "public"  # the loading role can write it
ColumnDeclaration = Mapping[str, object]
ID = {"name": "id", "type": "integer"}
REQUIRED_ID = {**ID, "nullable": False}
# Columns by their types.
NUMBERS = {"id": "integer", "n": "integer"}
TEXTS = {"id": "integer", "v": "varchar(max)"}


def small_star(
    folder: Path, kind: str, columns: Sequence[ColumnDeclaration], **source: object
) -> CompiledStar:
    """Return a star with one unpartitioned table of these columns, read from all files below `in/`."""
    described = [{"description": "x", **column} for column in columns]
    star = {
        "name": NAME,
        "description": "x",
        "schema": SCHEMA,
        "first_month": "2015-01",
        "owners": ["team:data"],
        "sources": [
            {"name": "src", "description": "x", "format": kind, "prefix": "in/", "files": [{"pattern": "**"}], "reject_limit": 1.0}
            | source
        ],
        "tables": [{"name": "t", "role": "staging", "description": "x", "source": "src", "columns": described}],
    }  # fmt: skip
    folder = folder / "stars" / NAME
    folder.mkdir(parents=True)
    component = {"type": "scx_pipeline.StarSchema", "attributes": star}
    (folder / "defs.yaml").write_text(yaml.safe_dump(component))
    return load_star(folder)


class SmallStarEnv(LoadEnv):
    """A load environment of such a star."""

    def put_files(self, **files: bytes) -> None:
        for name, content in files.items():
            self.put_key("in/" + name.replace("_", "."), content)

    def load(self, **files: bytes) -> LoadReport:  # type: ignore[override]
        """Write files, whose names have _ for each dot, and load everything."""
        self.put_files(**files)
        return self.load_all()

    def load_all(self) -> LoadReport:
        return self.loader().refresh()

    def values(self, what: str = "*") -> list[Row]:
        """Return the rows of the table."""
        return self.table("t", what)

    def rejects(self) -> list[Row]:
        """Return file, line, column and reason of the rejected rows."""
        return self.state("rejected_rows", "object_key, line, column_name, reason")

    def rejected(self) -> list[Row]:
        """Return the rejected rows with their raw text, ordered by file and line."""
        return self.rows(
            'SELECT object_key, line, column_name, reason, "raw" FROM scx_pipeline.rejected_rows ORDER BY object_key, line'
        )


StarFactory = Callable[..., SmallStarEnv]


def parquet(*columns: tuple[str, pa.Array]) -> bytes:
    """Return a Parquet file of these columns."""
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays([values for _, values in columns], names=[name for name, _ in columns]), buffer
    )
    return buffer.getvalue()
