"""An analysts' query and the chart of its result.

Running queries and drawing charts does not belong here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scx_pipeline.model.declaration import Declaration, Name


class Chart(Declaration):
    """The chart of a query's result: one bar or line per `series` over `x`."""

    kind: Literal["bar", "line"] = Field("bar", description="bars that are stacked by series, or lines")
    x: Name = Field(description="the column of the result whose values are along the chart")
    y: Name = Field(description="the column with the numbers")
    series: Name | None = Field(None, description="the column with a value for each bar or line at an x")


class Query(Declaration):
    """A query for analysts, stored in `queries/<name>.sql`."""

    name: Name = Field(description="its name, for `scx analyze`, and that of its SQL file")
    title: str = Field(description="the question that it answers, as a heading")
    chart: Chart | None = Field(None, description="how the result is drawn; default: a table only")
    as_written: bool = Field(False, description="run the text unchanged on every engine")
