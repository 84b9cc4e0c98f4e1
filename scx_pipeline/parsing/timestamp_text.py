"""Patterns of the texts that are accepted as timestamps and dates, and the range of their values.

The rules that use them apply to every text format.
"""

from __future__ import annotations

import re

# The shapes of nearly all values: LIKE is cheaper than a regular expression.
TIMESTAMP_SHAPE = "____-__-__ __:__:__"
DATE_SHAPE = "____-__-__"

# A zone must be Z or an offset: names of zones are ambiguous. Digits after the microseconds must be zeros, as no engine
# could store others.
_DATE, _TIME = " *[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}", "(?: +|T)[0-9]{1,2}:[0-9]{1,2}"
_ZONE = "(?:Z|[+-](?:0[0-9]|1[0-3])(?::?[0-5][0-9])?|[+-]14(?::?00)?)"
TIMESTAMP_PATTERN = f"{_DATE}(?:{_TIME}(?::[0-9]{{1,2}}(?:[.][0-9]{{0,6}}0*)?)?{_ZONE}?)? *"
UNSUPPORTED_ZONE = re.compile(rf"{_DATE}{_TIME}(?::[0-9]{{1,2}}(?:[.][0-9]*)?)?(?!{_ZONE} *$) *[A-Za-z+-].*")
FINER_THAN_MICROSECOND = re.compile(rf"{_DATE}{_TIME}:[0-9]{{1,2}}[.][0-9]{{7,}}{_ZONE}? *")

# The years 1 to 9999, which every engine's calendar has; infinity is not accepted.
FIRST_MICROSECOND, LAST_MICROSECOND = -62_135_596_800_000_000, 253_402_300_799_999_999
IN_CALENDAR = "BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
