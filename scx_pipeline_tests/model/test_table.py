"""Which table declarations are valid, one case or more per rule.

Rules that involve several tables do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from scx_pipeline.model.table import (
    TABLE_RULES,
    Table,
    check_column_names,
    check_days_after,
    check_event_time,
    check_folders,
    check_key,
    check_physical_layout,
    check_role,
    check_sequence,
    check_source_options,
)

AT = {"name": "at", "type": "timestamp", "nullable": False, "description": ""}
ID = {"name": "id", "type": "integer", "nullable": False, "description": ""}


def table(**declaration: Any) -> Table:
    """A fact that is partitioned by month, with these changes to its declaration."""
    valid = {
        "name": "t",
        "role": "fact",
        "description": "",
        "event_time": "at",
        "key": ["id"],
        "columns": [ID, AT],
    }
    return Table.model_validate({**valid, **declaration})


JSON = {"role": "staging", "source": "files"}
ONE_ROW_PER_KEY = "event_time at is not among its columns, so it holds one row per key"
WITHOUT_EVENT_TIME = "it has no event_time, so it is unpartitioned"
TableRule = Callable[[Table], Iterator[str]]


def days_after(column: str) -> dict[str, Any]:
    return {"columns": [ID, {**AT, "days_after": {"column": column, "least": 1, "most": 2}}]}


def test_a_table_is_partitioned_by_month_keyed_or_unpartitioned() -> None:
    tables = [
        table(),
        table(columns=[ID], sequence_by=["changed_at"]),
        table(columns=[ID], sequence_by=["changed_at"], event_time=None),
        table(**JSON, event_time=None, key=[]),
    ]
    assert [(item.is_partitioned, item.is_unpartitioned) for item in tables] == [
        (True, False),
        (False, False),
        (False, True),
        (False, True),
    ]


VIOLATIONS: dict[TableRule, list[tuple[dict[str, Any], str]]] = {
    check_column_names: [({"columns": [ID, ID, AT]}, "column id is declared twice")],
    check_key: [
        ({"key": ["other"]}, "key column other is not among its columns"),
        ({"columns": [{**ID, "nullable": True}, AT]}, "key column id must be declared nullable: false"),
    ],
    check_physical_layout: [
        ({"sort": ["other"]}, "dist or sort names other, which is not one of its columns"),
        ({"dist": "other"}, "dist or sort names other, which is not one of its columns"),
    ],
    check_role: [
        ({"role": "staging"}, "a staging table must name its source or sources, and no other table may"),
        ({"source": "files"}, "a staging table must name its source or sources, and no other table may"),
        ({"sources": ["files"]}, "a staging table must name its source or sources, and no other table may"),
        ({**JSON, "sources": ["more"]}, "it has both source and sources: list all of them under sources"),
        ({"role": "staging", "sources": ["a", "b", "a"]}, "sources names a source twice"),
    ],
    check_event_time: [({"event_time": "id"}, "event_time id must be a timestamp")],
    check_sequence: [
        ({"columns": [ID]}, f"{ONE_ROW_PER_KEY} and needs key and sequence_by"),
        ({"columns": [ID], "sequence_by": ["at"], "key": []}, f"{ONE_ROW_PER_KEY} and needs key and sequence_by"),
        ({"event_time": None}, f"{WITHOUT_EVENT_TIME} and needs key and sequence_by"),
        ({"event_time": None, "sequence_by": ["at"], "key": []}, f"{WITHOUT_EVENT_TIME} and needs key and sequence_by"),
    ],
    check_days_after: [
        (days_after("id"), "days_after relates at to id: both must be dates or timestamps of the table"),
        (days_after("no"), "days_after relates at to no: both must be dates or timestamps of the table"),
    ],
    check_source_options: [
        ({"columns": [{**ID, "unit": "seconds"}, AT]}, "id has a unit, so it must be a timestamp"),
        ({"columns": [ID, {**AT, "unit": "seconds"}]}, "at says how it is read from a source, which only columns of staging tables can do"),
        ({"columns": [{**ID, "date_format": "%Y%m%d"}, AT]}, "id has a date_format, so it must be a date without a unit"),
        ({**JSON, "columns": [ID, {**AT, "unit": "seconds", "timestamp_format": "%Y%m%d"}]}, "at has a timestamp_format, so it must be a timestamp without a unit"),
        ({"columns": [{**ID, "field": "no"}, AT]}, "id says how it is read from a source, which only columns of staging tables can do"),
    ],
    check_folders: [
        ({"partition_by": ["id"]}, "it is partitioned by month, so partition_by must start with year, month"),
        ({"partition_by": ["year", "month", "other"]}, "partition_by names other, which is not one of its columns or is named twice"),
        ({"partition_by": ["year", "month", "at"]}, "partition_by names at of type timestamp: use a whole number, a date or a text"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        pytest.param(*case, id=f"{rule.__name__}-{number}")
        for rule, cases in VIOLATIONS.items()
        for number, case in enumerate(cases, 1)
    ],
)
def test_a_table_that_violates_a_rule_is_rejected(declaration: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(f"table t: {message}")):
        table(**declaration)


def test_every_rule_of_tables_is_tested() -> None:
    assert set(VIOLATIONS) == set(TABLE_RULES)


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"columns": []}, "at least 1 item"),
        ({"columns": [ID, {**AT, "unit": "hours"}]}, "Input should be 'seconds', 'milliseconds' or 'micro"),
    ],
)
def test_a_table_with_a_malformed_value_is_rejected(declaration: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        table(**declaration)
