"""Listings and selections of objects for the tests of planning.

Assertions do not belong here.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.planning.selection import Selection, select_objects
from scx_pipeline.storage.object_info import ObjectInfo

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


Listing = dict[str, tuple[int, str]]  # key → size, ETag
monthly_keys = st.builds("2021/{:02d}/{}".format, st.integers(1, 3), st.sampled_from(["a", "b", "c", "ü 1"]))
listings = st.dictionaries(
    st.one_of(monthly_keys, st.sampled_from(["all.csv", "more.csv"])),
    st.tuples(st.integers(0, 9), st.sampled_from("xyz")),
)


def as_objects(listing: Listing) -> list[ObjectInfo]:
    return [info(key, size, etag) for key, (size, etag) in listing.items()]


SONGS = Source(name="songs", description="", format="json", prefix="", files=(FilePattern(pattern="**"),))


def with_songs(*songs: ObjectInfo) -> Selection:
    return select_objects([source(BY_MONTH), SONGS], {"logs": [info("2021/01/a.csv")], "songs": songs})
