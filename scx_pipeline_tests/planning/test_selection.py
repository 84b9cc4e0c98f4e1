"""Fingerprints of months, the objects of a load, and batches.

No bucket is opened.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.source import FilePattern
from scx_pipeline.planning.selection import SelectedObject, Selection, select_objects, split_batches
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline_tests.planning.objects import (
    BY_MONTH,
    FEB,
    JAN,
    MAR,
    SONGS,
    Listing,
    as_objects,
    info,
    listings,
    select,
    source,
    with_songs,
)


def test_an_unreadable_object_belongs_to_its_months_and_changes_their_fingerprint() -> None:
    odd = ObjectInfo(
        "2021/02/a\udcff", 1, "x", datetime(2021, 1, 1, tzinfo=UTC), "its key has bytes that are not UTF-8"
    )
    selection = select([BY_MONTH], info("2021/01/x"), odd)
    assert [item.info for item in selection.objects_of(MonthRange(FEB, FEB))] == [odd]
    assert selection.fingerprint(FEB) != select([BY_MONTH], info("2021/01/x")).fingerprint(FEB)


def of_month(listing: Listing, month: Month) -> Listing:
    """Return the part of a listing that a month is built from."""
    return {
        key: value
        for key, value in listing.items()
        if "/" not in key or key.startswith(f"2021/{month.month:02d}/")
    }


@given(listings, listings)
def test_a_fingerprint_changes_exactly_when_an_object_of_the_month_does(one: Listing, other: Listing) -> None:
    first, second = select([BY_MONTH, "*"], *as_objects(one)), select([BY_MONTH, "*"], *as_objects(other))
    for month in (JAN, FEB, MAR):
        same = of_month(one, month) == of_month(other, month)
        assert (first.fingerprint(month) == second.fingerprint(month)) == same


def test_a_fingerprint_depends_on_the_modification_time_only_if_the_etag_is_weak() -> None:
    for etag in ("x", 'W/"x"'):
        one = info("2021/01/a", etag=etag)
        later = replace(one, last_modified=datetime(2021, 1, 2, tzinfo=UTC))
        same = select([BY_MONTH], one).fingerprint(JAN) == select([BY_MONTH], later).fingerprint(JAN)
        assert same == (etag == "x")


@given(listings, st.data())
def test_a_fingerprint_does_not_depend_on_the_order_of_the_listing(
    listing: Listing, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(as_objects(listing)))
    one, other = select([BY_MONTH, "*"], *as_objects(listing)), select([BY_MONTH, "*"], *shuffled)
    assert [one.fingerprint(month) for month in (JAN, FEB)] == [
        other.fingerprint(month) for month in (JAN, FEB)
    ]


@pytest.mark.parametrize(
    "changed", [info("2021/01/b"), info("2021/01/a", size=2), info("2021/01/a", etag="other")]
)
def test_a_fingerprint_depends_on_key_size_and_etag(changed: ObjectInfo) -> None:
    assert select([BY_MONTH], info("2021/01/a")).fingerprint(JAN) != select([BY_MONTH], changed).fingerprint(
        JAN
    )


def test_a_fingerprint_does_not_depend_on_the_modification_time() -> None:
    touched = ObjectInfo("2021/01/a", 1, "tag", datetime(2022, 1, 1, tzinfo=UTC))
    assert select([BY_MONTH], touched).fingerprint(JAN) == select(
        [BY_MONTH], info("2021/01/a", etag="tag")
    ).fingerprint(JAN)


def test_a_fingerprint_depends_on_the_source() -> None:
    one, other = (select_objects([source("*", name=name)], {name: [info("a")]}) for name in ("logs", "songs"))
    assert one.fingerprint(JAN) != other.fingerprint(JAN)


def test_an_object_whose_key_names_no_month_belongs_to_every_month() -> None:
    before, after = select(["*"]), select(["*"], info("all.csv"))
    assert before.fingerprint(JAN) == before.fingerprint(FEB) != after.fingerprint(JAN)
    assert not before.has_objects(JAN)
    assert after.has_objects(Month(1999, 1))


def test_a_load_reads_each_object_of_its_months_once_in_key_order() -> None:
    pattern = FilePattern(pattern=BY_MONTH, allowed_lateness_days=1)
    selection = select(
        [pattern, "*"],
        info("2021/04/x"),
        info("2021/03/x"),
        info("all.csv"),
        info("2021/02/x"),
        info("2021/01/x"),
    )
    assert [item.info.key for item in selection.objects_of(MonthRange(JAN, MAR))] == [
        "2021/01/x",
        "2021/02/x",
        "2021/03/x",
        "2021/04/x",  # a row of the 31st may be in it
        "all.csv",
    ]
    assert [item.info.key for item in selection.objects_of(MonthRange(JAN, JAN))] == [
        "2021/01/x",
        "2021/02/x",
        "all.csv",
    ]


def test_objects_can_be_limited_to_one_source() -> None:
    sources = [source("*", name="logs"), source("*", name="songs")]
    selection = select_objects(sources, {"logs": [info("a")], "songs": [info("a"), info("b")]})
    assert [(item.source, item.info.key) for item in selection.objects_of(MonthRange(JAN, JAN), "songs")] == [
        ("songs", "a"),
        ("songs", "b"),
    ]
    assert len(selection.objects_of(MonthRange(JAN, JAN))) == 3, "two sources may see the same key"


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
        # empty objects may accompany a large one: they take no space
        assert total <= limit or len([item for item in batch if item.info.size]) == 1


@given(sizes, st.integers(1, 60))
def test_a_batch_is_filled_until_the_next_object_does_not_fit(lengths: list[int], limit: int) -> None:
    batches = split_batches(objects_of(lengths), limit)
    assert all(
        sum(item.info.size for item in one) + other[0].info.size > limit for one, other in pairwise(batches)
    )


def test_objects_of_unpartitioned_sources_belong_to_no_month() -> None:
    selection, alone = with_songs(info("a.json")), select([BY_MONTH], info("2021/01/a.csv"))
    assert [selection.fingerprint(month) for month in (JAN, FEB)] == [
        alone.fingerprint(month) for month in (JAN, FEB)
    ]
    assert not selection.has_objects(FEB)
    assert [item.info.key for item in selection.objects_of(MonthRange(JAN, FEB))] == ["2021/01/a.csv"]
    assert [item.info.key for item in selection.unpartitioned_objects] == ["a.json"]


def test_objects_of_unpartitioned_sources_belong_to_no_month_even_if_their_keys_name_one() -> None:
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
    assert [item.source for item in selection.objects_of(MonthRange(JAN, FEB))] == ["logs"]
    assert [item.info.key for item in selection.unpartitioned_objects] == ["2021/02/a.json"]


def test_objects_that_no_pattern_matches_are_reported_as_ignored() -> None:
    songs = SONGS.model_copy(update={"files": (FilePattern(pattern="**.json"),)})
    selection = select_objects([songs], {"songs": [info("a/b.json"), info("a/b.json.tmp")]})
    assert selection.ignored == (("songs", "a/b.json.tmp"),)
    assert [item.info.key for item in selection.unpartitioned_objects] == ["a/b.json"]


@given(listings, listings, st.data())
def test_the_unpartitioned_fingerprint_changes_exactly_when_an_object_does(
    one: Listing, other: Listing, data: st.DataObject
) -> None:
    first, second = with_songs(*as_objects(one)), with_songs(*as_objects(other))
    assert (first.unpartitioned_fingerprint == second.unpartitioned_fingerprint) == (one == other)
    shuffled = with_songs(*data.draw(st.permutations(as_objects(one))))
    assert shuffled.unpartitioned_fingerprint == first.unpartitioned_fingerprint
    assert first.fingerprint(JAN) == second.fingerprint(JAN)


def test_several_unpartitioned_sources_share_one_fingerprint() -> None:
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
    assert monthly.listed_sources == {"logs"}
    assert monthly.unpartitioned_sources == {"songs"}
    assert monthly.unpartitioned_objects == []
    assert monthly.fingerprint(JAN) == with_songs(info("a.json")).fingerprint(JAN)
    songs = select_objects(sources, {"songs": []})
    assert songs.listed_sources == {"songs"}
    assert not songs.has_objects(JAN)
    assert select_objects(sources, {}) == Selection((), (), frozenset(), frozenset({"songs"}))


def test_the_unpartitioned_fingerprint_depends_on_key_etag_and_size_but_not_on_monthly_objects() -> None:
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
    assert alone.listed_sources == {"songs"}


@given(sizes, st.integers(1, 60), st.integers(1, 5))
def test_a_batch_is_full_or_has_the_maximum_number_of_objects(
    lengths: list[int], limit: int, number: int
) -> None:
    batches = split_batches(objects_of(lengths), limit, number)
    assert [item for batch in batches for item in batch] == objects_of(lengths)
    assert all(1 <= len(batch) <= number for batch in batches)
    for one, other in pairwise(batches):
        assert len(one) == number or sum(item.info.size for item in one) + other[0].info.size > limit


def test_batches_never_exceed_the_maximum_number_of_objects() -> None:
    objects = [SelectedObject("logs", info(f"{number}.json"), None) for number in range(7)]
    assert [len(batch) for batch in split_batches(objects, 1000, 3)] == [3, 3, 1]
