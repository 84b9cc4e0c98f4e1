"""Which stars are valid: tables, sources and references that fit together.

SQL files are not part of these declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import (
    STAR_RULES,
    Star,
    check_declared_sources,
    check_formats,
    check_names,
    check_prefixes,
    check_references,
    check_rejected_shares,
    check_reserved_columns,
    check_row_counts,
    check_staging_event_times,
    check_staging_sequences,
    check_urls,
)

StarRule = Callable[[Star], Iterator[str]]
AT = {"name": "at", "type": "timestamp", "nullable": False, "description": ""}
ID = {"name": "id", "type": "integer", "nullable": False, "description": ""}


def test_the_months_of_a_star_run_from_its_first_month_to_the_current_one(scx_star: Star) -> None:
    assert scx_star.months(Month(2020, 3)).months == [Month(2020, 1), Month(2020, 2), Month(2020, 3)]
    assert scx_star.months(Month(2019, 1)).months == [Month(2020, 1)], (
        "a clock that is behind still leaves the first month"
    )


SOURCE = {
    "name": "files",
    "description": "",
    "format": "csv",
    "prefix": "",
    "files": [{"pattern": "*"}],
    "event_time": "at",
}


STAGING = {
    "name": "s",
    "role": "staging",
    "source": "files",
    "description": "",
    "event_time": "at",
    "columns": [ID, AT],
}


VALID = {
    "name": "x",
    "description": "",
    "schema": "public",
    "first_month": "2021-01",
    "sources": [SOURCE],
    "tables": [STAGING],
}


UNPARTITIONED_SOURCE = {**SOURCE, "event_time": None}
DIMENSION = {
    "name": "d",
    "role": "dimension",
    "description": "",
    "event_time": "at",
    "key": ["id"],
    "columns": [ID, AT],
}


@pytest.fixture
def scx_star() -> Star:
    return Star.model_validate({**VALID, "first_month": "2020-01"})


def staging_with(**declaration: Any) -> dict[str, Any]:
    """A star with these changes to the declaration of its staging table."""
    return {"tables": [{**STAGING, **declaration}, DIMENSION]}


VIOLATIONS: dict[StarRule, list[tuple[dict[str, Any], str]]] = {
    check_names: [
        ({"tables": [STAGING, STAGING]}, "two tables or two sources have the same name"),
        ({"sources": [SOURCE, SOURCE]}, "two tables or two sources have the same name"),
        ({"sources": [SOURCE | {"name": STAGING["name"]}]}, "a source and a table are both named"),
        (
            {**staging_with(name="report"), "queries": [{"name": "q", "title": ""}]},
            "no table or source can be named report: the star's report has that name",
        ),
    ],
    check_reserved_columns: [
        (staging_with(columns=[ID, AT, {**ID, "name": "_object"}]), "a column cannot be named _object: the pipeline uses that name")
    ],
    check_declared_sources: [
        (staging_with(source="elsewhere"), "source elsewhere is not declared"),
        (staging_with(source=None, sources=["files", "elsewhere"]), "source elsewhere is not declared"),
    ],
    check_prefixes: [
        ({"sources": [SOURCE | {"prefix": "logs"}]}, "source files: prefix is 'logs': write logs/, or an empty text"),
        ({"sources": [SOURCE | {"prefix": "/logs/"}]}, "prefix is '/logs/': write logs/"),
        ({"sources": [SOURCE | {"prefix": "/"}]}, "prefix is '/': write an empty text for the bucket's root"),
    ],
    check_urls: [
        ({"sources": [SOURCE | {"url": "https://host/x"}]}, "source files: url is 'https://host/x': write s3://bucket"),
        ({"sources": [SOURCE | {"anonymous": True}]}, "region, endpoint and anonymous need a url that begins with s3://"),
        ({"sources": [SOURCE | {"url": "file:///x", "region": "eu-west-1"}]}, "need a url that begins with s3://"),
        ({"sources": [SOURCE | {"url": "s3://b", "endpoint": "host:9000"}]}, "endpoint must be a URL"),
    ],
    check_rejected_shares: [
        (
            {"sources": [SOURCE | {"reject_limit": 0.05, "warn_above": 0.1}]},
            "source files: warn_above is 0.1, but must be at most the reject_limit, 0.05",
        ),
        ({"sources": [SOURCE | {"warn_above": 0.1}]}, "must be at most the reject_limit, 0"),
    ],
    check_staging_event_times: [
        ({"sources": [{**SOURCE, "event_time": "id"}]}, "event_time must be id, as in source files"),
        (staging_with(columns=[ID, {**AT, "nullable": True}]), "at must be declared nullable: false"),
        ({"sources": [UNPARTITIONED_SOURCE]}, "s: event_time must be left out, as in source files"),
        (staging_with(event_time=None), "s: event_time must be at, as in source files"),
        (
            {
                "sources": [SOURCE, {**UNPARTITIONED_SOURCE, "name": "more"}],
                "tables": [{**STAGING, "source": None, "sources": ["files", "more"]}],
            },
            "s: event_time must be left out, as in source more",
        ),
        (staging_with(columns=[ID], key=["id"], sequence_by=["id"]), "s: event_time must be at, as in source files"),
    ],
    check_staging_sequences: [
        (staging_with(sequence_by=["changed_at"]), "sequence_by names changed_at, which is not one of its columns")
    ],
    check_formats: [
        (
            {"sources": [{**SOURCE, "dialect": {"header": ["no", "at"]}}]},
            "table s: id reads id, which source files does not name in its header",
        ),
        (
            {"sources": [{**SOURCE, "format": "json", "dialect": {"delimiter": ";"}}]},
            "source files: only a csv source has a dialect",
        ),
        (
            {"sources": [{**SOURCE, "format": "parquet"}], **staging_with(columns=[{**ID, "field": "a.b"}, AT])},
            "id reads inside a.b, but nested fields of a parquet source cannot be read",
        ),
        ({"sources": [{**SOURCE, "files_per_day": 24}]}, "source files: files_per_day needs {day} in all file patterns"),
    ],
    check_references: [
        (staging_with(columns=[{**ID, "references": "nowhere"}, AT]), "id references nowhere, which is not a table"),
        (staging_with(columns=[{**ID, "references": "s"}, AT], key=["id", "at"]), "whose key is not a single column"),
        (
            {
                "sources": [SOURCE, {**UNPARTITIONED_SOURCE, "name": "songs"}],
                "tables": [
                    DIMENSION,
                    {**STAGING, "source": "songs", "event_time": None, "columns": [{**ID, "references": "d"}, AT]},
                ],
            },
            "s: id references d, but an unpartitioned table can reference only unpartitioned tables",
        ),
    ],
    check_row_counts: [(staging_with(equal_row_count="nowhere"), "equal_row_count names nowhere, which is not a table")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        pytest.param(*case, id=f"{rule.__name__}-{number}")
        for rule, cases in VIOLATIONS.items()
        for number, case in enumerate(cases, 1)
    ],
)
def test_a_star_that_violates_a_rule_is_rejected(declaration: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        Star.model_validate({**VALID, **declaration})


def test_every_rule_of_stars_is_tested() -> None:
    assert set(VIOLATIONS) == set(STAR_RULES)


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"first_month": "2021"}, "is not a month"),
        ({"sources": [{**SOURCE, "unit_files": "reject"}]}, "unit_files"),
    ],
)
def test_a_star_with_a_malformed_value_is_rejected(declaration: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Star.model_validate({**VALID, **declaration})


def test_a_star_separates_monthly_and_unpartitioned_tables() -> None:
    unpartitioned: dict[str, Any] = {"event_time": None, "key": ["id"], "sequence_by": ["at"]}
    tables = [
        STAGING,
        {
            **STAGING,
            "name": "w",
            "source": "songs",
            "event_time": None,
            "columns": [ID, {**AT, "unit": "seconds"}],
        },
        {**DIMENSION, **unpartitioned, "name": "v", "columns": [ID, {**AT, "references": "v"}]},
        {**DIMENSION, "columns": [{**ID, "references": "v"}, AT]},
    ]
    sources = [
        SOURCE,
        {**UNPARTITIONED_SOURCE, "name": "songs", "format": "json", "null_values": ["", "n/a"]},
    ]
    star = Star.model_validate({**VALID, "sources": sources, "tables": tables})
    assert [item.name for item in star.unpartitioned_tables] == ["w", "v"]
    assert [item.name for item in star.monthly_tables] == ["s", "d"]
    assert star.source("songs").null_values == ("", "n/a")
    assert star.source("files").null_values == ()
