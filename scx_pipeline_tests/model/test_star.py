"""Months and spans, and what a declared fact may and may not be.
How a mistake in a YAML file is told, with its line, is tested with `declare`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scx_pipeline.model.calendar import Month, MonthRange, contiguous_ranges
from scx_pipeline.model.column import Column
from scx_pipeline.model.fact import MAX_TEXT_BYTES
from scx_pipeline.model.source import FilePattern
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table

months = st.builds(Month, st.integers(1900, 2100), st.integers(1, 12))


@pytest.mark.parametrize(
    "text", ["2021-4", "2021-13", "2021-00", "0000-01", "21-04", "2021/04", "2021-04-01", "April", ""]
)
def test_what_is_no_month_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a month: write it as YYYY-MM, for example 2021-04"):
        Month.parse(text)


@given(months)
def test_a_month_reads_back_as_it_is_written(month: Month) -> None:
    assert Month.parse(str(month)) == month


@given(months, st.integers(-600, 600))
def test_shifting_there_and_back_is_the_same_month(month: Month, distance: int) -> None:
    assert month.shift(distance).shift(-distance) == month


@given(months, st.integers(-600, 600))
def test_shifting_keeps_the_order(month: Month, distance: int) -> None:
    assert (month < month.shift(distance)) == (distance > 0)
    assert (month == month.shift(distance)) == (distance == 0)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))
def test_a_moment_lies_within_its_month(moment: datetime) -> None:
    month = Month.of(moment)
    assert month.start <= moment < month.end
    assert month.end - timedelta(microseconds=1) < month.shift(1).start == month.end


def test_a_year_ends_and_a_leap_day_belongs_to_february() -> None:
    assert Month(2020, 12).shift(1) == Month(2021, 1)
    assert Month(2021, 1).shift(-1) == Month(2020, 12)
    assert Month(2024, 2).end - Month(2024, 2).start == timedelta(days=29)


def test_the_current_month_is_utcs() -> None:
    before, current, after = datetime.now(UTC), Month.current(), datetime.now(UTC)
    assert current in (Month.of(before), Month.of(after))


def test_months_sort_by_time_not_by_text() -> None:
    assert sorted([Month(2021, 1), Month(2020, 12), Month(2020, 2)]) == [
        Month(2020, 2),
        Month(2020, 12),
        Month(2021, 1),
    ]


@given(months, st.integers(0, 60))
def test_a_span_holds_its_months_and_no_others(first: Month, length: int) -> None:
    span = MonthRange(first, first.shift(length))
    assert span.months == [first.shift(distance) for distance in range(length + 1)]
    assert all(month in span for month in span.months)
    assert first.shift(-1) not in span
    assert first.shift(length + 1) not in span
    assert (span.start, span.end) == (first.start, first.shift(length + 1).start)


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ends \(2020-12\) before it begins \(2021-01\)"):
        MonthRange(Month(2021, 1), Month(2020, 12))


def test_a_span_is_shown_by_its_ends() -> None:
    assert str(MonthRange(Month(2021, 1), Month(2021, 3))) == "2021-01…2021-03"
    assert str(MonthRange(Month(2021, 1), Month(2021, 1))) == "2021-01"


@given(st.lists(months, max_size=40))
def test_contiguous_spans_cover_exactly_these_months(chosen: list[Month]) -> None:
    spans = contiguous_ranges(chosen)
    assert [month for span in spans for month in span] == sorted(set(chosen))


@given(st.lists(months, max_size=40))
def test_contiguous_spans_are_as_few_as_can_be(chosen: list[Month]) -> None:
    spans = contiguous_ranges(chosen)
    assert all(one.last.shift(1) < other.first for one, other in pairwise(spans))


def test_a_star_holds_the_months_from_its_first_to_the_current(scx_star: Star) -> None:
    assert scx_star.months(Month(2020, 3)).months == [Month(2020, 1), Month(2020, 2), Month(2020, 3)]
    assert scx_star.months(Month(2019, 1)).months == [Month(2020, 1)], (
        "a clock that is behind leaves the first month"
    )


@pytest.mark.parametrize(
    "kind",
    [
        *("smallint", "integer", "bigint", "double", "boolean", "date", "timestamp"),
        *("varchar(1)", "varchar(65535)", "varchar(max)", "decimal(5,2)", "decimal(38, 38)", "decimal(1,0)"),
    ],
)
def test_neutral_types(kind: str) -> None:
    assert Column(name="c", type=kind, description="").type == kind


@pytest.mark.parametrize(
    "kind",
    [
        *("int", "text", "float", "timestamptz", "INTEGER", "integer\n", "integer; DROP TABLE users"),
        *("varchar", "varchar(0)", "varchar(-1)", "varchar(MAX)", "varchar(65536)", "varchar(99999)"),
        *("decimal", "decimal(5)", "decimal(39,2)", "decimal(2,5)", "decimal(0,0)"),
    ],
)
def test_a_type_that_not_every_engine_has_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError):
        Column(name="c", type=kind, description="")


def test_the_bytes_that_a_text_may_take() -> None:
    sizes = {
        kind: Column(name="c", type=kind, description="").max_bytes
        for kind in ("varchar(16)", "varchar(max)", "integer")
    }
    assert sizes == {"varchar(16)": 16, "varchar(max)": MAX_TEXT_BYTES, "integer": None}


@pytest.mark.parametrize(
    "name", ["Job", "job id", "1st", "job-id", 'a"b', "größe", "", "a" * 64, "x; DROP TABLE users --", "a\n"]
)
def test_a_name_that_would_need_quoting_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is not a name that every engine takes"):
        Column(name=name, type="integer", description="")


@pytest.mark.parametrize("days", [-1, 29])
def test_rows_spill_over_by_at_most_four_weeks(days: int) -> None:
    with pytest.raises(ValidationError):
        FilePattern(pattern="*", allowed_lateness_days=days)
    with pytest.raises(ValidationError):
        FilePattern(pattern="*", allowed_earliness_days=days)


def test_facts_cannot_be_changed() -> None:
    column = Column(name="c", type="integer", description="")
    with pytest.raises(ValidationError):
        column.nullable = False  # type: ignore[misc]


AT = {"name": "at", "type": "timestamp", "nullable": False, "description": ""}
ID = {"name": "id", "type": "integer", "nullable": False, "description": ""}


def table(**facts: Any) -> Table:
    """A fact kept by month, but for what is said otherwise."""
    sound = {
        "name": "t",
        "role": "fact",
        "description": "",
        "event_time": "at",
        "key": ["id"],
        "columns": [ID, AT],
    }
    return Table.model_validate({**sound, **facts})


JSON = {"role": "staging", "source": "files"}


def test_a_table_is_kept_by_month_by_key_or_whole() -> None:
    tables = [
        table(),
        table(columns=[ID], sequence_by=["changed_at"]),
        table(columns=[ID], sequence_by=["changed_at"], event_time=None),
        table(**JSON, event_time=None, key=[]),
    ]
    assert [(item.partitioned, item.unpartitioned) for item in tables] == [
        (True, False),
        (False, False),
        (False, True),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("field", "path"),
    [(None, ("c",)), ("userId", ("userId",)), ("home.city", ("home", "city")), ("$.it's a", ("$", "it's a"))],
)
def test_a_column_is_read_from_the_field_of_its_name_unless_it_says_otherwise(
    field: str | None, path: tuple[str, ...]
) -> None:
    assert Column(name="c", type="integer", description="", field=field).field_path == path


@pytest.mark.parametrize("field", ["", ".", "a.", ".a", "a..b", 'a"b', "a\\b", "*", "a.b*"])
def test_what_leads_to_no_field_is_refused_with_an_example(field: str) -> None:
    with pytest.raises(ValidationError, match=r"is not the way to a field: write its name, or outer\.inner"):
        Column(name="c", type="integer", description="", field=field)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"columns": [ID, ID, AT]}, "column id is declared twice"),
        ({"key": ["other"]}, "key column other is not among its columns"),
        ({"columns": [{**ID, "nullable": True}, AT]}, "key column id must be declared nullable: false"),
        ({"role": "staging"}, "a staging table names its source, and no other table does"),
        ({"source": "files"}, "a staging table names its source, and no other table does"),
        ({"event_time": "id"}, "event_time id must be a timestamp"),
        ({"columns": [ID]}, "so it is kept by key and needs key and sequence_by"),
        (
            {"columns": [ID], "sequence_by": ["at"], "key": []},
            "so it is kept by key and needs key and sequence_by",
        ),
        ({"columns": []}, "at least 1 item"),
        ({"event_time": None}, "it has no event_time, so it is made whole and needs key and sequence_by"),
        (
            {"event_time": None, "sequence_by": ["at"], "key": []},
            "it has no event_time, so it is made whole and needs key and sequence_by",
        ),
        ({"columns": [{**ID, "unit": "seconds"}, AT]}, "id has a unit, and must be a timestamp"),
        ({"columns": [ID, {**AT, "unit": "seconds"}]}, "at says how it is read from a source"),
        ({"columns": [{**ID, "field": "no"}, AT]}, "id says how it is read from a source"),
        ({"columns": [ID, {**AT, "unit": "hours"}]}, "Input should be 'seconds', 'milliseconds' or 'micro"),
        (
            {**JSON, "columns": [{**ID, "field": "at"}, {**AT, "field": "at.unix"}]},
            "id takes the field at as a value, and at looks into it",
        ),
        (
            {**JSON, "columns": [{**ID, "field": "no.a.b"}, {**AT, "field": "no.a"}]},
            "at takes the field no.a as a value, and id looks into it",
        ),
        (
            {**JSON, "columns": [{**ID, "field": "at.no"}, AT]},
            "at takes the field at as a value, and id looks into it",
        ),
        (
            {**JSON, "columns": [{**ID, "field": "at"}, AT]},
            "id and at take the same field, or two that differ in case only",
        ),
        (
            {**JSON, "columns": [{**ID, "field": "no.Ts"}, {**AT, "field": "no.tS"}]},
            "id and at take the same field, or two that differ in case only",
        ),
        (
            {**JSON, "columns": [{**ID, "field": "no.id"}, {**AT, "field": "No.at"}]},
            "at looks into No, another column into no",
        ),
        (
            {**JSON, "columns": [{**ID, "field": "no"}, {**AT, "field": "No.at"}]},
            "id takes the field No as a value, and at looks into it",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        table(**facts)


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
SOUND = {
    "name": "x",
    "description": "",
    "schema": "public",
    "first_month": "2021-01",
    "sources": [SOURCE],
    "tables": [STAGING],
}
WHOLE_SOURCE = {**SOURCE, "event_time": None}
KEYED = {
    "name": "d",
    "role": "dimension",
    "description": "",
    "event_time": "at",
    "key": ["id"],
    "columns": [ID, AT],
}


@pytest.fixture
def scx_star() -> Star:
    return Star.model_validate({**SOUND, "first_month": "2020-01"})


def facts_with(**staging: Any) -> dict[str, Any]:
    return {"tables": [{**STAGING, **staging}, KEYED]}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"tables": [STAGING, STAGING]}, "two tables or two sources have the same name"),
        ({"sources": [SOURCE | {"name": STAGING["name"]}]}, "a source and a table are both named"),
        ({"sources": [SOURCE, SOURCE]}, "two tables or two sources have the same name"),
        (facts_with(source="elsewhere"), "source elsewhere is not declared"),
        ({"sources": [{**SOURCE, "event_time": "id"}]}, "event_time must be id, as in source files"),
        (facts_with(columns=[ID, {**AT, "nullable": True}]), "at must be declared nullable: false"),
        (
            facts_with(sequence_by=["changed_at"]),
            "sequence_by names changed_at, which is none of its columns",
        ),
        (
            facts_with(columns=[{**ID, "references": "nowhere"}, AT]),
            "id references nowhere, which is no table",
        ),
        (
            facts_with(columns=[{**ID, "references": "s"}, AT], key=["id", "at"]),
            "whose key is not a single column",
        ),
        (facts_with(equal_row_count="nowhere"), "equal_row_count names nowhere, which is no table"),
        ({"first_month": "2021"}, "is not a month"),
        ({"sources": [WHOLE_SOURCE]}, "s: event_time must be left out, as in source files"),
        (facts_with(event_time=None), "s: event_time must be at, as in source files"),
        (
            facts_with(columns=[ID], key=["id"], sequence_by=["id"]),
            "s: event_time must be at, as in source files",
        ),
        (
            {"tables": [{**STAGING, "columns": [{**ID, "field": "no"}, AT]}]},
            "id names a field, which a csv source has none of: its header names columns",
        ),
        (
            {
                "sources": [{**SOURCE, "format": "parquet"}],
                **facts_with(columns=[{**ID, "field": "a.b"}, AT]),
            },
            "id looks into a.b; of a parquet source, only whole columns are read",
        ),
        (
            {"sources": [{**SOURCE, "unit_files": "reject"}]},
            "unit_files",
        ),
        (
            {"sources": [{**SOURCE, "on_invalid_file": "reject"}]},
            "source files: on_invalid_file is for parquet sources; others reject single records",
        ),
        (
            {"sources": [{**SOURCE, "files_per_day": 24}]},
            "source files: files_per_day needs file patterns that name the {day}",
        ),
        (
            facts_with(columns=[ID, {**AT, "days_after": {"column": "id", "least": 1, "most": 2}}]),
            "at is so many days after id, and both must be dates or timestamps of the table",
        ),
        (
            facts_with(columns=[ID, {**AT, "days_after": {"column": "no", "least": 1, "most": 2}}]),
            "at is so many days after no, and both must be dates or timestamps of the table",
        ),
        (
            {
                "sources": [SOURCE, {**WHOLE_SOURCE, "name": "songs"}],
                "tables": [
                    KEYED,
                    {
                        **STAGING,
                        "source": "songs",
                        "event_time": None,
                        "columns": [{**ID, "references": "d"}, AT],
                    },
                ],
            },
            "s: it has no months, and id references d, which has",
        ),
    ],
)
def test_a_star_whose_facts_do_not_fit_together_is_refused(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Star.model_validate({**SOUND, **facts})


def test_a_star_tells_its_tables_without_months_from_the_others() -> None:
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
        {**KEYED, **unpartitioned, "name": "v", "columns": [ID, {**AT, "references": "v"}]},
        {**KEYED, "columns": [{**ID, "references": "v"}, AT]},
    ]
    sources = [SOURCE, {**WHOLE_SOURCE, "name": "songs", "format": "json", "null_values": ["", "n/a"]}]
    star = Star.model_validate({**SOUND, "sources": sources, "tables": tables})
    assert [item.name for item in star.unpartitioned] == ["w", "v"]
    assert [item.name for item in star.monthly] == ["s", "d"]
    assert star.source("songs").null_values == ("", "n/a")
    assert star.source("files").null_values == ()
