"""Stores with any kind of ETags: objects are read, and a change after the listing is noticed where it can be.

The text of an ETag of a local file is not tested here.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.etags import NO_ETAGS, OTHER_ETAGS, WEAK_ETAGS
from scx_pipeline_tests.storage.buckets import KEYS, MARCH, open_odd_bucket, read
from scx_pipeline_tests.support.servers.odd_s3 import BUCKET, OddS3


@pytest.mark.parametrize(
    ("etags", "messages"),
    [("strong", []), ("none", [NO_ETAGS]), ("weak", [WEAK_ETAGS]), ("another when read", [OTHER_ETAGS])],
)
@pytest.mark.parametrize("if_match", ["honoured", "ignored", "refused"])
def test_objects_are_read_whatever_the_etags_are_and_peculiarities_are_reported_once(
    store: OddS3, etags: str, if_match: str, messages: list[str]
) -> None:
    store.etags, store.if_match = etags, if_match  # type: ignore[assignment]
    lines: list[str] = []
    assert read(open_odd_bucket(store, lines)) == dict.fromkeys(KEYS, b"hello")
    assert lines == messages


CHANGES = {
    "another size, later": (b"hello, again", MARCH + timedelta(seconds=1)),
    "the same size, later": (b"olleh", MARCH + timedelta(seconds=1)),
    "another size, in the same second": (b"hello, again", MARCH),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("etags", ["strong", "none", "weak", "another when read"])
def test_an_object_overwritten_after_the_listing_is_never_mistaken_for_the_listed_one(
    store: OddS3, etags: str, change: str
) -> None:
    store.etags = etags  # type: ignore[assignment]
    bucket = open_odd_bucket(store)
    listed = bucket.list_objects("logs/")
    read(bucket)
    store.put("logs/b.json", *CHANGES[change])
    assert bucket.find_changed(listed) == listed[1]
    for bring in (bucket.fetch_files, bucket.read_documents):
        with (
            pytest.raises(
                BucketError, match=r"logs/b\.json: it was overwritten after the listing; run again"
            ),
            bring([listed]) as batches,
        ):
            list(batches)  # type: ignore[call-overload]
    assert bucket.list_objects("logs/")[1] != listed[1]


def test_an_overwrite_of_the_same_size_in_the_same_second_is_detected_by_its_etag(store: OddS3) -> None:
    bucket = open_odd_bucket(store)
    listed = bucket.list_objects("logs/")
    store.put("logs/b.json", b"olleh", MARCH)
    assert bucket.find_changed(listed) == listed[1]
    with pytest.raises(BucketError, match="overwritten after the listing"):
        bucket.read_heads(listed, 2)


def test_a_store_whose_etags_change_with_every_listing_is_refused_with_one_line(store: OddS3) -> None:
    store.etags = "another each time"
    bucket = open_odd_bucket(store)
    with pytest.raises(BucketError) as caught:
        bucket.read_heads(bucket.list_objects("logs/"), 2)
    assert str(caught.value) == (
        f"cannot read s3://{BUCKET}/logs/a.json: every listing shows a different ETag for it, so changes to it"
        " cannot be noticed: use a store whose ETags are stable, or copy the objects to one"
    )


def test_the_etag_of_a_removed_object_is_not_requested_repeatedly(store: OddS3) -> None:
    bucket = open_odd_bucket(store)
    listed = bucket.list_objects("logs/")
    del store.objects["logs/b.json"]
    assert bucket.find_changed(listed) == listed[1]
    with pytest.raises(BucketError, match=r"logs/b\.json: NoSuchKey: it no longer exists: run again"):
        bucket.read_heads(listed, 2)
