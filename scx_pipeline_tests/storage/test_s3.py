"""Stores that are busy, refuse requests, or break S3's rules about ETags: what is read, and what is reported.

Stores that follow the rules are tested with the bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scx_pipeline.errors import BucketError, LakeError
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.storage import retries, s3
from scx_pipeline.storage.bucket import Bucket, BucketOptions, open_bucket
from scx_pipeline.storage.etags import NO_ETAGS, OTHER_ETAGS, WEAK_ETAGS
from scx_pipeline.storage.retries import Retries
from scx_pipeline.storage.store_errors import ADVICE, describe_store_error, describe_transient_error
from scx_pipeline_tests.support.servers.odd_s3 import BUCKET, OddS3, Refusal, odd_s3
from scx_pipeline_tests.support.servers.ports import free_ports

MARCH = datetime(2021, 3, 5, 10, 0, 0, 123000, UTC)
KEYS = ["logs/a.json", "logs/b.json"]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddS3]:
    """A server with two objects, and AWS's settings for it."""
    with odd_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for key in KEYS:
            server.put(key, b"hello", MARCH)
        yield server


def opened(store: OddS3, lines: list[str] | None = None, seconds: float = 0) -> Bucket:
    return open_bucket(
        store.url, BucketOptions(retry_seconds=seconds), [].append if lines is None else lines.append
    )


def read(bucket: Bucket) -> dict[str, bytes]:
    """Every object, in all the ways there are to read one."""
    listed = bucket.list_objects("logs/")
    with bucket.fetch_files([listed]) as batches:
        fetched = {file.object.key: file.path.read_bytes() for files in batches for file in files}
    with bucket.read_documents([listed]) as documents:
        content = {item.object.key: item.content for batch in documents for item in batch}
    assert content == fetched
    assert [item[:2] for item in fetched.values()] == bucket.read_heads(listed, 2)
    assert [item[-2:] for item in fetched.values()] == bucket.read_tails(listed, 2)
    assert bucket.find_changed(listed) is None
    return fetched


def test_a_listing_by_botocore_reads_the_credentials_again(
    store: OddS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert [item["path"] for item in s3.list_any_keys(BUCKET, "logs/")] == KEYS
        assert f"Credential={key}/" in store.requests[-1][2]["Authorization"]


# ETags


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
    assert read(opened(store, lines)) == dict.fromkeys(KEYS, b"hello")
    assert lines == messages


CHANGES = {
    "another size, later": (b"hello, again", MARCH + timedelta(seconds=1)),
    "the same size, later": (b"olleh", MARCH + timedelta(seconds=1)),
    "another size, in the same second": (b"hello, again", MARCH),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("etags", ["strong", "none", "weak", "another when read"])
def test_an_object_that_was_overwritten_after_the_listing_is_never_taken_for_the_listed_one(
    store: OddS3, etags: str, change: str
) -> None:
    store.etags = etags  # type: ignore[assignment]
    bucket = opened(store)
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


def test_an_overwrite_of_the_same_size_in_the_same_second_is_noticed_by_its_etag(store: OddS3) -> None:
    bucket = opened(store)
    listed = bucket.list_objects("logs/")
    store.put("logs/b.json", b"olleh", MARCH)
    assert bucket.find_changed(listed) == listed[1]
    with pytest.raises(BucketError, match="overwritten after the listing"):
        bucket.read_heads(listed, 2)


def test_a_store_whose_etags_change_with_every_listing_is_refused_with_one_line(store: OddS3) -> None:
    store.etags = "another each time"
    bucket = opened(store)
    with pytest.raises(BucketError) as caught:
        bucket.read_heads(bucket.list_objects("logs/"), 2)
    assert str(caught.value) == (
        f"cannot read s3://{BUCKET}/logs/a.json: every listing shows a different ETag for it, so changes to it"
        " cannot be noticed: use a store whose ETags are stable, or copy the objects to one"
    )


def test_the_etag_of_a_removed_object_is_not_requested_repeatedly(store: OddS3) -> None:
    bucket = opened(store)
    listed = bucket.list_objects("logs/")
    del store.objects["logs/b.json"]
    assert bucket.find_changed(listed) == listed[1]
    with pytest.raises(BucketError, match=r"logs/b\.json: NoSuchKey: it no longer exists: run again"):
        bucket.read_heads(listed, 2)


# Stores that are busy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test can afford."""
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(retries, "LONGEST_WAIT_SECONDS", 0.001)


def refusing(store: OddS3, times: int, how: object) -> None:
    """Let the server refuse each request this many times: more often than the library's own retries."""
    left: dict[tuple[str, str], int] = {}

    def refuse(method: str, key: str) -> object:
        left[method, key] = left.get((method, key), times) - 1
        return how if left[method, key] >= 0 else None

    store.refuse = refuse  # type: ignore[assignment]


BUSY = {
    "answers 503 SlowDown": (503, "SlowDown"),
    "answers 429 TooManyRequests": (429, "TooManyRequests"),
    "answers 500 InternalError": (500, "InternalError"),
    "answers 502 BadGateway": (502, "BadGateway"),
    "drops the connection": "reset",
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answer", BUSY)
def test_requests_to_a_busy_store_are_repeated_and_reported(store: OddS3, answer: str) -> None:
    refusing(store, 7, BUSY[answer])
    lines: list[str] = []
    assert read(opened(store, lines, seconds=60)) == dict.fromkeys(KEYS, b"hello")
    assert lines == [f"the bucket {answer}; retrying for up to 60 s"]


@pytest.mark.usefixtures("quick")
def test_a_listing_of_unusual_keys_is_repeated_when_the_store_is_busy(store: OddS3) -> None:
    store.put("logs//x", b"")
    lines: list[str] = []
    bucket, times = opened(store, lines, seconds=60), iter(range(8))
    # The first listing is the library's, which refuses the key; the others are botocore's, which sends each request up to three times.
    store.refuse = lambda method, key: (503, "SlowDown") if next(times, 0) else None
    assert [item.key for item in bucket.list_objects("logs/")] == ["logs//x", *KEYS]
    assert lines == ["the bucket answers 503 SlowDown; retrying for up to 60 s"]


@pytest.mark.usefixtures("quick")
def test_a_request_with_a_partial_response_is_repeated(store: OddS3) -> None:
    refusing(store, 4, "truncate")
    assert read(opened(store, seconds=60)) == dict.fromkeys(KEYS, b"hello")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ((503, "SlowDown"), f"SlowDown: {ADVICE['SlowDown']}"),
        ("reset", "dropped the connection: check the network, and run again"),
    ],
)
def test_a_store_that_stays_busy_is_given_up_in_the_end(store: OddS3, how: Refusal, message: str) -> None:
    store.refuse = lambda method, key: how
    with pytest.raises(BucketError, match=message) as caught:
        opened(store, seconds=0.05).list_objects("logs/")
    assert "\n" not in str(caught.value)


def test_a_request_with_a_permanent_error_is_not_repeated() -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        raise ValueError("Server returned non-2xx status code: 403 Forbidden")

    with pytest.raises(ValueError, match="403"):
        Retries(60).run(ask)
    assert len(asked) == 1


def test_waits_grow_and_end_with_the_time_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = [0.0], []
    monkeypatch.setattr(retries.time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    def ask() -> None:
        raise ValueError("Server returned non-2xx status code: 503 Service Unavailable: ")

    lines: list[str] = []
    with pytest.raises(ValueError, match="503"):
        Retries(180, lines.append, sleep).run(ask)
    assert 150 < sum(waits) <= 180
    assert all(wait <= retries.LONGEST_WAIT_SECONDS for wait in waits)
    assert waits[0] <= retries.FIRST_WAIT_SECONDS
    assert 4 <= len(lines) <= 7, "one line in half a minute"


# What a store refuses


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
    bucket = opened(store)
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
        opened(store).list_objects("logs/")


def test_a_number_in_a_key_is_not_a_status() -> None:
    error = ValueError(
        "Error performing GET http://x/part-00412.csv - Server returned status code: 418 Teapot"
    )
    assert "overwritten" not in describe_store_error(error)


def test_an_error_of_a_listing_of_unusual_keys_is_the_same(store: OddS3) -> None:
    store.put("logs//x", b"")
    bucket, answers = opened(store), iter([None])
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
    for ask in (lambda: place.read("a"), lambda: place.list("x"), lambda: place.write("a", b"")):
        with pytest.raises(LakeError, match=r"AccessDenied: the credentials may not \w+") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_an_unreachable_store_or_an_unknown_host_is_reported_immediately(
    store: OddS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    [port] = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(BucketError) as caught:
        opened(store, seconds=3600).list_objects("")
    assert str(caught.value) == (
        f"cannot list s3://{BUCKET}/: http://127.0.0.1:{port} refuses the connection: is the store running, and"
        " is AWS_ENDPOINT_URL right?"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://no-such-name.invalid")
    with pytest.raises(
        BucketError, match=r"http://no-such-name\.invalid has a host name that cannot be resolved"
    ):
        opened(store, seconds=3600).list_objects("")


def test_an_object_that_is_shorter_than_it_was_listed_is_not_taken_for_it(store: OddS3) -> None:
    bucket = opened(store)
    longer = [replace(item, size=item.size + 1) for item in bucket.list_objects("logs/")]
    with (
        pytest.raises(BucketError, match="only a part of it was received; run again"),
        bucket.read_documents([longer]) as batches,
    ):
        list(batches)


def test_a_message_of_a_library_is_busy_only_where_asking_again_may_help() -> None:
    assert (
        describe_transient_error(ValueError("Server returned non-2xx status code: 503 Service Unavailable: "))
        == "answers 503 Service Unavailable"
    )
    assert describe_transient_error(ValueError("status code: 404 Not Found")) == ""
    assert describe_transient_error(ValueError("HTTP error: error sending request … ConnectionRefused")) == ""
