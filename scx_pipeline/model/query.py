"""An analysts' query and the chart of its result.

Running queries and drawing charts does not belong here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scx_pipeline.model.declaration import Declaration, Name


class Chart(Declaration):
    """The chart of a query's result: one bar or line per `series` over `x`."""

    kind: Literal["bar", "line"] = "bar"
    x: Name
    y: Name
    series: Name | None = None


class Query(Declaration):
    """A query for analysts, stored in `queries/<name>.sql`."""

    name: Name
    title: str
    chart: Chart | None = None
    as_written: bool = Field(False, description="run the text unchanged on every engine")
