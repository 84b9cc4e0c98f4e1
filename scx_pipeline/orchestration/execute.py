"""Execution of one star's job in this process, as a run that is recorded in the Dagster instance.

How an outcome is displayed is not defined here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.orchestration.assets.events import HELD_MONTHS
from scx_pipeline.orchestration.assets.load_totals import read_totals
from scx_pipeline.orchestration.assets.table_assets import FROM_LAKE, LAKE_URL, ROWS_FROM
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.jobs import warehouse_job_name
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.runs.failed_runs import step_failure_message
from scx_pipeline.orchestration.runs.instance import open_instance
from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs
from scx_pipeline.orchestration.runs.run_locks import run_lock
from scx_pipeline.settings import Settings

JobOf = Callable[[LoadScope], str]


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run, from its events."""

    run_id: str
    scope: LoadScope
    success: bool
    error: str | None
    rows: Mapping[str, Mapping[str, int]]  # table → month → rows
    table_rows: Mapping[str, int]  # of the tables whose rows belong to no month
    numbers: Mapping[str, Any]  # of the load: objects, bytes, rows read, rejected …
    checks: list[Mapping[str, Any]] = field(default_factory=list)  # table, name, passed, severity, message
    # Months that the run could not publish, although it published others; each with the reason.
    held: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_runner(
    compiled: CompiledStar,
    settings: Settings,
    progress: Callable[[str], None],
    job_of: JobOf | None = None,
    tags: Mapping[str, str] = {},
) -> Iterator[Callable[[LoadScope], RunOutcome]]:
    """Yield a function that executes the star's job for a scope; it can be called repeatedly.

    Args:
        progress: Receives the progress messages of loads.
        job_of: Returns the name of the job for a scope; default: the job that loads the warehouse.
        tags: Tags of the runs, in addition to those of their months.
    """
    stars = dg.Definitions.merge(
        build_star(compiled, settings), dg.Definitions(loggers={"progress": _progress_logger(progress)})
    )
    definitions = with_resources(stars, settings)
    job_of = job_of or partial(warehouse_job_name, compiled.star)
    with open_instance(settings.dagster_home) as instance:
        fail_lost_runs(instance, settings.home)

        def run(scope: LoadScope) -> RunOutcome:
            run_id = str(uuid4())
            with run_lock(settings.home, run_id):
                result = definitions.resolve_job_def(job_of(scope)).execute_in_process(
                    instance=instance,
                    run_id=run_id,
                    tags={**range_tags(scope), **tags},
                    run_config={"loggers": {"progress": {}}},
                    raise_on_error=False,
                )
            return _outcome(result, scope, read_totals(instance, run_id))

        yield run


def lake_tags(url: str) -> Mapping[str, str]:
    """Return the tags of runs that load from the lake of a URL."""
    return {ROWS_FROM: FROM_LAKE, LAKE_URL: url}


def _progress_logger(progress: Callable[[str], None]) -> dg.LoggerDefinition:
    """Define a Dagster logger that passes on the progress messages of loads, without Dagster's own events."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {})
            if record.levelno == logging.INFO and not meta.get("dagster_event"):
                progress(str(meta.get("orig_message", record.getMessage())))

    def create_logger(context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("scx_pipeline.progress", logging.INFO)
        logger.addHandler(Handler())
        return logger

    return dg.LoggerDefinition(create_logger)


def _outcome(result: dg.ExecuteInProcessResult, scope: LoadScope, numbers: Mapping[str, Any]) -> RunOutcome:
    rows: dict[str, dict[str, int]] = {}
    table_rows: dict[str, int] = {}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        table, month = materialization.asset_key.path[-1], materialization.partition or ""
        values = {name: value.value for name, value in materialization.metadata.items()}
        if "dagster/row_count" in values:
            table_rows[table] = int(str(values["dagster/row_count"]))
        of_month = values.get("dagster/partition_row_count", table_rows.get(table, 0))
        rows.setdefault(table, {})[month] = int(str(of_month))
    checks: list[Mapping[str, Any]] = [
        {
            "table": check.asset_key.path[-1],
            "name": check.check_name,
            "passed": check.passed,
            "severity": check.severity.value.lower(),
            "message": check.description,
        }
        for check in result.get_asset_check_evaluations()
    ]
    held = _held_months(result)
    return RunOutcome(
        result.run_id, scope, result.success, _error(result), rows, table_rows, numbers, checks, held
    )


def _held_months(result: dg.ExecuteInProcessResult) -> Mapping[str, str]:
    """Return the months that the metadata of a failed step name as held, each with the reason."""
    for event in result.all_events:
        failure = event.step_failure_data.user_failure_data if event.is_step_failure else None
        if failure is not None and HELD_MONTHS in failure.metadata:
            table = failure.metadata[HELD_MONTHS]
            assert isinstance(table, dg.TableMetadataValue)
            return {str(row.data["month"]): str(row.data["reason"]) for row in table.records}
    return {}


def _error(result: dg.ExecuteInProcessResult) -> str | None:
    """Return the message of the first step that failed."""
    messages = [step_failure_message(event) for event in result.all_events if event.is_step_failure]
    return next(filter(None, messages), None if result.success else "the run did not start: run `scx doctor`")
