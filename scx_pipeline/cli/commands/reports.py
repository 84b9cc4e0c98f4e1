"""`scx rejected`, `analyze` and `doctor`: rejected rows, results of queries, and checks.

Nothing is changed in the warehouse.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_warehouse, load_star_named
from scx_pipeline.cli.options import AsJson, StarName, expand_option_groups
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.count_text import count_of
from scx_pipeline.settings import read_settings

if TYPE_CHECKING:
    from scx_pipeline.reporting.rejected_rows import RejectedRowFilter, RejectedRows

MAX_RAW_WIDTH = 80

app = typer.Typer()


@dataclass(frozen=True)
class RejectedOptions:
    """The options that select rejected rows."""

    month: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM", help="Rows of files that, by their names, may contain rows of this month."
        ),
    ] = None
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Rows with this text in the reason, in upper or lower case.")
    ] = ""
    file: Annotated[str, typer.Option(metavar="KEY", help="Rows of files with this text in their key.")] = ""

    def parse(self) -> RejectedRowFilter:
        """Return the filter. Raises PipelineError if the month is none."""
        from scx_pipeline.reporting.rejected_rows import RejectedRowFilter

        try:
            return RejectedRowFilter(Month.parse(self.month) if self.month else None, self.reason, self.file)
        except ValueError as error:
            raise PipelineError(str(error)) from None

    def __str__(self) -> str:
        """Return the options as they are written on the command line."""
        return "".join(f" --{name} {shlex.quote(value)}" for name, value in vars(self).items() if value)


@app.command(
    epilog="Example: scx rejected scx --limit 50   Example: scx rejected scx --month 2021-04 --reason integer"
)
@expand_option_groups
def rejected(
    star: StarName,
    options: RejectedOptions,
    limit: Annotated[int, typer.Option(min=1, help="The number of rows to show; --json prints all.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the rows that were rejected: file, line, column, reason and raw text.

    Rows whose load is "held" were rejected by the last load of a month that could not be published; they come first.

    A rejected row has no month, since its event time may be what is wrong: --month shows the rows of the files whose names
    allow rows of that month, and of the files whose names contain no month.
    """
    from scx_pipeline.reporting.rejected_rows import read_rejected_rows

    compiled, wanted = load_star_named(star), options.parse()
    with configured_warehouse(read_settings()).open_loaded() as session:
        found = read_rejected_rows(session, compiled.star, wanted, None if as_json else limit)
    columns = ["file", "line", "column", "reason", "raw", "load"]
    if as_json:
        rendering.print_json([dict(zip(columns, row, strict=True)) for row in found.rows])
        return
    _show_rejected(f"{star}{options}", found, columns)


def _show_rejected(selection: str, found: RejectedRows, columns: Sequence[str]) -> None:
    """Print the rows and how many there are; without rows, only that there are none."""
    if found.rows:
        shown = [(*row[:4], str(row[4])[:MAX_RAW_WIDTH], row[5]) for row in found.rows]
        rendering.print_table(f"{selection}: {count_of(found.stored, 'stored rejected row')}", columns, shown)
    else:
        rendering.print_line(f"{selection}: no stored rejected rows")
    more = found.stored - len(found.rows)
    if more:
        how = f"`scx rejected {selection} --limit {found.stored}`"
        rendering.print_line(f"{count_of(more, 'more row')}; to see all: {how}", "dim")
    if found.not_stored:
        rendering.print_line(
            f"only counted, not stored: {count_of(found.not_stored, 'row')} of these files, because a file has more than "
            "max_stored_rejects, the load reached its limit for stored rows, or SCX_KEEP_REJECTED_DAYS have passed",
            "dim",
        )


@app.command(epilog="Example: scx analyze scx ground_profile_by_month")
def analyze(
    star: StarName,
    query: Annotated[str | None, typer.Argument(help="One of the star's queries; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the analysts' queries, and show each result as a table and a chart."""
    from scx_pipeline.reporting.queries import find_query, run_query

    compiled = load_star_named(star)
    queries = [find_query(compiled, query)] if query else list(compiled.star.queries)
    results: dict[str, Any] = {}
    with configured_warehouse(read_settings()).open_loaded() as session:
        for item in queries:
            frame = run_query(session, compiled, item.name)
            results[item.name] = rendering.to_records(frame)
            if not as_json:
                rendering.show_frame(frame, item.title)
                if item.chart:
                    rendering.show_chart(frame, item)
                rendering.out.print()
    if as_json:
        rendering.print_json(results)
    elif not results:
        rendering.out.print(f"{star} has no queries: add them to its defs.yaml (docs/stars.md)")


@app.command(epilog="Example: scx doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check settings, versions, bucket, warehouse and permissions, and advise what to fix."""
    from scx_pipeline.services.check_list import report_checks

    outcomes = list(report_checks(read_settings()))
    if as_json:
        rendering.print_json([vars(item) for item in outcomes])
    else:
        for item in outcomes:
            label = "[green]ok  [/green]" if item.passed else "[red]fix [/red]"
            rendering.out.print(f"{label} [bold]{item.name}[/bold]  ", end="")
            rendering.print_line(item.found)
            if not item.passed:
                rendering.out.print(f"     → {item.advice}", markup=False)
    if not all(item.passed for item in outcomes):
        raise typer.Exit(1)
