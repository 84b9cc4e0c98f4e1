"""Bitmaps over the bytes of a block: a bit per byte, the first byte in the lowest bit of 64-bit words.

What the bits mean is decided by the scanner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words: TypeAlias = NDArray[np.uint64]
    Numbers: TypeAlias = NDArray[np.int64]


def to_bitmap(mask: NDArray[np.bool_]) -> Words:
    """Pack booleans into words of 64 bits, the first into the lowest bit."""
    import numpy as np

    packed = np.packbits(mask, bitorder="little")
    return (np.pad(packed, (0, -len(packed) % 8)) if len(packed) % 8 else packed).view(np.uint64)


def bit_positions(bits: Words, size: int) -> Numbers:
    """Return the positions of the bits that are set."""
    import numpy as np

    # flatnonzero is many times faster on booleans than on numbers.
    places: Numbers = np.flatnonzero(
        np.unpackbits(bits.view(np.uint8), count=size, bitorder="little").view(np.bool_)
    )
    return places


def counts_before(bits: Words, places: Numbers) -> Numbers:
    """Return how many bits are set before each of these positions."""
    import numpy as np

    counts = np.bitwise_count(bits)
    words = places >> 6
    below = bits[words] & ((np.uint64(1) << (places & 63).astype(np.uint64)) - np.uint64(1))
    found: Numbers = (np.cumsum(counts, dtype=np.int64) - counts)[words] + np.bitwise_count(below)
    return found


def shift_bits(bits: Words, before: int) -> Words:
    """Shift the bits by one position; `before` becomes the first bit."""
    import numpy as np

    moved = bits << np.uint64(1)
    moved[1:] |= bits[:-1] >> np.uint64(63)
    moved[0] |= np.uint64(before)
    return moved


def clear_bits_after(bits: Words, size: int) -> Words:
    """Clear the bits after the end of a block of this size, in place."""
    import numpy as np

    if size % 64:
        bits[-1] &= np.uint64((1 << size % 64) - 1)
    return bits


def last_bit(bits: Words, size: int) -> int:
    """Return the last bit of a block of this size."""
    return int(bits[-1]) >> ((size - 1) % 64) & 1


def prefix_parity(bits: Words, before: int) -> Words:
    """Return for each bit whether the number of set bits up to it is odd; `before` is the parity of earlier blocks."""
    import numpy as np

    parity = bits.copy()
    for width in (1, 2, 4, 8, 16, 32):
        parity ^= parity << np.uint64(width)
    words = np.bitwise_xor.accumulate(parity >> np.uint64(63))
    carried = np.empty_like(words)
    carried[0], carried[1:] = before, words[:-1] ^ np.uint64(before)
    parity ^= np.uint64(0) - carried
    return parity
