"""An analysts' query and the chart of its result.

Running and drawing them does not belong here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scx_pipeline.model.fact import (
    Fact,
    Name,
)


class Chart(Fact):
    """How a query's result is drawn: one bar or line per `series` over `x`."""

    kind: Literal["bar", "line"] = "bar"
    x: Name
    y: Name
    series: Name | None = None


class Query(Fact):
    """A question of the analysts: `queries/<name>.sql`."""

    name: Name
    title: str
    chart: Chart | None = None
    as_written: bool = Field(False, description="its text runs as it stands, on every engine")
