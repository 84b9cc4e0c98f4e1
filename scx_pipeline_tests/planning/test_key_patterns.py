"""Which keys match a pattern, and which months they name.

No bucket is opened.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.source import FilePattern
from scx_pipeline.planning.key_patterns import compile_pattern, match_key
from scx_pipeline.planning.selection import select_objects
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline_tests.planning.objects import (
    BY_MONTH,
    JAN,
    info,
    select,
    source,
)


def named(pattern: str | FilePattern, key: str) -> str | None:
    """The months that the key names by the pattern: as text, `any`, or None where it does not match."""
    selection = select([pattern], info(key))
    if selection.ignored:
        assert not selection.objects
        return None
    [chosen] = selection.objects
    return str(chosen.months) if chosen.months else "any"


@pytest.mark.parametrize(
    ("pattern", "key", "months"),
    [
        ("{year}/{month}/**.csv", "2021/04/jobs.csv", "2021-04"),
        ("{year}/{month}/**.csv", "2021/04/deep/er/jobs.csv", "2021-04"),
        ("{year}/{month}/*.csv", "2021/04/deeper/jobs.csv", None),
        ("{year}/{month}/**.csv", "2021/04/jobs.json", None),
        ("{year}/{month}/**", "2021/13/jobs.csv", None),
        ("{year}/{month}/**", "2021/4/jobs.csv", None),
        ("{year}/{month}/**", "x2021/04/jobs.csv", None),
        ("**/{year}-{month}.csv", "2021-04.csv", "2021-04"),
        ("**/{year}-{month}.csv", "a/b/2021-04.csv", "2021-04"),
        ("{year}{month}*", "202104.csv", "2021-04"),
        ("jobs.csv*", "jobs.csv.gz", "any"),
        ("jobs.csv*", "jobs-csv.gz", None),
        ("a+b (1).csv", "a+b (1).csv", "any"),
        ("*", "line\nbreak", "any"),
        ("*", "größe 100%.csv", "any"),
    ],
)
def test_a_pattern_finds_the_month_that_a_key_names(pattern: str, key: str, months: str | None) -> None:
    assert named(pattern, key) == months


@pytest.mark.parametrize(
    ("key", "months"),
    [
        ("2021/2021-04-07.csv", "2021-04"),
        ("2021/2022-04-07.csv", None),
        ("2022/2021-04-07.csv", None),
    ],
)
def test_a_field_that_occurs_twice_must_have_the_same_value_twice(key: str, months: str | None) -> None:
    assert named("{year}/{year}-{month}-{day}.csv", key) == months


@pytest.mark.parametrize(
    ("before", "after", "months"),
    [(0, 0, "2021-03"), (1, 0, "2021-02…2021-03"), (0, 1, "2021-03…2021-04"), (28, 28, "2021-02…2021-04")],
)
def test_lateness_and_earliness_extend_the_months_of_a_key(before: int, after: int, months: str) -> None:
    assert (
        named(
            FilePattern(pattern=BY_MONTH, allowed_lateness_days=before, allowed_earliness_days=after),
            "2021/03/x",
        )
        == months
    )


@pytest.mark.parametrize(
    ("day", "months"),
    [
        ("2021-03-01", "2021-02…2021-03"),
        ("2021-03-02", "2021-03"),
        ("2021-03-30", "2021-03"),
        ("2021-03-31", "2021-03…2021-04"),
        ("2024-02-28", "2024-02"),
        ("2024-02-29", "2024-02…2024-03"),
        ("2023-02-28", "2023-02…2023-03"),
        ("2021-01-01", "2020-12…2021-01"),
        ("2021-12-31", "2021-12…2022-01"),
    ],
)
def test_a_day_extends_into_a_neighbouring_month_only_at_the_months_edge(day: str, months: str) -> None:
    pattern = FilePattern(pattern="{year}-{month}-{day}", allowed_lateness_days=1, allowed_earliness_days=1)
    assert named(pattern, day) == months


def test_without_lateness_a_day_belongs_to_its_own_month_only() -> None:
    assert named("{year}-{month}-{day}", "2021-03-31") == "2021-03"
    assert named("{year}-{month}-{day}", "2021-03-01") == "2021-03"


@pytest.mark.parametrize(
    "key", ["2023-02-29", "2021-02-30", "2021-04-31", "2021-04-00", "2021-04-32", "9999-12-31"]
)
def test_an_impossible_date_is_ignored_not_mapped_to_another(key: str) -> None:
    assert named("{year}-{month}-{day}", key) is None


def test_a_month_after_the_last_representable_one_is_ignored() -> None:
    selection = select([BY_MONTH], info("9999/12/sentinel.csv"), info("2021/01/x.csv"))
    assert [item.info.key for item in selection.objects] == ["2021/01/x.csv"]
    assert selection.ignored == (("logs", "9999/12/sentinel.csv"),)


@pytest.mark.parametrize("pattern", ["{year}/*", "{month}/*", "{day}/*", "{year}/{day}/*"])
def test_a_pattern_with_only_year_or_month_is_rejected(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"must name both \{year\} and \{month\}, or neither"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["{yaer}/{month}/*", "{year}/{month}/{hour}.csv", "{", "{}", "{year/{month}"]
)
def test_a_pattern_with_an_unknown_field_is_rejected(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"the fields are \{year\}, \{month\} and \{day\}"):
        compile_pattern(pattern)


def test_the_first_matching_pattern_decides() -> None:
    selection = select(
        ["all.csv", "{year}/{month}/**", "**"], info("all.csv"), info("2021/01/x"), info("notes.txt")
    )
    assert [(item.info.key, item.months) for item in selection.objects] == [
        ("all.csv", None),
        ("2021/01/x", MonthRange(JAN, JAN)),
        ("notes.txt", None),
    ]


def test_a_pattern_matches_the_key_below_the_prefix() -> None:
    below = source("{year}/{month}/*", prefix="jobs/")
    selection = select_objects([below], {"logs": [info("jobs/2021/01/x"), info("jobs/README")]})
    assert [item.info.key for item in selection.objects] == ["jobs/2021/01/x"]
    assert selection.ignored == (("logs", "jobs/README"),), "keys that no pattern matches are reported"


@given(
    st.builds(Month, st.integers(1900, 2100), st.integers(1, 12)),
    st.integers(0, 28),
    st.integers(0, 28),
    st.data(),
)
def test_an_objects_months_are_those_that_its_rows_can_belong_to(
    month: Month, before: int, after: int, data: st.DataObject
) -> None:
    days = (month.end - month.start).days
    day = data.draw(st.integers(1, days))
    pattern = FilePattern(
        pattern="{year}-{month}-{day}", allowed_lateness_days=before, allowed_earliness_days=after
    )
    [chosen] = select([pattern], info(f"{month}-{day:02d}")).objects
    first, last = month.shift(-1 if day - before < 1 else 0), month.shift(1 if day + after > days else 0)
    assert chosen.months == MonthRange(first, last)
    assert [chosen.may_contain(month.shift(distance)) for distance in (-1, 0, 1)] == [
        first < month,
        True,
        last > month,
    ]


@pytest.mark.parametrize(
    ("pattern", "key", "months"),
    [
        # As in a shell, and in Spark, Hive and Redshift: hidden names, and those of jobs that are not done.
        ("**.csv*", ".jobs.csv.Ab12Cd", None),
        ("**.csv*", "a/.jobs.csv", None),
        ("**.csv*", "_SUCCESS.csv", None),
        ("**.csv*", "_temporary/0/part.csv", None),
        ("**.csv*", "a/_temporary/0/part.csv", None),
        ("**/*.csv", "a/.hidden/jobs.csv", None),
        ("**/*.csv", "a/.jobs.csv", None),
        ("**/*.csv", ".jobs.csv", None),
        ("*/jobs.csv", "_x/jobs.csv", None),
        ("{year}/{month}/**.csv*", "2021/04/.jobs.csv.Ab12Cd", None),
        ("{year}/{month}/**", "2021/04/_SUCCESS", None),
        # Those that a pattern spells out.
        ("_jobs*.csv", "_jobs1.csv", "any"),
        ("_raw/{year}/{month}/*.csv", "_raw/2021/04/jobs.csv", "2021-04"),
        ("{year}/{month}/.*", "2021/04/.jobs", "2021-04"),
        # Within a name, dots and underlines are as other letters.
        ("**.csv*", "a_b.c.csv", "any"),
        ("jobs*", "jobs.csv", "any"),
        ("jobs**", "jobs_2/a_.csv", "any"),
        ("{year}{month}_*", "202104_x", "2021-04"),
        # Checksums, and what is not written to its end.
        *(("**.csv*", f"a/jobs.csv{end}", None) for end in (
            ".md5", ".sha256", ".SHA1", ".crc", ".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~", "_$folder$",
        )),
        ("**.csv*", "jobs.csv.gz.md5", None),
        ("**.part", "jobs.part", "any"),
        ("**.csv*", "jobs.part.csv", "any"),
        ("**.csv*", "part-0000.csv", "any"),
        ("**.csv*", "jobs.csv.1", "any"),
    ],
)  # fmt: skip
def test_hidden_and_sidecar_files_are_ignored_unless_a_pattern_spells_them_out(
    pattern: str, key: str, months: str | None
) -> None:
    assert named(pattern, key) == months


def test_ignored_keys_are_escaped_to_one_line() -> None:
    keys = ["a\tb", "a\nb", "a\udcffb", "_SUCCESS"]
    selection = select(
        ["*.csv"], *(ObjectInfo(key, 1, "x", datetime(2021, 1, 1, tzinfo=UTC)) for key in keys)
    )
    assert [name for _, name in selection.ignored] == ["a\\tb", "a\\nb", "a\\xffb", "_SUCCESS"]


@pytest.mark.parametrize(
    ("patterns", "folder", "months"),
    [
        (["{year}/{month}/**.csv"], "2021/02/closed/", "2021-02"),
        (["{year}/{month}/**.csv"], "2021/02/closed/deep/", "2021-02"),
        (["{year}/{month}/**.csv"], "2021/02/", "2021-02"),
        (["{year}/{month}/**.csv"], "2021/", "any"),
        (["{year}/{month}/**.csv"], "closed/", None),
        (["{year}/{month}/*.csv"], "2021/02/closed/", None),
        (["{year}/{month}/*.csv"], "2021/02/", "2021-02"),
        (["*.csv"], "closed/", None),
        (["**.csv"], "closed/", "any"),
        (["*.csv", "a/*/b"], "a/closed/", "any"),
        (["all.csv", "{year}-{month}/*"], "2021-02/", "2021-02"),
    ],
)
def test_an_unreadable_folder_belongs_to_the_months_that_it_may_contain(
    patterns: list[str], folder: str, months: str | None
) -> None:
    closed = ObjectInfo(folder, 0, "", datetime(2021, 1, 1, tzinfo=UTC), "the folder cannot be opened")
    selection = select(list(patterns), closed)
    if months is None:
        assert selection.ignored == (("logs", folder),)
        return
    [chosen] = selection.objects
    assert (str(chosen.months) if chosen.months else "any") == months


@pytest.mark.parametrize(
    ("key", "day"),
    [
        ("2021-02-28 a.csv", date(2021, 2, 28)),
        ("2021-12-01 b.csv", date(2021, 12, 1)),
        ("2021-02.csv", None),
        ("other.csv", None),
    ],
)
def test_match_key_returns_the_day_that_a_key_names(key: str, day: date | None) -> None:
    match = match_key(source("{year}-{month}-{day} *.csv", "{year}-{month}.csv", "*.csv"), key)
    assert match is not None
    assert match.day == day


def test_keys_that_name_the_same_months_share_their_range() -> None:
    days = source("{year}-{month}-{day} *.csv")
    first, second = match_key(days, "2021-02-03 a.csv"), match_key(days, "2021-02-04 a.csv")
    assert first is not None
    assert second is not None
    assert first.months is second.months
