"""Which months a key names, when a month's fingerprint changes, and which months are due for a load.
All of it pure functions over listings; no bucket is opened."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.planning.selection import (
    ChangedMonth,
    MonthState,
    SelectedObject,
    Selection,
    changed_months,
    compile_pattern,
    day_of,
    select_objects,
    split_batches,
    unpartitioned_change,
)
from scx_pipeline.storage.bucket import ObjectInfo

BY_MONTH = "{year}/{month}/**"
JAN, FEB, MAR = (Month(2021, month) for month in (1, 2, 3))


def info(key: str, size: int = 1, etag: str = "") -> ObjectInfo:
    return ObjectInfo(
        key, size, etag or hashlib.md5(key.encode()).hexdigest(), datetime(2021, 1, 1, tzinfo=UTC)
    )


def source(*patterns: str | FilePattern, prefix: str = "", name: str = "logs") -> Source:
    files = tuple(item if isinstance(item, FilePattern) else FilePattern(pattern=item) for item in patterns)
    return Source(name=name, description="", format="csv", prefix=prefix, files=files, event_time="at")


def select(patterns: list[str | FilePattern], *objects: ObjectInfo) -> Selection:
    return select_objects([source(*patterns)], {"logs": objects})


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
def test_a_pattern_says_which_month_a_key_names(pattern: str, key: str, months: str | None) -> None:
    assert named(pattern, key) == months


@pytest.mark.parametrize(
    ("key", "months"),
    [
        ("2021/2021-04-07.csv", "2021-04"),
        ("2021/2022-04-07.csv", None),
        ("2022/2021-04-07.csv", None),
    ],
)
def test_a_field_named_twice_must_have_the_same_value_twice(key: str, months: str | None) -> None:
    assert named("{year}/{year}-{month}-{day}.csv", key) == months


@pytest.mark.parametrize(
    ("before", "after", "months"),
    [(0, 0, "2021-03"), (1, 0, "2021-02…2021-03"), (0, 1, "2021-03…2021-04"), (28, 28, "2021-02…2021-04")],
)
def test_rows_may_spill_out_of_the_month_that_a_key_names(before: int, after: int, months: str) -> None:
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
def test_a_day_reaches_into_the_neighbouring_month_only_at_its_edge(day: str, months: str) -> None:
    pattern = FilePattern(pattern="{year}-{month}-{day}", allowed_lateness_days=1, allowed_earliness_days=1)
    assert named(pattern, day) == months


def test_without_spill_a_day_is_of_its_own_month_only() -> None:
    assert named("{year}-{month}-{day}", "2021-03-31") == "2021-03"
    assert named("{year}-{month}-{day}", "2021-03-01") == "2021-03"


@pytest.mark.parametrize(
    "key", ["2023-02-29", "2021-02-30", "2021-04-31", "2021-04-00", "2021-04-32", "9999-12-31"]
)
def test_a_day_that_no_calendar_has_is_ignored_not_taken_for_another(key: str) -> None:
    assert named("{year}-{month}-{day}", key) is None


def test_a_month_at_the_end_of_time_does_not_stop_the_listing() -> None:
    selection = select([BY_MONTH], info("9999/12/sentinel.csv"), info("2021/01/x.csv"))
    assert [item.info.key for item in selection.objects] == ["2021/01/x.csv"]
    assert selection.ignored == (("logs", "9999/12/sentinel.csv"),)


@pytest.mark.parametrize("pattern", ["{year}/*", "{month}/*", "{day}/*", "{year}/{day}/*"])
def test_a_pattern_with_half_a_month_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"must name both \{year\} and \{month\}, or neither"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["{yaer}/{month}/*", "{year}/{month}/{hour}.csv", "{", "{}", "{year/{month}"]
)
def test_a_pattern_with_an_unknown_field_is_refused(pattern: str) -> None:
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


def test_the_pattern_is_of_the_key_below_the_prefix() -> None:
    below = source("{year}/{month}/*", prefix="jobs/")
    selection = select_objects([below], {"logs": [info("jobs/2021/01/x"), info("jobs/README")]})
    assert [item.info.key for item in selection.objects] == ["jobs/2021/01/x"]
    assert selection.ignored == (("logs", "jobs/README"),), "what no pattern matches is told"


@given(
    st.builds(Month, st.integers(1900, 2100), st.integers(1, 12)),
    st.integers(0, 28),
    st.integers(0, 28),
    st.data(),
)
def test_an_objects_months_are_those_its_rows_can_be_of(
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
    assert [chosen.may_hold(month.shift(distance)) for distance in (-1, 0, 1)] == [
        first < month,
        True,
        last > month,
    ]


# What is beside the data


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
def test_files_beside_the_data_are_ignored_unless_a_pattern_spells_them_out(
    pattern: str, key: str, months: str | None
) -> None:
    assert named(pattern, key) == months


def test_what_is_ignored_is_named_in_one_line_whatever_its_key_is() -> None:
    keys = ["a\tb", "a\nb", "a\udcffb", "_SUCCESS"]
    selection = select(
        ["*.csv"], *(ObjectInfo(key, 1, "x", datetime(2021, 1, 1, tzinfo=UTC)) for key in keys)
    )
    assert [name for _, name in selection.ignored] == ["a\\tb", "a\\nb", "a\\xffb", "_SUCCESS"]


def test_an_object_that_cannot_be_read_belongs_to_its_months_and_has_a_fingerprint() -> None:
    odd = ObjectInfo(
        "2021/02/a\udcff", 1, "x", datetime(2021, 1, 1, tzinfo=UTC), "its key has bytes that are not UTF-8"
    )
    selection = select([BY_MONTH], info("2021/01/x"), odd)
    assert [item.info for item in selection.of(MonthRange(FEB, FEB))] == [odd]
    assert selection.fingerprint(FEB) != select([BY_MONTH], info("2021/01/x")).fingerprint(FEB)


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
def test_a_folder_that_cannot_be_opened_is_of_the_months_that_may_be_in_it(
    patterns: list[str], folder: str, months: str | None
) -> None:
    closed = ObjectInfo(folder, 0, "", datetime(2021, 1, 1, tzinfo=UTC), "the folder cannot be opened")
    selection = select(list(patterns), closed)
    if months is None:
        assert selection.ignored == (("logs", folder),)
        return
    [chosen] = selection.objects
    assert (str(chosen.months) if chosen.months else "any") == months


# Fingerprints


Listing = dict[str, tuple[int, str]]  # key → size, ETag
monthly_keys = st.builds("2021/{:02d}/{}".format, st.integers(1, 3), st.sampled_from(["a", "b", "c", "ü 1"]))
listings = st.dictionaries(
    st.one_of(monthly_keys, st.sampled_from(["all.csv", "more.csv"])),
    st.tuples(st.integers(0, 9), st.sampled_from("xyz")),
)


def listed(listing: Listing) -> list[ObjectInfo]:
    return [info(key, size, etag) for key, (size, etag) in listing.items()]


def of_month(listing: Listing, month: Month) -> Listing:
    """The part of a listing that a month is made from."""
    return {
        key: value
        for key, value in listing.items()
        if "/" not in key or key.startswith(f"2021/{month.month:02d}/")
    }


@given(listings, listings)
def test_a_fingerprint_changes_exactly_when_an_object_of_the_month_does(one: Listing, other: Listing) -> None:
    first, second = select([BY_MONTH, "*"], *listed(one)), select([BY_MONTH, "*"], *listed(other))
    for month in (JAN, FEB, MAR):
        same = of_month(one, month) == of_month(other, month)
        assert (first.fingerprint(month) == second.fingerprint(month)) == same


def test_a_fingerprint_changes_with_the_time_of_an_object_only_where_its_etag_is_weak() -> None:
    for etag in ("x", 'W/"x"'):
        one = info("2021/01/a", etag=etag)
        later = replace(one, last_modified=datetime(2021, 1, 2, tzinfo=UTC))
        same = select([BY_MONTH], one).fingerprint(JAN) == select([BY_MONTH], later).fingerprint(JAN)
        assert same == (etag == "x")


@given(listings, st.data())
def test_the_order_of_the_listing_does_not_matter(listing: Listing, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(listed(listing)))
    one, other = select([BY_MONTH, "*"], *listed(listing)), select([BY_MONTH, "*"], *shuffled)
    assert [one.fingerprint(month) for month in (JAN, FEB)] == [
        other.fingerprint(month) for month in (JAN, FEB)
    ]


@pytest.mark.parametrize(
    "changed", [info("2021/01/b"), info("2021/01/a", size=2), info("2021/01/a", etag="other")]
)
def test_the_key_the_size_and_the_etag_count(changed: ObjectInfo) -> None:
    assert select([BY_MONTH], info("2021/01/a")).fingerprint(JAN) != select([BY_MONTH], changed).fingerprint(
        JAN
    )


def test_when_an_object_was_written_does_not_count() -> None:
    touched = ObjectInfo("2021/01/a", 1, "tag", datetime(2022, 1, 1, tzinfo=UTC))
    assert select([BY_MONTH], touched).fingerprint(JAN) == select(
        [BY_MONTH], info("2021/01/a", etag="tag")
    ).fingerprint(JAN)


def test_the_source_counts() -> None:
    one, other = (select_objects([source("*", name=name)], {name: [info("a")]}) for name in ("logs", "songs"))
    assert one.fingerprint(JAN) != other.fingerprint(JAN)


def test_an_object_that_names_no_month_is_of_every_month() -> None:
    before, after = select(["*"]), select(["*"], info("all.csv"))
    assert before.fingerprint(JAN) == before.fingerprint(FEB) != after.fingerprint(JAN)
    assert not before.has_objects(JAN)
    assert after.has_objects(Month(1999, 1))


def test_a_load_reads_each_object_of_its_span_once_in_the_order_of_their_keys() -> None:
    pattern = FilePattern(pattern=BY_MONTH, allowed_lateness_days=1)
    selection = select(
        [pattern, "*"],
        info("2021/04/x"),
        info("2021/03/x"),
        info("all.csv"),
        info("2021/02/x"),
        info("2021/01/x"),
    )
    assert [item.info.key for item in selection.of(MonthRange(JAN, MAR))] == [
        "2021/01/x",
        "2021/02/x",
        "2021/03/x",
        "2021/04/x",  # a row of the 31st may be in it
        "all.csv",
    ]
    assert [item.info.key for item in selection.of(MonthRange(JAN, JAN))] == [
        "2021/01/x",
        "2021/02/x",
        "all.csv",
    ]


def test_the_objects_of_one_source() -> None:
    sources = [source("*", name="logs"), source("*", name="songs")]
    selection = select_objects(sources, {"logs": [info("a")], "songs": [info("a"), info("b")]})
    assert [(item.source, item.info.key) for item in selection.of(MonthRange(JAN, JAN), "songs")] == [
        ("songs", "a"),
        ("songs", "b"),
    ]
    assert len(selection.of(MonthRange(JAN, JAN))) == 3, "two sources may see the same key"


# Which months are due


def due(
    selection: Selection, history: dict[Month, MonthState], version: str = "v1"
) -> list[tuple[Month, str]]:
    return [
        (item.month, item.reason)
        for item in changed_months(selection, MonthRange(JAN, MAR), history, version)
    ]


def history_of(selection: Selection, version: str = "v1") -> dict[Month, MonthState]:
    return {month: MonthState(selection.fingerprint(month), version) for month in (JAN, FEB, MAR)}


def test_a_month_never_loaded_is_due_if_it_has_objects() -> None:
    assert due(select([BY_MONTH], info("2021/02/x")), {}) == [(FEB, "not loaded yet")]


def test_a_month_without_objects_that_was_never_loaded_is_not_due() -> None:
    assert due(select([BY_MONTH]), {}) == []


def test_a_month_whose_objects_are_the_same_is_not_due() -> None:
    selection = select([BY_MONTH], info("2021/02/x"))
    assert due(selection, history_of(selection)) == []


def test_a_month_with_a_new_changed_or_missing_object_is_due() -> None:
    before = select([BY_MONTH], info("2021/01/x"), info("2021/02/x"), info("2021/03/x"))
    after = select([BY_MONTH], info("2021/01/x"), info("2021/01/y"), info("2021/02/x", size=2))
    assert due(after, history_of(before)) == [
        (JAN, "objects changed"),
        (FEB, "objects changed"),
        (MAR, "its objects are gone"),
    ]


def test_a_month_is_due_when_the_stars_code_changed() -> None:
    selection = select([BY_MONTH], info("2021/02/x"))
    changed = changed_months(selection, MonthRange(FEB, FEB), history_of(selection), "v2")
    assert changed == [ChangedMonth(FEB, "the star's tables or SQL changed")]


def test_a_month_out_of_the_stars_months_is_not_due() -> None:
    assert due(select([BY_MONTH], info("2019/01/x"), info("2031/01/x")), {}) == []


@given(listings, listings)
def test_after_a_load_of_the_due_months_none_is(before: Listing, after: Listing) -> None:
    old, new = select([BY_MONTH, "*"], *listed(before)), select([BY_MONTH, "*"], *listed(after))
    history = history_of(old)
    history |= {month: MonthState(new.fingerprint(month), "v1") for month, _ in due(new, history)}
    assert due(new, history) == []
    assert all(history[month].fingerprint == new.fingerprint(month) for month in history)


# Batches


sizes = st.lists(st.integers(0, 50), max_size=30)


def objects_of(lengths: list[int]) -> list[SelectedObject]:
    return [SelectedObject("logs", info(str(number), size), None) for number, size in enumerate(lengths)]


@given(sizes, st.integers(1, 60))
def test_batches_keep_every_object_and_their_order(lengths: list[int], limit: int) -> None:
    batches = split_batches(objects_of(lengths), limit)
    assert [item for batch in batches for item in batch] == objects_of(lengths)
    assert all(batches), "no batch is empty"


@given(sizes, st.integers(1, 60))
def test_a_batch_is_within_the_limit_or_a_single_object(lengths: list[int], limit: int) -> None:
    for batch in split_batches(objects_of(lengths), limit):
        total = sum(item.info.size for item in batch)
        # objects without content may stand beside a large one: they need no room
        assert total <= limit or len([item for item in batch if item.info.size]) == 1


@given(sizes, st.integers(1, 60))
def test_a_batch_takes_what_fits(lengths: list[int], limit: int) -> None:
    batches = split_batches(objects_of(lengths), limit)
    assert all(
        sum(item.info.size for item in one) + other[0].info.size > limit for one, other in pairwise(batches)
    )


# Sources without months

SONGS = Source(name="songs", description="", format="json", prefix="", files=(FilePattern(pattern="**"),))


def with_songs(*songs: ObjectInfo) -> Selection:
    return select_objects([source(BY_MONTH), SONGS], {"logs": [info("2021/01/a.csv")], "songs": songs})


def test_objects_without_months_are_no_part_of_any_month() -> None:
    selection, alone = with_songs(info("a.json")), select([BY_MONTH], info("2021/01/a.csv"))
    assert [selection.fingerprint(month) for month in (JAN, FEB)] == [
        alone.fingerprint(month) for month in (JAN, FEB)
    ]
    assert not selection.has_objects(FEB)
    assert [item.info.key for item in selection.of(MonthRange(JAN, FEB))] == ["2021/01/a.csv"]
    assert [item.info.key for item in selection.unpartitioned_objects] == ["a.json"]


def test_not_even_those_whose_keys_name_a_month() -> None:
    songs = SONGS.model_copy(
        update={"files": (FilePattern(pattern="{year}/{month}/**"), FilePattern(pattern="**"))}
    )
    logs = source(BY_MONTH)
    selection = select_objects(
        [logs, songs], {"logs": [info("2021/01/a.csv")], "songs": [info("2021/02/a.json")]}
    )
    alone = select_objects([logs], {"logs": [info("2021/01/a.csv")]})
    assert [selection.fingerprint(month) for month in (JAN, FEB)] == [
        alone.fingerprint(month) for month in (JAN, FEB)
    ]
    assert not selection.has_objects(FEB)
    assert [item.source for item in selection.of(MonthRange(JAN, FEB))] == ["logs"]
    assert [item.info.key for item in selection.unpartitioned_objects] == ["2021/02/a.json"]


def test_what_no_pattern_of_theirs_matches_is_told() -> None:
    songs = SONGS.model_copy(update={"files": (FilePattern(pattern="**.json"),)})
    selection = select_objects([songs], {"songs": [info("a/b.json"), info("a/b.json.tmp")]})
    assert selection.ignored == (("songs", "a/b.json.tmp"),)
    assert [item.info.key for item in selection.unpartitioned_objects] == ["a/b.json"]


@given(listings, listings, st.data())
def test_their_fingerprint_changes_exactly_when_one_of_them_does(
    one: Listing, other: Listing, data: st.DataObject
) -> None:
    first, second = with_songs(*listed(one)), with_songs(*listed(other))
    assert (first.unpartitioned_fingerprint == second.unpartitioned_fingerprint) == (one == other)
    shuffled = with_songs(*data.draw(st.permutations(listed(one))))
    assert shuffled.unpartitioned_fingerprint == first.unpartitioned_fingerprint
    assert first.fingerprint(JAN) == second.fingerprint(JAN)


def test_objects_of_several_sources_without_months_have_one_fingerprint() -> None:
    sources = [SONGS.model_copy(update={"name": name}) for name in ("songs", "artists")]
    both = {"songs": [info("a.json")], "artists": [info("a.json")]}
    selection = select_objects(sources, both)
    assert [(item.source, item.info.key) for item in selection.unpartitioned_objects] == [
        ("songs", "a.json"),
        ("artists", "a.json"),
    ]
    for name in both:
        fewer = select_objects(sources, {**both, name: []})
        assert fewer.unpartitioned_fingerprint != selection.unpartitioned_fingerprint


def test_sources_that_were_not_listed_are_left_out() -> None:
    sources = [source(BY_MONTH), SONGS]
    monthly = select_objects(sources, {"logs": [info("2021/01/a.csv"), info("x")]})
    assert monthly.listed == {"logs"}
    assert monthly.unpartitioned == {"songs"}
    assert monthly.unpartitioned_objects == []
    assert monthly.fingerprint(JAN) == with_songs(info("a.json")).fingerprint(JAN)
    songs = select_objects(sources, {"songs": []})
    assert songs.listed == {"songs"}
    assert not songs.has_objects(JAN)
    assert select_objects(sources, {}) == Selection((), (), frozenset(), frozenset({"songs"}))


def test_their_fingerprint_changes_with_key_etag_and_size_and_not_with_the_months_objects() -> None:
    before = with_songs(info("a.json"))
    changed = [
        with_songs(),
        with_songs(info("b.json")),
        with_songs(info("a.json", size=2)),
        with_songs(info("a.json", etag="x")),
    ]
    assert len({item.unpartitioned_fingerprint for item in [before, *changed]}) == 5
    alone = select_objects([source(BY_MONTH), SONGS], {"songs": [info("a.json")]})
    assert alone.unpartitioned_fingerprint == before.unpartitioned_fingerprint
    assert alone.listed == {"songs"}


def test_tables_without_months_are_due_for_their_objects_or_their_code() -> None:
    selection, none = with_songs(info("a.json")), with_songs()
    state = MonthState(selection.unpartitioned_fingerprint, "v1")
    assert unpartitioned_change(selection, None, "v1") == "not loaded yet"
    assert unpartitioned_change(none, None, "v1") is None
    assert unpartitioned_change(selection, state, "v1") is None
    assert unpartitioned_change(selection, state, "v2") == "the star's tables or SQL changed"
    assert unpartitioned_change(with_songs(info("b.json")), state, "v1") == "objects changed"
    assert unpartitioned_change(none, state, "v1") == "its objects are gone"
    assert unpartitioned_change(select([BY_MONTH]), None, "v1") is None


def test_a_stale_month_is_due_and_says_why() -> None:
    selection = select([BY_MONTH], info("2021/01/a.csv"), info("2021/02/a.csv"))
    history = {month: MonthState(selection.fingerprint(month), "v1") for month in (JAN, FEB)}
    assert changed_months(selection, MonthRange(JAN, MAR), history, "v1", {FEB: "songs changed"}) == [
        ChangedMonth(FEB, "songs changed")
    ]


def test_a_stale_month_that_is_due_anyway_is_told_by_its_own_reason_and_one_out_of_range_is_not() -> None:
    selection = select([BY_MONTH], info("2021/01/a.csv"), info("2021/02/a.csv"))
    history = {FEB: MonthState("another", "v1"), MAR: MonthState(selection.fingerprint(MAR), "v1")}
    stale = dict.fromkeys([JAN, FEB, MAR, MAR.shift(1), JAN.shift(-1)], "songs changed")
    assert changed_months(selection, MonthRange(JAN, MAR), history, "v1", stale) == [
        ChangedMonth(JAN, "not loaded yet"),
        ChangedMonth(FEB, "objects changed"),
        ChangedMonth(MAR, "songs changed"),
    ]


def test_a_change_of_the_objects_is_told_before_one_of_the_code() -> None:
    selection = with_songs(info("a.json"))
    assert unpartitioned_change(selection, MonthState("another", "v0"), "v1") == "objects changed"
    assert unpartitioned_change(with_songs(), MonthState("another", "v0"), "v1") == "its objects are gone"
    gone = MonthState(with_songs().unpartitioned_fingerprint, "v1")
    assert unpartitioned_change(with_songs(), gone, "v1") is None, "told once"


@given(sizes, st.integers(1, 60), st.integers(1, 5))
def test_a_batch_is_full_or_has_as_many_objects_as_it_may(
    lengths: list[int], limit: int, number: int
) -> None:
    batches = split_batches(objects_of(lengths), limit, number)
    assert [item for batch in batches for item in batch] == objects_of(lengths)
    assert all(1 <= len(batch) <= number for batch in batches)
    for one, other in pairwise(batches):
        assert len(one) == number or sum(item.info.size for item in one) + other[0].info.size > limit


def test_batches_hold_no_more_objects_than_allowed() -> None:
    objects = [SelectedObject("logs", info(f"{number}.json"), None) for number in range(7)]
    assert [len(batch) for batch in split_batches(objects, 1000, 3)] == [3, 3, 1]


@pytest.mark.parametrize(
    ("key", "day"),
    [
        ("2021-02-28 a.csv", date(2021, 2, 28)),
        ("2021-12-01 b.csv", date(2021, 12, 1)),
        ("2021-02.csv", None),
        ("other.csv", None),
    ],
)
def test_the_day_of_a_key_is_the_one_that_it_names(key: str, day: date | None) -> None:
    assert day_of(source("{year}-{month}-{day} *.csv", "{year}-{month}.csv"), key) == day
