"""The statements that sqlfluff checks: one of each shape, and invalid ones again in the next run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.support.redshift import linter
from scx_pipeline_tests.support.redshift.linter import Linted, unparsable

GOOD, BAD = 'SELECT "a" FROM "t"', 'SELECT "a" FROM FROM "t"'


def run(folder: Path, number: int, statements: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a run of the tests finds: another process with the same folder of valid shapes."""
    monkeypatch.setattr(linter, "_taken", set())
    taken, passed = folder / str(number), folder / "passed"
    taken.mkdir()
    passed.mkdir(exist_ok=True)
    return unparsable(statements, Linted(taken, passed))


def test_an_invalid_statement_is_reported_once_in_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        [message] = run(tmp_path, number, [GOOD, BAD, BAD], monkeypatch)
        assert message.endswith(BAD)


def test_a_statement_is_linted_once_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, 0, [GOOD], monkeypatch) == []
    monkeypatch.setattr(linter, "_linter", lambda: pytest.fail("looked at again"))
    assert run(tmp_path, 1, [GOOD, 'SELECT "b" FROM "u"'], monkeypatch) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('SELECT "a" FROM "t"', 'SELECT "b" FROM "u"', True),
        ('SELECT "a""b" FROM "t"', 'SELECT "b" FROM "t"', True),
        ('SELECT "a", "b" FROM "t"', 'SELECT "a", "b", "c" FROM "t"', True),
        ('SELECT "t"."a", "t"."b" FROM "t"', 'SELECT "t"."a", "t"."b", "t"."c" FROM "t"', True),
        ("INSERT INTO t VALUES (1, 'x')", "INSERT INTO t VALUES (2, 'it''s'), (3, 'y')", True),
        ('SELECT "a" FROM "t"', 'SELECT "a", "b" FROM "t"', False),
        ('SELECT "a", "b" FROM "t"', 'SELECT "a", "t"."b" FROM "t"', False),
        ('SELECT "a", "b" FROM "t"', 'SELECT "a", "b"::int FROM "t"', False),
        ('SELECT "a", "b", "c" FROM "t"', 'SELECT "a", "b", "c" x FROM "t"', False),
        ("""SELECT "it's" FROM "t" WHERE x = 'a'""", """SELECT "it's" FROM FROM "t" WHERE x = 'a'""", False),
        ("""SELECT '"' FROM "t" WHERE x = '"'""", """SELECT '"' FROM FROM "t" WHERE x = '"'""", False),
        ('SELECT "a" FROM "t"', "SELECT 'a' FROM \"t\"", False),
        ('SELECT "a" FROM "t"', 'SELECT a FROM "t"', False),
    ],
)
def test_statements_have_the_same_shape_if_only_values_quoted_names_and_the_length_of_lists_differ(
    one: str, other: str, same: bool
) -> None:
    assert (linter._shape(one) == linter._shape(other)) == same
