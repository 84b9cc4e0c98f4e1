"""The elements of a JSON array: where each begins in the text, and its text.

What the elements hold is not tested here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.parsing.json.array_elements import element_starts, element_texts

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON_VALUES, max_size=5), st.sampled_from([None, 1]))
def test_the_elements_of_an_array_begin_where_a_parser_finds_them(
    items: list[Any], indent: int | None
) -> None:
    document = json.dumps(items, indent=indent)
    decoder = json.JSONDecoder()
    found = [decoder.raw_decode(document, start)[0] for start in element_starts(document)]
    assert found == items


@pytest.mark.parametrize(
    ("document", "starts"),
    [
        ("[]", []), ("[ ]", []), ("", []), ("7", []), ('"[a, b]"', []), ("null", []),
        ("[1]", [1]), ("[1,]", [1]), ("[ 1 , 2 ]", [2, 6]), ("[\n1\n,\n2\n]", [2, 6]), ("\t[1]", [2]),
        ("[[],[]]", [1, 4]), ("[[[1,2],[3]],{}]", [1, 13]), ('[{"a":[1,2]},3]', [1, 13]), ("[NaN,-Infinity,1e5]", [1, 5, 15]),
        ('["a,b","]"]', [1, 7]), ('["\\"],[",1]', [1, 9]), ('["\\\\",1]', [1, 6]), ('["{","["]', [1, 5]), ('["a\u2028b","🎉"]', [1, 7]),
        ('[{"a":"}"},{"b":"]"}]', [1, 11]), ("[true,false,null]", [1, 6, 12]),
    ],
)  # fmt: skip
def test_elements_begin_after_a_bracket_or_comma_of_the_array_itself(
    document: str, starts: list[int]
) -> None:
    assert list(element_starts(document)) == starts


@given(
    st.lists(st.tuples(JSON_VALUES, st.sampled_from(["", " ", "\n", " \t\r\n"]), st.sampled_from(["", " "]))),
    st.sampled_from(["", "\n ", " "]),
    st.booleans(),
)
def test_elements_begin_where_they_were_written(
    items: list[tuple[Any, str, str]], before: str, comma_at_the_end: bool
) -> None:
    document, starts = f"{before}[", []
    for number, (item, left, right) in enumerate(items):
        document += ("," if number else "") + left
        starts.append(len(document))
        document += json.dumps(item, ensure_ascii=False) + right
    document += (",]" if comma_at_the_end and items else "]") + before
    assert list(element_starts(document)) == starts


@given(
    st.lists(JSON_VALUES, max_size=5), st.sampled_from(["", " \n"]), st.sampled_from([",", ", ", "\n,\n"]), st.booleans()
)  # fmt: skip
def test_an_array_is_split_into_the_texts_of_its_elements(
    items: list[Any], around: str, comma: str, comma_at_the_end: bool
) -> None:
    texts = [json.dumps(item, ensure_ascii=False) for item in items]
    end = comma if comma_at_the_end and items else ""
    assert element_texts(f"{around}[{around}{comma.join(texts)}{end}{around}]{around}") == texts


def test_elements_are_found_at_any_depth() -> None:
    assert list(element_starts("[1," + "[" * 100_000 + "]" * 100_000 + ",2]")) == [1, 3, 200_004]
