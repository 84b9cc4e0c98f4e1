"""The names of the tables that keep each month's newest rows."""

from __future__ import annotations

import pytest

from scx_pipeline.declarations.latest_rows import shorten


@pytest.mark.parametrize("length", [1, 62, 63, 64, 65, 128])
def test_a_table_name_isshortened_only_if_it_exceeds_the_limit_of_postgresql(length: int) -> None:
    name = shorten("n" * length)
    assert len(name) <= 63
    assert (name == "n" * length) == (length <= 63)


def test_long_names_with_the_same_prefix_areshortened_to_different_names() -> None:
    assert shorten("n" * 70 + "a") != shorten("n" * 70 + "b")
