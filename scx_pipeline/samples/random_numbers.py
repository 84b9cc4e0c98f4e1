"""The dice of all generators: streams of random whole numbers that are the same on every machine.
No distribution of numpy is used anywhere: it keeps its raw streams stable between versions, not those."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]


def dice(*key: int) -> np.random.PCG64:
    """The stream of raw words that belongs to this key of numbers of 0 or more."""
    import numpy as np

    return np.random.PCG64(np.random.SeedSequence(key))


def roll(bits: np.random.PCG64, size: int, sides: int | IntArray) -> IntArray:
    """`size` whole numbers from 0 up to, not including, `sides` (2**31 at most; one for all or one each).
    Takes one word a number, so what follows in the stream does not depend on `sides`."""
    import numpy as np

    words = (bits.random_raw(size) >> np.uint64(33)).astype(np.int64)
    return words * sides >> 31
