"""Why a run fails or a star cannot be looked at, by kind: one sentence to tell, and where docs/operate.md says what to do.
The text of an error is never told: it may name keys, values and addresses. It stands on the run's page."""

from __future__ import annotations

import re
from dataclasses import dataclass

GUIDE = "docs/operate.md"
BUCKET, WAREHOUSE, BUSY, PROCESS, OTHER = "bucket", "warehouse", "busy", "process", "other"
_CLASS = re.compile(r"[A-Za-z_]\w{0,63}")


@dataclass(frozen=True)
class Why:
    """A kind of failure, as it is told."""

    sentence: str
    anchor: str


WHY = {
    "gate": Why("A blocking check failed, so nothing was published: what stood before still stands.", "a-check-failed"),
    BUCKET: Why("The bucket cannot be listed, or an object of it cannot be read.", "the-bucket-cannot-be-read"),
    "source_file": Why("A source file cannot be read as the star declares it.", "a-file-cannot-be-read"),
    WAREHOUSE: Why("The warehouse cannot be reached, read or written.", "the-warehouse-cannot-be-reached"),
    BUSY: Why("Another run wrote the warehouse for longer than was waited for it.", "the-warehouse-is-busy"),
    "lake": Why("The lake cannot be read or written, or its build failed.", "the-lake-cannot-be-written"),
    "settings": Why("A setting is missing or malformed.", "a-setting-is-wrong"),
    "declaration": Why("A star's declaration or SQL is wrong.", "a-declaration-is-wrong"),
    "request": Why("It was asked for what cannot be done as it is.", "a-request-cannot-be-done"),
    PROCESS: Why("Its process ended before the run did: killed, out of memory, or gone with its machine.", "a-run-died"),
    OTHER: Why("It failed for a reason that its page tells.", "something-unforeseen"),
}  # fmt: skip


def kind_of(text: str) -> str:
    """A kind that may be told, of whatever a run says it failed of: one of ours, or the name of an exception's class."""
    return text if text in WHY or _CLASS.fullmatch(text) else OTHER


def sentence_of(kind: str) -> str:
    """What is told of a kind; of an exception that nobody foresaw, its class."""
    return WHY[kind].sentence if kind in WHY else f"It met an error that nobody foresaw: {kind_of(kind)}."


def guide_to(anchor: str) -> str:
    """Where the handbook says what to do."""
    return f"{GUIDE}#{anchor}"


def advice_on(kind: str) -> str:
    """Where the handbook says what to do about a kind."""
    return guide_to(WHY.get(kind, WHY[OTHER]).anchor)
