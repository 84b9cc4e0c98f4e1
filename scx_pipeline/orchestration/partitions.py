"""Months as Dagster partitions: their definition, and the way between partition keys and spans.
Which objects belong to a month is decided in the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.star import Star

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def monthly(star: Star) -> dg.MonthlyPartitionsDefinition:
    """The star's months, from its first one to the current one, in UTC, as 2021-04."""
    return dg.MonthlyPartitionsDefinition(
        start_date=str(star.first_month), fmt="%Y-%m", timezone="UTC", end_offset=1
    )


def range_of_keys(keys: Sequence[str]) -> MonthRange:
    """The span of contiguous partition keys."""
    months = sorted(Month.parse(key) for key in keys)
    return MonthRange(months[0], months[-1])


def range_tags(scope: LoadScope) -> Mapping[str, str]:
    """The run tags that make a run load the span; Dagster's own are not shown in its list of runs, `months` is.

    None where the run is of the tables without months.
    """
    if scope is UNPARTITIONED:
        return {}
    return {RANGE_START: str(scope.first), RANGE_END: str(scope.last), "months": str(scope)}
