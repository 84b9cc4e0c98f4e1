"""Describe why a text is not a JSON record, in the words of a person.

Whether it is one is decided by DuckDB; Python's parser only explains it.
"""

from __future__ import annotations

import json
import re


def describe_syntax_error(raw: str) -> str | None:
    """Return why a text is not a JSON object, or None where Python's parser accepts it."""
    if "\ufffd" in raw:
        return "is not UTF-8"
    try:
        if not isinstance(json.loads(raw, parse_constant=_reject_constant), dict):
            return "is not an object"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        return f"is not JSON: {str(getattr(error, 'msg', error)).removesuffix(' at')}{where}"
    return (
        "has half a surrogate pair"
        if re.search(r"\\u[dD][89a-fA-F]", raw) and not _has_paired_surrogates(raw)
        else None
    )


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _has_paired_surrogates(raw: str) -> bool:
    """Return whether every escaped surrogate has its other half."""
    rest = re.sub(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", "", raw)
    return re.search(r"\\u[dD][89a-fA-F]", rest) is None
