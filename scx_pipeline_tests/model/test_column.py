"""Which column declarations are valid: names, types, field paths; and which file patterns."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from scx_pipeline.model.column import Column
from scx_pipeline.model.declaration import MAX_TEXT_BYTES
from scx_pipeline.model.source import FilePattern


@pytest.mark.parametrize(
    "kind",
    [
        *("smallint", "integer", "bigint", "double", "boolean", "date", "timestamp"),
        *("varchar(1)", "varchar(65535)", "varchar(max)", "decimal(5,2)", "decimal(38, 38)", "decimal(1,0)"),
    ],
)
def test_every_neutral_type_is_accepted(kind: str) -> None:
    assert Column(name="c", type=kind, description="").type == kind


@pytest.mark.parametrize(
    "kind",
    [
        *("int", "text", "float", "timestamptz", "INTEGER", "integer\n", "integer; DROP TABLE users"),
        *("varchar", "varchar(0)", "varchar(-1)", "varchar(MAX)", "varchar(65536)", "varchar(99999)"),
        *("decimal", "decimal(5)", "decimal(39,2)", "decimal(2,5)", "decimal(0,0)"),
    ],
)
def test_a_type_that_some_engine_lacks_is_rejected(kind: str) -> None:
    with pytest.raises(ValidationError):
        Column(name="c", type=kind, description="")


def test_max_bytes_is_the_size_of_a_text_column() -> None:
    sizes = {
        kind: Column(name="c", type=kind, description="").max_bytes
        for kind in ("varchar(16)", "varchar(max)", "integer")
    }
    assert sizes == {"varchar(16)": 16, "varchar(max)": MAX_TEXT_BYTES, "integer": None}


@pytest.mark.parametrize(
    "name", ["Job", "job id", "1st", "job-id", 'a"b', "größe", "", "a" * 64, "x; DROP TABLE users --", "a\n"]
)
def test_a_name_that_needs_quoting_is_rejected(name: str) -> None:
    with pytest.raises(ValidationError, match="is not a valid name on every engine"):
        Column(name=name, type="integer", description="")


@pytest.mark.parametrize("days", [-1, 29])
def test_lateness_and_earliness_are_limited_to_four_weeks(days: int) -> None:
    with pytest.raises(ValidationError):
        FilePattern(pattern="*", allowed_lateness_days=days)
    with pytest.raises(ValidationError):
        FilePattern(pattern="*", allowed_earliness_days=days)


def test_declarations_are_immutable() -> None:
    column = Column(name="c", type="integer", description="")
    with pytest.raises(ValidationError):
        column.nullable = False  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "path"),
    [(None, ("c",)), ("userId", ("userId",)), ("home.city", ("home", "city")), ("$.it's a", ("$", "it's a"))],
)
def test_the_field_path_defaults_to_the_name_of_the_column(field: str | None, path: tuple[str, ...]) -> None:
    assert Column(name="c", type="integer", description="", field=field).field_path == path
