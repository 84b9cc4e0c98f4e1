"""The kinds of failures: a sentence for alerts, and the section of docs/operate.md that says what to do.

The text of an error never gets into an alert: it may contain keys, values and addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GUIDE = "docs/operate.md"
BUCKET, WAREHOUSE, BUSY, PROCESS, OTHER = "bucket", "warehouse", "busy", "process", "other"
_CLASS = re.compile(r"[A-Za-z_]\w{0,63}")


@dataclass(frozen=True)
class FailureKind:
    """A kind of failure: how an alert describes it, and its section in the handbook."""

    sentence: str
    anchor: str


FAILURE_KINDS = {
    "blocking_check": FailureKind("A blocking check failed: the months that violate it were not published and keep their previous rows.", "a-check-failed"),
    BUCKET: FailureKind("The bucket cannot be listed, or one of its objects cannot be read.", "the-bucket-cannot-be-read"),
    "source_file": FailureKind("A source file does not match its declaration in the star.", "a-file-cannot-be-read"),
    WAREHOUSE: FailureKind("The warehouse cannot be reached, read or written.", "the-warehouse-cannot-be-reached"),
    BUSY: FailureKind("Another run kept the warehouse locked for longer than the lock timeout.", "the-warehouse-is-busy"),
    "lake": FailureKind("The lake cannot be read or written, or its build failed.", "the-lake-cannot-be-written"),
    "settings": FailureKind("A setting is missing or malformed.", "a-setting-is-wrong"),
    "declaration": FailureKind("A star's declaration or SQL is wrong.", "a-declaration-is-wrong"),
    "request": FailureKind("The request cannot be carried out.", "a-request-cannot-be-done"),
    PROCESS: FailureKind("The run's process ended before the run did: it was killed, ran out of memory, or its machine went down.", "a-run-died"),
    OTHER: FailureKind("The run failed for a reason that its page shows.", "an-unexpected-error"),
}  # fmt: skip


def public_kind(text: str) -> str:
    """Return the text if it is safe to send, as one of our kinds or the name of an exception's class; otherwise OTHER."""
    return text if text in FAILURE_KINDS or _CLASS.fullmatch(text) else OTHER


def describe_kind(kind: str) -> str:
    """Return a sentence about a kind of failure; an unexpected exception is described by its class."""
    if kind in FAILURE_KINDS:
        return FAILURE_KINDS[kind].sentence
    return f"An unexpected error occurred: {public_kind(kind)}."


def guide_link(anchor: str) -> str:
    """Return the link to a section of the handbook."""
    return f"{GUIDE}#{anchor}"


def advice_link(kind: str) -> str:
    """Return the link to what the handbook says about a kind of failure."""
    return guide_link(FAILURE_KINDS.get(kind, FAILURE_KINDS[OTHER]).anchor)
