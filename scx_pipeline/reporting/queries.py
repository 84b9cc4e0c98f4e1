"""The declared queries of a star as pandas frames, and their charts.

Showing a frame or chart does not belong here.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline.model.query import Chart, Query
from scx_pipeline.warehouse.session import Session

if TYPE_CHECKING:
    import pandas as pd

LABEL_LENGTH = 40


def run_query(session: Session, compiled: CompiledStar, name: str) -> pd.DataFrame:
    """Run one of the star's queries. Raises PipelineError for an unknown name or before the first load."""
    found = session.catalog.list_columns(
        compiled.star.schema_name, [table.name for table in compiled.star.tables]
    )
    missing = [table.name for table in compiled.star.tables if table.name not in found]
    if missing:
        name = compiled.star.name
        raise WarehouseError(
            f"{compiled.star.schema_name}.{missing[0]} does not exist yet, so {name} cannot be queried: run `scx load {name}` first"
        )
    return session.read_frame(compiled.query_sql(find_query(compiled, name), session.capabilities))


def find_query(compiled: CompiledStar, name: str) -> Query:
    """Return the declared query. Raises PipelineError with the known names."""
    for query in compiled.star.queries:
        if query.name == name:
            return query
    known = ", ".join(query.name for query in compiled.star.queries)
    raise PipelineError(f"{compiled.star.name} has no query {name!r}; it has: {known or 'none'}")


def pivot(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    """Pivot a frame for its chart: one row per x, one column per series, 0 for missing combinations."""
    chart = query.chart
    assert chart is not None
    if chart.series is None:
        return frame.set_index(chart.x)[[chart.y]]
    filled = frame.assign(**{chart.series: frame[chart.series].fillna("(none)")})
    wide = filled.pivot_table(
        index=chart.x, columns=chart.series, values=chart.y, aggfunc="sum", fill_value=0
    )
    return wide[wide.sum().sort_values(ascending=False).index]


def _plot(axes: Any, wide: pd.DataFrame, chart: Chart) -> None:
    """Plot horizontal bars with names on their left, vertical bars with numbers below, or lines."""
    stacked = chart.kind == "bar"
    if stacked and wide.index.dtype.kind not in "iuf":
        shown = wide.rename(index=_short).iloc[::-1]
        shown.plot(ax=axes, kind="barh", stacked=True, width=0.85, fontsize=8, legend=len(wide.columns) > 1)
        axes.set_xlabel(chart.y)
        axes.set_ylabel("")
        return
    labels = wide.rename(index=str)
    labels.plot(ax=axes, kind="bar", stacked=True, width=0.85) if stacked else labels.plot(ax=axes)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, reverse=stacked)
    step = max(1, len(wide) // 12)
    axes.set_xticks(
        range(0, len(wide), step), [str(value) for value in wide.index[::step]], rotation=0, fontsize=8
    )
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)


def _short(label: object) -> str:
    """Shorten a label to leave room for its bar, and escape $, which starts a formula."""
    text = str(label)
    return (text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…").replace("$", r"\$")


def draw(frame: pd.DataFrame, query: Query) -> bytes:
    """Draw the query's chart as a PNG image."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    assert query.chart is not None
    wide = pivot(frame, query)
    figure, axes = plt.subplots(figsize=(9, 4), dpi=110, layout="constrained")
    if not wide.empty:
        _plot(axes, wide, query.chart)
    axes.set_title(query.title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # Characters that the font lacks are drawn as boxes.
        figure.savefig(image, format="png")
    plt.close(figure)
    return image.getvalue()
