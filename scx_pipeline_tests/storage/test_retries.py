"""Busy stores: requests are repeated with growing waits, reported, and given up in the end.

Errors that do not pass with time are not tested here, except that they are not repeated.
"""

from __future__ import annotations

import pytest

from scx_pipeline.errors import BucketError
from scx_pipeline.storage import retries
from scx_pipeline.storage.retries import Retries
from scx_pipeline.storage.store_errors import ADVICE, describe_transient_error
from scx_pipeline_tests.storage.buckets import KEYS, open_odd_bucket, read
from scx_pipeline_tests.support.servers.odd_s3 import OddS3, Refusal


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
    assert read(open_odd_bucket(store, lines, seconds=60)) == dict.fromkeys(KEYS, b"hello")
    assert lines == [f"the bucket {answer}; retrying for up to 60 s"]


@pytest.mark.usefixtures("quick")
def test_a_listing_of_unusual_keys_is_repeated_when_the_store_is_busy(store: OddS3) -> None:
    store.put("logs//x", b"")
    lines: list[str] = []
    bucket, times = open_odd_bucket(store, lines, seconds=60), iter(range(8))
    # The first listing is the library's, which refuses the key; the others are botocore's, which sends each request up to three times.
    store.refuse = lambda method, key: (503, "SlowDown") if next(times, 0) else None
    assert [item.key for item in bucket.list_objects("logs/")] == ["logs//x", *KEYS]
    assert lines == ["the bucket answers 503 SlowDown; retrying for up to 60 s"]


@pytest.mark.usefixtures("quick")
def test_a_request_with_a_partial_response_is_repeated(store: OddS3) -> None:
    refusing(store, 4, "truncate")
    assert read(open_odd_bucket(store, seconds=60)) == dict.fromkeys(KEYS, b"hello")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ((503, "SlowDown"), f"SlowDown: {ADVICE['SlowDown']}"),
        ("reset", "dropped the connection: check the network, and run again"),
    ],
)
def test_requests_to_a_store_that_stays_busy_are_given_up_in_the_end(
    store: OddS3, how: Refusal, message: str
) -> None:
    store.refuse = lambda method, key: how
    with pytest.raises(BucketError, match=message) as caught:
        open_odd_bucket(store, seconds=0.05).list_objects("logs/")
    assert "\n" not in str(caught.value)


def test_a_request_with_a_permanent_error_is_not_repeated() -> None:
    asked: list[int] = []

    def fail() -> None:
        asked.append(1)
        raise ValueError("Server returned non-2xx status code: 403 Forbidden")

    with pytest.raises(ValueError, match="403"):
        Retries(60).run(fail)
    assert len(asked) == 1


def test_waits_grow_and_end_within_the_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = [0.0], []
    monkeypatch.setattr(retries.time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    def fail() -> None:
        raise ValueError("Server returned non-2xx status code: 503 Service Unavailable: ")

    lines: list[str] = []
    with pytest.raises(ValueError, match="503"):
        Retries(180, lines.append, sleep).run(fail)
    assert 150 < sum(waits) <= 180
    assert all(wait <= retries.LONGEST_WAIT_SECONDS for wait in waits)
    assert waits[0] <= retries.FIRST_WAIT_SECONDS
    assert 4 <= len(lines) <= 7, "one line in half a minute"


def test_a_message_of_a_library_counts_as_busy_only_if_a_retry_may_help() -> None:
    assert (
        describe_transient_error(ValueError("Server returned non-2xx status code: 503 Service Unavailable: "))
        == "answers 503 Service Unavailable"
    )
    assert describe_transient_error(ValueError("status code: 404 Not Found")) == ""
    assert describe_transient_error(ValueError("HTTP error: error sending request … ConnectionRefused")) == ""
