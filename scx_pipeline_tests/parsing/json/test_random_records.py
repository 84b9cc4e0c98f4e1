"""Random JSON records: each is accepted or rejected, as an independent judge in Python does.

Only the types of one table are covered.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta
from typing import Any

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline_tests.parsing.json.json_records import RECORDS, SOURCE, TABLE, read

NAMES = {"firstName": "text", "count": "integer", "ratio": "double", "at": "count", "is_new": "boolean"}
CONTENTS = st.sampled_from(
    ["null", "0", "1", "7", "-3", "2.5", "7.0", "1e3", "1e400", "true", "false", "NaN", "Infinity", "[]", '["x"]', "{}",
     '{"city": "Ulm"}', '{"city": 7}', '{"city": null}', '{"city": "a", "city": "b"}', '{"CITY": "a"}', '{"city": "a", "zip": [1]}',
     '""', '"7"', '"-1"', '" 7 "', '"2.5"', '"abc"', '"NaN"', '"true"', '"1541105830796"', '"ü"', '"\\u0000"', '"\\\\u0000"', '"[1]"', '"nine bytes"']
)  # fmt: skip
MEMBERS = st.tuples(st.sampled_from([*NAMES, "home", "home", "more", "Count"]), CONTENTS)


@given(st.lists(MEMBERS, max_size=8))
def test_records_are_accepted_or_rejected_as_by_a_reference_implementation(
    con: duckdb.DuckDBPyConnection, members: list[tuple[str, str]]
) -> None:
    text = "{" + ", ".join(f'"{name}": {content}' for name, content in members) + "}"
    try:
        assert read(con, text) == judged(members)
    except Bad:
        assert len(read(con, text)) == 2, text


@given(
    st.one_of(
        st.lists(MEMBERS, max_size=5).map(
            lambda members: "{" + ", ".join(f'"{name}": {content}' for name, content in members) + "}"
        ),
        CONTENTS,
        st.text(st.sampled_from('{}[]",:01a\\ '), max_size=10),
    )
)
def test_a_record_is_rejected_with_the_first_rule_that_it_breaks_or_accepted(
    con: duckdb.DuckDBPyConnection, text: str
) -> None:
    fields = FieldMap(SOURCE, TABLE)
    conditions = [condition for condition, _, _ in fields.rules]
    [(bad, *each)] = con.execute(
        f"SELECT {' OR '.join(conditions)}, {', '.join(conditions)} FROM ({fields.select_typed(RECORDS)})",
        [text],
    ).fetchall()
    assert bad is not None, "the record would be accepted, whatever its values are"
    assert bad == (True in each)
    result = read(con, text)
    assert (len(result) == 2) == bad
    assert not bad or result == fields.rules[each.index(True)][1:]


class Bad(Exception):
    """The judge refuses the record."""


def judged(members: list[tuple[str, str]]) -> tuple[Any, ...]:
    """The values that a record must give, by rules written down independently: what each type takes, and no field twice."""
    if len({name for name, _ in members}) < len(members):
        raise Bad
    record = dict(members)
    city = None
    if record.get("home", "null") != "null":
        pairs = json.loads(record["home"], object_pairs_hook=lambda pairs: ["object", *pairs])
        if not isinstance(pairs, list) or pairs[:1] != ["object"] or len(dict(pairs[1:])) < len(pairs) - 1:
            raise Bad
        city = dict(pairs[1:]).get("city")
    return *(taken(kind, record.get(name, "null")) for name, kind in NAMES.items()), taken(
        "text", json.dumps(city)
    )


def taken(kind: str, content: str) -> object:
    found = json.loads(content)
    if found is None or found == "":
        return None
    text = found if isinstance(found, str) else content
    if kind == "text":
        if not isinstance(found, str) or "\0" in found or len(found.encode()) > 8:
            raise Bad
        return found
    if kind == "boolean":
        if text not in ("true", "false", "0", "1"):
            raise Bad
        return text in ("true", "1")
    if kind == "integer":
        if not re.fullmatch(r" *-?\d+ *", text) or not -(2**31) <= int(text) < 2**31:
            raise Bad
        return int(text)
    number = r" *-?\d+(\.\d+)? *" if isinstance(found, str) else r"-?\d+(\.\d+)?(e\d+)?"
    if not re.fullmatch(number, text) or math.isinf(float(text)):
        raise Bad
    duration = timedelta(milliseconds=float(text)) if abs(float(text)) < 1e15 else None
    return (
        float(text) if kind == "double" else datetime(1970, 1, 1) + duration if duration is not None else None
    )
