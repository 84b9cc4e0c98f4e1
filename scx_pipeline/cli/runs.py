"""Runs that a command asks for: which parts of a star, one run each, shown while they go and when they have ended.
What a run does is in `orchestration`; the commands are in `cli` and `cli_lake`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import months_named
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import LoadScope, MonthRange, contiguous_ranges
from scx_pipeline.settings import Settings

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.loading.changes import Plan
    from scx_pipeline.orchestration.runs.execute import JobOf, RunOutcome

CHANGED, EVERYTHING = "changed", "everything"


def choose(
    month: str | None, first: str | None, last: str | None, changed: bool, everything: bool
) -> str | tuple[str, str]:
    """What the options ask for: CHANGED, EVERYTHING, or the first and last month. Raises PipelineError where they contradict
    each other."""
    if sum([bool(month), bool(first or last), changed, everything]) > 1:
        raise PipelineError("choose one of --month, --from/--to, --changed and --all")
    return months_named(month, first, last) or (EVERYTHING if everything else CHANGED)


def scopes_due(compiled: CompiledStar, planned: Plan, choice: str) -> list[MonthRange]:
    """The spans of months that a plan and a choice without months ask for."""
    if choice == CHANGED:
        return contiguous_ranges([item.month for item in planned.changed])
    months = [
        item
        for item in compiled.star.months()
        if planned.selection.has_objects(item) or item in planned.loaded
    ]
    if not months and compiled.star.unpartitioned:
        return []
    return [MonthRange(min(months), max(months))] if months else [compiled.star.months()]


def run_parts(
    compiled: CompiledStar,
    settings: Settings,
    parts: Sequence[LoadScope],
    *,
    quiet: bool,
    job_of: JobOf | None = None,
    tags: Callable[[], Mapping[str, str]] = dict,
) -> list[RunOutcome]:
    """Load or build each span, and the tables without months, by a run of its own, showing how it goes and how it ended.

    Where the tables without months fail, months are loaded all the same, with what stands.
    """
    outcomes: list[RunOutcome] = []
    if not parts:  # nor is Dagster wanted, whose import takes longer than most looks at a bucket
        return outcomes

    from scx_pipeline.orchestration.runs.execute import open_runner

    line = rendering.err.status("")
    doing = _name(compiled, parts[0])

    def progress(message: str) -> None:
        line.update(f"{doing}: {message}")

    progress("starting")
    opened = open_runner(compiled, settings, progress, job_of, tags())
    with nullcontext() if quiet else line, opened as run:
        for part in parts:
            doing = _name(compiled, part)
            outcome = run(part)
            outcomes.append(outcome)
            if not quiet:
                rendering.show_outcome(compiled, outcome)
            if outcome.error:
                rendering.error(outcome.error)
    return outcomes


def report_lost_runs(settings: Settings) -> None:
    """Report runs whose process is gone as failed; Dagster is imported only where there are any."""
    from scx_pipeline.orchestration.runs.run_locks import runs_without_process

    if any(True for _ in runs_without_process(settings.home)):
        from scx_pipeline.orchestration.runs.instance import open_instance
        from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs

        with open_instance(settings.dagster_home) as instance:
            for run_id in fail_lost_runs(instance, settings.home):
                rendering.err.print(f"run {run_id} no longer has a process: it was reported as failed")


def _name(compiled: CompiledStar, part: LoadScope) -> str:
    return f"{compiled.star.name} {part or rendering.WHOLE}"


def outcome_json(outcome: RunOutcome) -> dict[str, Any]:
    """How a run ended, for a script."""
    return {
        "run_id": outcome.run_id,
        "months": [str(outcome.scope.first), str(outcome.scope.last)] if outcome.scope else [],
        "published": outcome.success,
        "error": outcome.error,
        "rows": outcome.rows,
        **outcome.numbers,
        "checks": outcome.checks,
    }
