"""The names of the tables that keep each month's newest rows.
What is published from them is tested by whole loads in pipeline/."""

from __future__ import annotations

import pytest

from scx_pipeline.declarations.latest_rows import _short


@pytest.mark.parametrize("length", [1, 62, 63, 64, 65, 128])
def test_a_name_is_no_longer_than_postgresql_takes_it_and_stays_as_it_is_if_it_can(length: int) -> None:
    name = _short("n" * length)
    assert len(name) <= 63
    assert (name == "n" * length) == (length <= 63)


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert _short("n" * 70 + "a") != _short("n" * 70 + "b")
