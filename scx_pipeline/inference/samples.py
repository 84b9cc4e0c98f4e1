"""The texts of sample rows, as a table of a DuckDB connection, and questions about them.

What the texts mean is guessed elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.sql_text import string_literal

if TYPE_CHECKING:
    import duckdb

TEXT = "text"  # the kind of a field whose texts are not read as other types


@dataclass(frozen=True)
class Field:
    """A field of sample files: its name there, the name of its column, and the relation's column with its texts."""

    name: str
    column: str
    texts: str
    kind: str | None = None  # the type, where the format has one: number, boolean, or a neutral type


@dataclass(frozen=True)
class Samples:
    """The texts of sample rows, as a table of a DuckDB connection."""

    con: duckdb.DuckDBPyConnection
    table: str
    fields: Sequence[Field]
    rows: int

    def find(self, field: Field, condition: str) -> bool:
        """Return whether any text of the field meets a condition over `t`."""
        return bool(
            self.con.execute(
                f"SELECT 1 FROM (SELECT {field.texts} AS t FROM {self.table}) WHERE t IS NOT NULL AND {condition} LIMIT 1"
            ).fetchone()
        )

    def values(self, field: Field, count: int = 200) -> list[str]:
        """Return some of the field's texts."""
        found = self.con.execute(
            f"SELECT DISTINCT {field.texts} FROM {self.table} WHERE {field.texts} IS NOT NULL LIMIT {count}"
        ).fetchall()
        return [text for (text,) in found]


def with_nullability(samples: Samples, columns: Sequence[Column], null_values: Sequence[str]) -> list[Column]:
    """Return the columns, nullable or not as their texts are."""
    listed = ", ".join(map(string_literal, ("", *null_values)))
    counts = ", ".join(
        f"count(*) FILTER ({field.texts} IS NULL OR trim({field.texts}) IN ({listed}))"
        for field in samples.fields
    )
    [found] = samples.con.execute(f"SELECT {counts} FROM {samples.table}").fetchall()
    return [
        column.model_copy(update={"nullable": bool(nulls)})
        for column, nulls in zip(columns, found, strict=True)
    ]
