"""Streams of random integers that are the same on every machine.

NumPy's distributions are not used: only its raw streams are stable between versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]


def create_rng(*key: int) -> np.random.PCG64:
    """Return the stream of raw words for a key of non-negative numbers."""
    import numpy as np

    return np.random.PCG64(np.random.SeedSequence(key))


def draw_integers(rng: np.random.PCG64, size: int, high: int | IntArray) -> IntArray:
    """Draw integers from 0 (inclusive) to `high` (exclusive).

    Each takes one word, so the rest of the stream does not depend on `high`.

    Args:
        rng: The stream to draw from.
        size: The number of integers.
        high: At most 2**31; one for all, or one for each.
    """
    import numpy as np

    words = (rng.random_raw(size) >> np.uint64(33)).astype(np.int64)
    return words * high >> 31
