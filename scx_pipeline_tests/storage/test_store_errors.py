"""Refusals of a store: each is one sentence that says what failed and what to do.

How often a request is repeated is not tested here.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from scx_pipeline.errors import BucketError, LakeError
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.storage.store_errors import describe_store_error
from scx_pipeline_tests.storage.buckets import open_odd_bucket
from scx_pipeline_tests.support.servers.odd_s3 import BUCKET, OddS3, Refusal
from scx_pipeline_tests.support.servers.ports import free_ports


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ((403, "InvalidObjectState"), "the object is archived: restore it, or move it to where no pattern matches it"),
        ((400, "ExpiredToken"), "the credentials have expired: log in again (aws sso login), or renew the keys"),
        ((403, "AccessDenied"), "the credentials may not read the object: allow s3:GetObject"),
        ((404, "NoSuchBucket"), "there is no such bucket: check its name, AWS_ENDPOINT_URL and AWS_REGION"),
        ((403, "SignatureDoesNotMatch"), "the secret key does not belong to the access key: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
        ((403, "InvalidAccessKeyId"), "the store does not know this access key: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
        ((403, "RequestTimeTooSkewed"), "this machine's clock differs from the store's by more than 15 minutes: correct it"),
        ((400, "ServiceUnavailable"), "the store is still busy after several attempts: run again later"),
        ((301, "PermanentRedirect"), "the bucket is in another region: set AWS_REGION to it"),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence_with_advice(store: OddS3, refusal: Refusal, advice: str) -> None:
    bucket = open_odd_bucket(store)
    listed = bucket.list_objects("logs/")
    store.refuse = lambda method, key: refusal
    with pytest.raises(BucketError) as caught:
        bucket.read_heads(listed, 2)
    assert str(caught.value) == f"cannot read s3://{BUCKET}/logs/a.json: {refusal[1]}: {advice}"
    with pytest.raises(BucketError) as caught:
        bucket.list_objects("logs/")
    advice = advice.replace("read the object: allow s3:GetObject", "list the bucket: allow s3:ListBucket")
    assert str(caught.value) == f"cannot list s3://{BUCKET}/logs/: {refusal[1]}: {advice}"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_answer_without_a_code_is_one_sentence_too(store: OddS3, status: int) -> None:
    store.refuse = lambda method, key: (status, "")
    with pytest.raises(BucketError, match=r"still busy after several attempts: run again later$"):
        open_odd_bucket(store).list_objects("logs/")


def test_a_number_in_a_key_is_not_a_status() -> None:
    error = ValueError(
        "Error performing GET http://x/part-00412.csv - Server returned status code: 418 Teapot"
    )
    assert "overwritten" not in describe_store_error(error)


def test_an_error_in_a_listing_of_unusual_keys_is_the_same(store: OddS3) -> None:
    store.put("logs//x", b"")
    bucket, answers = open_odd_bucket(store), iter([None])
    store.refuse = lambda method, key: next(answers, (403, "AccessDenied"))
    with pytest.raises(BucketError) as caught:
        bucket.list_objects("logs/")
    assert str(caught.value) == (
        f"cannot list s3://{BUCKET}/logs/: AccessDenied: the credentials may not list the bucket: allow"
        " s3:ListBucket"
    )


def test_an_error_of_the_lakes_store_is_one_sentence(store: OddS3) -> None:
    place = open_lake_store(store.url, "scx")
    store.refuse = lambda method, key: (403, "AccessDenied")
    for request in (lambda: place.read("a"), lambda: place.list("x"), lambda: place.write("a", b"")):
        with pytest.raises(LakeError, match=r"AccessDenied: the credentials may not \w+") as caught:
            request()
        assert "\n" not in str(caught.value)


def test_an_unreachable_store_or_an_unknown_host_is_reported_immediately(
    store: OddS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    [port] = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(BucketError) as caught:
        open_odd_bucket(store, seconds=3600).list_objects("")
    assert str(caught.value) == (
        f"cannot list s3://{BUCKET}/: http://127.0.0.1:{port} refuses the connection: is the store running, and"
        " is AWS_ENDPOINT_URL right?"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://no-such-name.invalid")
    with pytest.raises(
        BucketError, match=r"http://no-such-name\.invalid has a host name that cannot be resolved"
    ):
        open_odd_bucket(store, seconds=3600).list_objects("")


def test_an_object_shorter_than_its_listing_is_not_accepted(store: OddS3) -> None:
    bucket = open_odd_bucket(store)
    longer = [replace(item, size=item.size + 1) for item in bucket.list_objects("logs/")]
    with (
        pytest.raises(BucketError, match="only a part of it was received; run again"),
        bucket.read_documents([longer]) as batches,
    ):
        list(batches)
