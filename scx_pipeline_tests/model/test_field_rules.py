"""Which fields the columns of a staging table may read, by the format of their source."""

from __future__ import annotations

from typing import Any

import pytest

from scx_pipeline.model.field_rules import check_fields
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table

AT = {"name": "at", "type": "timestamp", "nullable": False, "description": ""}
ID = {"name": "id", "type": "integer", "nullable": False, "description": ""}


def violations(format: str, of_id: Any, of_at: Any) -> list[str]:
    """The broken rules of a staging table with these additions to its two columns."""
    files = [{"pattern": "*"}]
    source = {
        "name": "files",
        "description": "",
        "format": format,
        "prefix": "x/",
        "files": files,
        "event_time": "at",
    }
    declared = {"name": "t", "role": "staging", "source": "files", "description": "", "event_time": "at"}
    columns = [{**ID, **of_id}, {**AT, **of_at}]
    return list(
        check_fields(Table.model_validate({**declared, "columns": columns}), Source.model_validate(source))
    )


@pytest.mark.parametrize("format", ["json_lines", "json", "parquet"])
@pytest.mark.parametrize(
    ("of_id", "of_at", "violation"),
    [
        ("at", "at.unix", "id reads the field at as a value, and at reads inside it"),
        ("no.a.b", "no.a", "at reads the field no.a as a value, and id reads inside it"),
        ("at.no", "at", "at reads the field at as a value, and id reads inside it"),
        ("at", "at", "id and at read the same field (letter case is ignored)"),
        ("no.Ts", "no.tS", "id and at read the same field (letter case is ignored)"),
        ("no.id", "No.at", "at reads inside No, and another column inside no: use one spelling"),
        ("no", "No.at", "id reads the field No as a value, and at reads inside it"),
    ],
)
def test_no_field_is_read_twice_or_both_as_a_value_and_an_object(
    format: str,
    of_id: str,
    of_at: str,
    violation: str,
) -> None:
    assert violation in violations(format, {"field": of_id}, {"field": of_at})


@pytest.mark.parametrize("field", [".", "a.", ".a", "a..b", 'a"b', "a\\b", "*", "a.b*"])
def test_a_malformed_field_path_is_rejected_with_an_example(field: str) -> None:
    [found] = violations("json_lines", {"field": field}, {})[:1]
    assert "is not a field path: write the field's name, or outer.inner" in found


def test_a_field_of_a_csv_source_is_any_text_of_its_header() -> None:
    assert violations("csv", {"field": 'Nr. "a.b" *'}, {"field": "nr"}) == []
    assert violations("csv", {"field": "at"}, {}) == ["id and at read the same field"]


def test_only_csv_sources_have_forms_of_times() -> None:
    assert violations("csv", {}, {"timestamp_format": "%d.%m.%Y"}) == []
    [found] = violations("json", {}, {"timestamp_format": "%d.%m.%Y"})
    assert found == "at has a date_format or timestamp_format, which only csv sources have"
