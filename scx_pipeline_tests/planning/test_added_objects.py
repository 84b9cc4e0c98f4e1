"""Which objects were added to months, and when all objects must be read instead."""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.model.calendar import MonthRange
from scx_pipeline.planning.added_objects import AddedObjects, RecordedObject, find_added_objects
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline_tests.planning.objects import BY_MONTH, FEB, JAN, info, select

OLD, NEW = info("2021/01/a", size=10, etag="one"), info("2021/01/b", size=5)


def added(
    current: Sequence[ObjectInfo], loaded: Sequence[ObjectInfo], recorded: Sequence[ObjectInfo]
) -> AddedObjects | None:
    """Return what was added to January, given the objects that it was built from and those that are recorded."""
    states = {JAN: MonthState(select([BY_MONTH], *loaded).fingerprint(JAN), "v1")}
    records = {("logs", item.key): RecordedObject(item.etag, item.size, 1, 0) for item in recorded}
    return find_added_objects(select([BY_MONTH], *current), MonthRange(JAN, JAN), states, "v1", records)


def test_an_object_that_is_not_recorded_is_added() -> None:
    found = added([OLD, NEW], [OLD], [OLD])
    assert found is not None
    assert [item.info for item in found.added] == [NEW]
    assert [item.info for item, _ in found.unchanged] == [OLD]


def test_nothing_is_added_without_a_new_object() -> None:
    assert added([OLD], [OLD], [OLD]) is None


def test_everything_is_read_if_an_object_has_changed() -> None:
    for changed in (info(OLD.key, 10, "two"), info(OLD.key, 11, "one")):
        assert added([changed, NEW], [OLD], [OLD]) is None


def test_everything_is_read_if_an_object_was_read_for_another_month_with_other_content_since() -> None:
    other = info(OLD.key, 10, "two")
    assert added([OLD, NEW], [OLD], [other]) is None


def test_everything_is_read_if_the_month_was_not_built_from_all_recorded_objects() -> None:
    late = info("2021/01/late", 10)
    assert added([OLD, late, NEW], [OLD], [OLD, late]) is None


def test_everything_is_read_if_an_object_was_deleted() -> None:
    assert added([OLD, NEW], [OLD, info("2021/01/c")], [OLD, info("2021/01/c")]) is None


def test_everything_is_read_if_more_than_half_as_much_is_new() -> None:
    assert added([OLD, info("2021/01/b", 6)], [OLD], [OLD]) is None


def test_objects_of_other_months_are_not_looked_at() -> None:
    changed = info("2021/02/c", 10, "two")
    found = added([OLD, NEW, changed], [OLD], [OLD, info("2021/02/c", 10, "one")])
    assert found is not None
    assert not any(item.months and FEB in item.months for item in found.added)
