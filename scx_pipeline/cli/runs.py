"""The runs that a command starts: one for each scope that is due, shown while they go on and when they have ended.

What a run does in a warehouse or a lake does not belong here.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import DueMonths, MonthSelection
from scx_pipeline.cli.row_sources import RowSource
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.settings import Settings

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.orchestration.execute import RunOutcome


def run_and_report(
    compiled: CompiledStar, source: RowSource, selection: MonthSelection, *, as_json: bool
) -> None:
    """Run what is due, and again if that made months stale, and print the outcomes.

    Raises:
        typer.Exit: with code 1, if a run failed.
    """
    outcomes = run_due_scopes(compiled, source, selection, quiet=as_json)
    has_stale_months = any("stale_months" in outcome.numbers for outcome in outcomes)
    if selection is DueMonths.CHANGED and has_stale_months and all(outcome.success for outcome in outcomes):
        # These months were not due before. Without any, the bucket is not listed a second time.
        outcomes += run_due_scopes(compiled, source, selection, quiet=as_json)
    if as_json:
        rendering.print_json([_to_json(outcome) for outcome in outcomes])
    elif not outcomes:
        rendering.out.print(f"{compiled.star.name}: {source.up_to_date}")
    if not all(outcome.success for outcome in outcomes):
        raise typer.Exit(1)


def run_due_scopes(
    compiled: CompiledStar, source: RowSource, selection: MonthSelection, *, quiet: bool
) -> list[RunOutcome]:
    """Load or build each scope that is due by a run of its own, and return how the runs ended.

    If the run of the unpartitioned tables fails, months are loaded all the same, with the tables' previous rows.
    """
    scopes = source.find_scopes(compiled, source.settings, selection)
    if not scopes:  # importing Dagster takes longer than most comparisons
        return []

    from scx_pipeline.orchestration.execute import open_runner

    status = rendering.err.status("")
    scope = scopes[0]

    def show_progress(message: str) -> None:
        status.update(f"{compiled.star.name} {scope}: {message}")

    show_progress("starting")
    job_of = partial(source.job_name, compiled) if source.job_name else None
    outcomes: list[RunOutcome] = []
    opened = open_runner(compiled, source.settings, show_progress, job_of, source.tags())
    with nullcontext() if quiet else status, opened as run:
        for scope in scopes:
            outcome = run(scope)
            outcomes.append(outcome)
            if not quiet:
                rendering.show_outcome(compiled, outcome)
            if outcome.error:
                rendering.print_error(outcome.error)
    return outcomes


def fail_orphaned_runs(settings: Settings) -> None:
    """Mark runs whose process no longer exists as failed; Dagster is imported only if there are any."""
    from scx_pipeline.orchestration.runs.run_locks import runs_without_process

    if any(True for _ in runs_without_process(settings.home)):
        from scx_pipeline.orchestration.runs.instance import open_instance
        from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs

        with open_instance(settings.dagster_home) as instance:
            for run_id in fail_lost_runs(instance, settings.home):
                rendering.err.print(f"run {run_id} no longer has a process: it was marked as failed")


def _to_json(outcome: RunOutcome) -> dict[str, Any]:
    return {
        "run_id": outcome.run_id,
        "months": []
        if outcome.scope is UNPARTITIONED
        else [str(outcome.scope.first), str(outcome.scope.last)],
        "published": outcome.success or bool(outcome.held),
        "held": outcome.held,
        "error": outcome.error,
        "rows": outcome.rows,
        "table_rows": outcome.table_rows,
        **outcome.numbers,
        "checks": outcome.checks,
    }
