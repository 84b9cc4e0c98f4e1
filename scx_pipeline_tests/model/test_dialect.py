"""Which dialects are valid, one case or more per rule."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from scx_pipeline.model.dialect import Dialect

VIOLATIONS: list[tuple[dict[str, Any], str]] = [
    ({"delimiter": "||"}, "'||' is not one ASCII character other than a line end"),
    ({"delimiter": "\n"}, "is not one ASCII character other than a line end"),
    ({"quote": "«"}, "is not one ASCII character"),
    ({"encoding": "win-1252x"}, "unknown encoding 'win-1252x': use utf-8"),
    ({"encoding": "base64"}, "unknown encoding 'base64'"),
    ({"delimiter": ";", "quote": ";"}, "delimiter, quote and escape must be different"),
    ({"escape": '"'}, "leave escape out if a quote is written twice"),
    ({"quote": "", "escape": "\\"}, "escape needs a quote"),
    ({"comment": ",x"}, "comment must not begin with the delimiter"),
    ({"decimal": ",", "thousands": ","}, "thousands and decimal must be different"),
    ({"true_values": ["ja"]}, "true_values and false_values must be declared together"),
    ({"true_values": ["1"], "false_values": ["0", "1"]}, "'1' is both a true and a false value"),
    ({"date_format": "dd.mm.yyyy"}, "'dd.mm.yyyy' lacks a year"),
    ({"date_format": "%d.%m"}, "lacks a year (%Y or %y), a month"),
    ({"timestamp_format": "%Y-%m-%d %Q"}, "unknown directive %Q; known: %Y"),
    ({"encoding": "undefined"}, "unknown encoding 'undefined'"),
    ({"date_format": "%Y-%m-%d %H:%M"}, "has %H, but a date has no time of day"),
    ({"timestamp_format": "%Y-%m-%d %y"}, "has more than one of %Y, %y: leave one"),
    ({"timestamp_format": "%Y-%m-%d %I:%M"}, "%I (12-hour clock) and %p (AM or PM) must be used together"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "message"), VIOLATIONS, ids=[str(item) for item, _ in VIOLATIONS])
def test_a_dialect_that_cannot_be_read_is_refused_with_its_reason(
    declared: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        Dialect.model_validate(declared)


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "utf_8"])
def test_every_name_of_utf8_is_known(name: str) -> None:
    assert Dialect(encoding=name).is_utf8
    assert not Dialect(encoding="cp1252").is_utf8
