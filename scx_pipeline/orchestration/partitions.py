"""Months as Dagster partitions: their definition, and the conversion between partition keys, run tags and month ranges.

Which objects belong to a month is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.star import Star

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def monthly(star: Star) -> dg.MonthlyPartitionsDefinition:
    """Return the star's partitions: its first month to the current one, in UTC, with keys such as 2021-04."""
    return dg.MonthlyPartitionsDefinition(
        start_date=str(star.first_month), fmt="%Y-%m", timezone="UTC", end_offset=1
    )


def range_of_keys(keys: Sequence[str]) -> MonthRange:
    """Return the range of contiguous partition keys."""
    months = sorted(Month.parse(key) for key in keys)
    return MonthRange(months[0], months[-1])


def range_tags(scope: LoadScope) -> Mapping[str, str]:
    """Return the tags that make a run load a range of months; empty for unpartitioned tables.

    `months` is for people: the list of runs in the UI does not show Dagster's own tags.
    """
    if scope is UNPARTITIONED:
        return {}
    return {RANGE_START: str(scope.first), RANGE_END: str(scope.last), "months": str(scope)}


def month_range_of(tags: Mapping[str, str]) -> MonthRange | None:
    """Return the range of months that a run's tags name; None if they name none."""
    first = tags.get(RANGE_START) or tags.get(PARTITION, "")
    try:
        return MonthRange(Month.parse(first), Month.parse(tags.get(RANGE_END) or first))
    except ValueError:
        return None
