"""How the `scx` command renders results in the terminal: tables, stacked bars, JSON, progress and errors.

What is rendered is computed elsewhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import cycle
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.count_text import count_of

if TYPE_CHECKING:
    import pandas as pd

    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.model.query import Query
    from scx_pipeline.orchestration.execute import RunOutcome

COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red", "white", "bright_black")
FILLS = ("█", "▓", "▒", "░", "▚", "▞", "▙", "▟")  # make a chart readable without colors
BAR_WIDTH = 60
LABEL_WIDTH = 32
PIPE_WIDTH = 200  # a file or another program has no width, and needs names in full

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False)


def print_line(text: str, style: str | None = None) -> None:
    """Print text as it is: no markup, and no line breaks added."""
    out.print(text, style=style, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, for a script."""
    print(json.dumps(value, indent=2, default=str))


def print_error(message: str) -> None:
    """Print an error as one message on standard error."""
    err.print(Text("error: ", style="bold red").append(message, style="default"), soft_wrap=True)


def print_wait(message: str) -> None:
    """Print on standard error what a command waits for."""
    err.print(message, style="dim", markup=False)


@contextmanager
def show_progress(name: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show a status line on standard error, and yield the function that sets its message.

    Args:
        name: what is worked on; each message begins with it.
        quiet: whether to show nothing.
    """
    status = err.status(f"{name}: starting")
    with nullcontext() if quiet else status:
        yield lambda message: status.update(f"{name}: {message}")


def format_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RenderableType:
    """Return a table below its title; numbers are right-aligned, with thousands separators."""
    grid = RichTable(header_style="bold", box=None, pad_edge=False)
    cells = [list(row) for row in rows]
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in cells)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        grid.add_row(*(escape(format_value(value)) for value in row))
    return Group(Text(title, style="bold"), grid)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table below its title."""
    out.print(format_table(title, columns, rows))


def format_value(value: object) -> str:
    """Return a value as text, with thousands separators and yes or no."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def format_bytes(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


def show_frame(frame: pd.DataFrame, title: str, limit: int = 20) -> None:
    """Print the first rows of a query's result, with the columns that the query names."""
    rows = [[_to_python(value) for value in row] for row in frame.head(limit).itertuples(index=False)]
    years = {name for name in frame.columns if str(name) in ("year", "month") or str(name).endswith("_id")}
    shown = [
        [str(v) if name in years and v is not None else v for name, v in zip(frame.columns, row, strict=True)]
        for row in rows
    ]
    print_table(title, [str(name) for name in frame.columns], shown)
    if len(frame) > limit:
        out.print(f"… and {len(frame) - limit:,} more rows (--json prints all)", style="dim")


def show_chart(frame: pd.DataFrame, query: Query) -> None:
    """Print a query with a chart as stacked bars: one line per x, one color per series."""
    from scx_pipeline.reporting.queries import pivot

    wide = pivot(frame, query)
    highest = float(wide.sum(axis=1).max()) if len(wide) else 0.0
    colors: dict[Any, str] = dict(zip(wide.columns, cycle(COLORS), strict=False))
    fills: dict[Any, str] = dict(zip(wide.columns, cycle(FILLS), strict=False))
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
            length = round(float(value) / highest * BAR_WIDTH if highest else 0)
            line.append(fills[series] * length, style=colors[series])
        out.print(line.append(f" {int(row.sum()):,}", style="dim"))


def show_outcome(compiled: CompiledStar, outcome: RunOutcome) -> None:
    """Print the report of a run: rows per table, how many rows were read and rejected, and the checks.

    Failed checks that the run's error describes are left out.
    """
    if outcome.success or outcome.held:
        _show_published(compiled, outcome)
    for check in outcome.checks:
        message = f"{check['name']} on {check['table']}: {check['message']}"
        if not check["passed"] and message not in (outcome.error or ""):
            is_warning = check["severity"] == "warn"
            label, style = ("warning", "yellow") if is_warning else ("failed", "red")
            print_line(f"{label}: {message}", style)


def show_held(star: str, held: Mapping[Any, str]) -> None:
    """Print the held months of a star, those with the same reason in one line."""
    for reason in dict.fromkeys(held.values()):
        months = [str(month) for month, other in held.items() if other == reason]
        are_held = "is held" if len(months) == 1 else "are held"
        print_line(f"{star}: {', '.join(months)} {are_held}: {reason}", "yellow")


def _show_published(compiled: CompiledStar, outcome: RunOutcome) -> None:
    from scx_pipeline.reporting.freshness import declared_freshness_checks

    star, numbers = compiled.star, outcome.numbers
    watching = {(check.table, check.name) for check in declared_freshness_checks(star)}
    of_load = [check for check in outcome.checks if (check["table"], check["name"]) not in watching]
    is_refresh = outcome.scope is UNPARTITIONED
    rows = [
        (
            f"{star.schema_name}.{item.name}",
            item.role,
            sum(outcome.rows.get(item.name, {}).values()) if item.is_partitioned else None,
            outcome.table_rows.get(item.name),
            _count_passed([check for check in of_load if check["table"] == item.name]),
        )
        for item in (star.unpartitioned_tables if is_refresh else star.monthly_tables)
    ]
    columns = ["table", "role", "rows of these months", "rows of the table", "checks"]
    without = f" without {', '.join(outcome.held)}" if outcome.held else ""
    print_table(f"{star.name} {outcome.scope}{without}: published", *_without_empty(columns, rows))
    if "rows_read" in numbers:
        objects = "added object" if numbers["reads_added_objects_only"] else "object"
        of_held = " (those of held months included)" if outcome.held and numbers["rows_filtered"] else ""
        out.print(
            f"{count_of(numbers['objects_read'], objects)} ({format_bytes(numbers['bytes_read'])}), {count_of(numbers['rows_read'], 'row')} read: "
            f"{numbers['rows_rejected']:,} rejected, {numbers['rows_deduplicated']:,} deduplicated, "
            f"{numbers['rows_filtered']:,} filtered{of_held}"
        )
    if len(of_load) < len(outcome.checks):
        evaluated = [check for check in outcome.checks if check not in of_load]
        out.print(f"freshness and volume: {_count_passed(evaluated)}")
    if "rows_from" in numbers:
        print_line(f"loaded from {numbers['rows_from']}, which was built from these objects", "dim")
    if "stale_months" in numbers:
        out.print(f"months that are stale now: {numbers['stale_months']}", style="yellow")


def _without_empty(
    columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
    """Return the columns and rows of a table without the columns that have no values."""
    shown = [index for index in range(len(columns)) if any(row[index] is not None for row in rows)]
    return [columns[index] for index in shown], [[row[index] for index in shown] for row in rows]


def _count_passed(checks: Sequence[Mapping[str, Any]]) -> str:
    passed = sum(check["passed"] for check in checks)
    failed = sum(not check["passed"] and check["severity"] == "error" for check in checks)
    counts = {"passed": passed, "warned": len(checks) - passed - failed, "failed": failed}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count or word == "passed")


def to_records(frame: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return the rows of a frame as plain dicts, for JSON."""
    return [{str(name): _to_python(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _to_python(value: Any) -> Any:
    """Return a pandas value as a plain Python one; NaN and NaT become None."""
    value = value.item() if hasattr(value, "item") else value
    return None if value is not None and value != value else value
