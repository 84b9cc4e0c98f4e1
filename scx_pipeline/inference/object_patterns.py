"""Guess the prefix of a source and its patterns from the keys of sample objects, and the months that the keys name.

Whether the rows agree with those months is decided by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

_YEAR, _MONTH, _DAY = "(?:19|20)[0-9]{2}", "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
# From the most precise: a day, perhaps followed by a time; then a month.
_DATES = (
    (
        re.compile(rf"(?<![0-9]){_YEAR}([-_./]){_MONTH}\1{_DAY}(?![0-9])"),
        "{{year}}{gap}{{month}}{gap}{{day}}",
    ),
    (
        re.compile(rf"(?<![0-9]){_YEAR}(){_MONTH}{_DAY}(?=[0-9]{{4}}(?:[0-9]{{2}})?(?![0-9])|(?![0-9]))"),
        "{{year}}{gap}{{month}}{gap}{{day}}",
    ),
    (re.compile(rf"(?<![0-9]){_YEAR}([-_./]){_MONTH}(?![0-9])"), "{{year}}{gap}{{month}}"),
    (re.compile(rf"(?<![0-9]){_YEAR}(){_MONTH}(?![0-9])"), "{{year}}{gap}{{month}}"),
)
_HIVE = re.compile(rf"year={_YEAR}/month={_MONTH}(/day={_DAY})?")


@dataclass(frozen=True)
class ObjectPattern:
    """A prefix, and the pattern of the keys below it."""

    prefix: str
    pattern: str

    @property
    def names_month(self) -> bool:
        return "{month}" in self.pattern

    @property
    def without_month(self) -> ObjectPattern:
        """The same keys, whatever months they name."""
        return ObjectPattern(
            self.prefix, re.sub(r"(\{(year|month|day)\}[^/{]?)+", "*", self.pattern).replace("**", "*")
        )


def guess_pattern(keys: Sequence[str]) -> ObjectPattern:
    """Return the prefix and the pattern of sample keys."""
    templates = {_template(key) for key in keys}
    folders = [key.split("/")[:-1] for key in keys]
    shared = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    prefix = "".join(f"{names[0]}/" for names in shared)
    prefix = prefix[
        : min((prefix.find(part) for part in re.findall(r"[^/]*[0-9][^/]*/", prefix)), default=len(prefix))
    ]
    inner = {template[len(prefix) :] for template in templates}
    if len(inner) == 1:
        return ObjectPattern(prefix, inner.pop())
    suffixes = {re.sub(r"^[^.]*", "", key.rpartition("/")[2]) for key in keys}
    ending = suffixes.pop() if len(suffixes) == 1 else "*"
    is_flat = not any("/" in template for template in inner)
    return ObjectPattern(prefix, f"{'' if is_flat else '**/'}*{ending}")


def _template(key: str) -> str:
    """Return a key with fields in place of its dates, and wildcards in place of its other numbers."""
    key = _HIVE.sub(lambda found: "year={year}/month={month}" + ("/day={day}" if found[1] else ""), key)
    for pattern, fields in _DATES:
        key = pattern.sub(lambda found, fields=fields: fields.format(gap=found[1]), key)  # type: ignore[misc]
    return re.sub(r"[0-9]+", "*", key)
