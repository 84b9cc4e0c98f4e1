"""Which tables' JSON lines may be read by DuckDB's read_json: those whose fields are all on one level."""

from __future__ import annotations

import pytest

from scx_pipeline.model.table import Table
from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline_tests.fuzz.case import make_source

SOURCE = make_source("json_lines", (), None)


def table(*fields: str, nullable: bool = False, kind: str = "integer") -> Table:
    columns = [
        {"name": f"c{number}", "field": field, "type": kind, "nullable": nullable, "description": ""}
        for number, field in enumerate(fields)
    ]
    return Table.model_validate(
        {"name": "t", "role": "staging", "description": "", "source": "fuzz", "columns": columns}
    )


@pytest.mark.parametrize(
    ("declared", "quick"),
    [
        (table("a", "b"), True),
        (table("a.b"), False),
        (table("a", "b.c"), False),
        (table("a.b.c", "d"), False),
        (table("a", nullable=True), False),
        (table("a", kind="decimal(15,2)"), False),
        (table("a", kind="double"), True),
        (table("file_index"), False),
    ],
)
def test_fields_of_one_level_that_are_certain_to_be_read_alike_may_be_read_the_fast_way(
    declared: Table, quick: bool
) -> None:
    assert FieldMap(SOURCE, declared).can_read_uniform is quick
