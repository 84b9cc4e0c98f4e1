"""How the `scx` command shows things: tables, stacked bars and plain errors in the terminal.
Nothing is computed here; what is shown comes from the engine."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.model.query import Query
    from scx_pipeline.orchestration.runs.execute import RunOutcome

COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red", "white", "bright_black")
FILLS = ("█", "▓", "▒", "░", "▚", "▞", "▙", "▟")  # so that a chart can be read without colours
BAR_WIDTH = 60
LABEL_WIDTH = 32
WHOLE = "tables without months"
PIPE_WIDTH = 200  # a file or another program has no width, and cut names would be of no use to it

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RenderableType:
    """A table below its title; numbers are right-aligned, with thousands separated."""
    grid = Grid(header_style="bold", box=None, pad_edge=False)
    cells = [list(row) for row in rows]
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in cells)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        grid.add_row(*(escape(plain(value)) for value in row))
    return Group(Text(title, style="bold"), grid)


def plain(value: object) -> str:
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def size(count: int) -> str:
    """A number of bytes, for people."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1000
    raise AssertionError


def show_frame(frame: pd.DataFrame, title: str, limit: int = 20) -> None:
    """The first rows of a query's result, columns as the query names them."""
    rows = [[_unboxed(value) for value in row] for row in frame.head(limit).itertuples(index=False)]
    years = {name for name in frame.columns if str(name) in ("year", "month") or str(name).endswith("_id")}
    shown = [
        [str(v) if name in years and v is not None else v for name, v in zip(frame.columns, row, strict=True)]
        for row in rows
    ]
    out.print(table(title, [str(name) for name in frame.columns], shown))
    if len(frame) > limit:
        out.print(f"… and {len(frame) - limit:,} more rows (--json gives all)", style="dim")


def show_chart(frame: pd.DataFrame, query: Query) -> None:
    """Stacked bars of a query with a chart: one line per x, one colour per series."""
    from scx_pipeline.reporting.queries import pivot

    wide = pivot(frame, query)
    most = float(wide.sum(axis=1).max()) if len(wide) else 0.0
    colors: dict[Any, str] = dict(
        zip(wide.columns, COLORS * (len(wide.columns) // len(COLORS) + 1), strict=False)
    )
    fills: dict[Any, str] = dict(
        zip(wide.columns, FILLS * (len(wide.columns) // len(FILLS) + 1), strict=False)
    )
    legend = Text()
    for name, color in colors.items():
        legend.append(f"{fills[name]} ", style=color).append(f"{name}  ")
    out.print(legend)
    labels = [str(label) for label in wide.index]
    width = min(LABEL_WIDTH, max(map(cell_len, labels), default=0))
    for label, (_, row) in zip(labels, wide.iterrows(), strict=True):
        shown = label if cell_len(label) <= width else f"{set_cell_size(label, width - 1)}…"
        line = Text(f"{set_cell_size(shown, width)}  ")
        for series, value in row.items():
            line.append(
                fills[series] * round(float(value) / most * BAR_WIDTH if most else 0), style=colors[series]
            )
        out.print(line.append(f" {int(row.sum()):,}", style="dim"))


def show_outcome(compiled: CompiledStar, outcome: RunOutcome) -> None:
    """The report of a load: rows per table, what became of the rows read, and the checks."""
    star, numbers = compiled.star, outcome.numbers
    if outcome.success:
        rows = [
            (
                f"{star.schema_name}.{item.name}",
                item.role,
                sum(outcome.rows.get(item.name, {}).values()),
                _checks(outcome, item.name),
            )
            for item in (star.monthly if outcome.scope else star.unpartitioned)
        ]
        counted = "rows of these months" if outcome.scope else "rows"
        out.print(
            table(
                f"{star.name} {outcome.scope or WHOLE}: published", ["table", "role", counted, "checks"], rows
            )
        )
        if "rows_read" in numbers:
            out.print(
                f"{numbers['objects_read']:,} objects ({size(numbers['bytes_read'])}), {numbers['rows_read']:,} rows read: "
                f"{numbers['rows_rejected']:,} rejected, {numbers['rows_deduplicated']:,} deduplicated, "
                f"{numbers['rows_of_other_months']:,} of other months"
            )
        if "rows_from" in numbers:
            where = f"out of {numbers['rows_from']}, whose build read these objects"
            out.print(Text(where, style="dim"), soft_wrap=True)
        if "stale_months" in numbers:
            out.print(f"months that are stale now: {numbers['stale_months']}", style="yellow")
    for check in outcome.checks:
        if not check["passed"]:
            word = "warning" if check["severity"] == "warn" or outcome.success else "failed"
            style = "yellow" if word == "warning" else "red"
            out.print(Text(f"{word}: {check['name']} on {check['table']}: {check['message']}", style=style))


def _checks(outcome: RunOutcome, name: str) -> str:
    checks = [check for check in outcome.checks if check["table"] == name]
    passed = sum(check["passed"] for check in checks)
    return f"{passed} passed" if passed == len(checks) else f"{passed} passed, {len(checks) - passed} warned"


def error(message: str) -> None:
    """An error, as one message on standard error."""
    err.print(Text("error: ", style="bold red").append(message, style="default"), soft_wrap=True)


def _unboxed(value: Any) -> Any:
    """A pandas value as a plain Python one; NaN and NaT are None."""
    value = value.item() if hasattr(value, "item") else value
    return None if value is not None and value != value else value


def records(frame: pd.DataFrame) -> list[Mapping[str, Any]]:
    """A frame as plain rows, for JSON."""
    return [{str(name): _unboxed(value) for name, value in row.items()} for row in frame.to_dict("records")]
