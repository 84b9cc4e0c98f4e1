"""Translate exceptions of libraries into one-line errors of the pipeline, with advice on what to do.

The advice itself belongs to the package that knows the library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

# What occurs in a message or an error code, and what to do about it.
AdviceTable: TypeAlias = Sequence[tuple[str, str]]


def find_advice(message: str, table: AdviceTable) -> str:
    """Return the advice of the table's first entry that occurs in the message, ignoring case; empty if none does."""
    found = message.lower()
    return next((advice for sign, advice in table if sign.lower() in found), "")


@contextmanager
def translate_errors(
    translate: Callable[[Any], Exception | None],
    *types: type[BaseException],
    with_cause: bool = True,
) -> Iterator[None]:
    """Raise what `translate` returns for an exception of the block, or the exception itself where it returns None.

    Args:
        translate: Returns the pipeline's error for an exception.
        types: The types of exceptions to translate; every `Exception` by default.
        with_cause: Whether the library's exception stays the cause of the pipeline's error.
    """
    caught = types or (Exception,)
    try:
        yield
    except caught as error:
        translated = translate(error)
        if translated is None:
            raise
        raise translated from (error if with_cause else None)
