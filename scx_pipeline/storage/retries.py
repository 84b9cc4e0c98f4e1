"""Retry requests to a store that is busy or drops the connection.

Which errors are transient is decided by their description.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from scx_pipeline.storage.store_errors import describe_transient_error

RETRY_SECONDS = 180.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.25, 10.0
MESSAGE_SECONDS = 30.0  # between two messages about waiting for a store

Response = TypeVar("Response")


@dataclass(frozen=True)
class Retries:
    """Repeats requests with growing waits, for up to `seconds`, and reports the waiting to `notify` now and then."""

    seconds: float = RETRY_SECONDS
    notify: Callable[[str], None] = lambda message: None
    sleep: Callable[[float], None] = time.sleep
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _reported: list[float] = field(default_factory=list, repr=False)

    def run(self, request: Callable[[], Response]) -> Response:
        """Return what the request returns. Raises its error if that is permanent, or after too long a time."""
        started, wait = time.monotonic(), FIRST_WAIT_SECONDS
        while True:
            try:
                return request()
            except Exception as error:
                reason = describe_transient_error(error)
                if not reason or time.monotonic() + wait - started > self.seconds:
                    raise
            self._report(reason)
            self.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _report(self, reason: str) -> None:
        now = time.monotonic()
        with self._lock:
            if self._reported and now - self._reported[-1] < MESSAGE_SECONDS:
                return
            self._reported[:] = [now]
        self.notify(f"the bucket {reason}; retrying for up to {self.seconds:g} s")
