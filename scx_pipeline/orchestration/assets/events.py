"""A load's report as Dagster events: materializations with metadata, and results of checks.

Nothing is loaded or computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import dagster as dg

from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline.orchestration.assets.metadata import AssetKeyOf, load_metadata

FAILURE_KIND, HELD_MONTHS = "kind", "held_months"  # keys in a failure's metadata


def report_load(
    context: dg.AssetExecutionContext,
    load: Callable[[], LoadReport],
    selected: set[str] | None,
    key: AssetKeyOf,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Run a load and report its results as events.

    Args:
        load: Runs the load and returns its report.
        selected: The tables whose assets were selected; None selects all.
        key: Returns the asset key of a table.

    Raises:
        Failure: The load failed, or months are held; the results of its checks are reported nevertheless, and the
            materializations of the months that were published.
    """
    try:
        report = load()
    except CheckFailedError as error:
        assert isinstance(error.report, LoadReport)
        if error.report.is_published:
            # Not as results of the step, which would materialize the held months too.
            _log_materializations(context, error.report, set(error.report.tables), key)
        yield from _check_load_events(context, error.report, key)
        raise step_failure(error, error.report.held) from None
    except PipelineError as error:
        raise step_failure(error) from None
    yield from _load_events(context, report, set(report.tables) if selected is None else selected, key)


def step_failure(error: PipelineError, held: Mapping[Month, str] = {}) -> dg.Failure:
    """Return the failure of a step, with the error's message, and with its kind for alerts, which must not contain the message.

    Args:
        error: What failed.
        held: The months that a load could not publish, with the reasons, if it published others.
    """
    metadata: dict[str, str | dict[str, str]] = {FAILURE_KIND: error.kind}
    if held:
        metadata[HELD_MONTHS] = {str(month): reason for month, reason in held.items()}
    return dg.Failure(str(error), metadata=metadata, allow_retries=False)


def _load_events(
    context: dg.AssetExecutionContext, report: LoadReport, selected: set[str], key: AssetKeyOf
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Yield the events of a load that was published."""
    # Tables that were published together with selected ones that they are derived from.
    _log_materializations(context, report, report.tables.keys() - selected, key)
    for name in [name for name in report.tables if name in selected]:
        for month in report.tables[name].rows:
            context.add_asset_metadata(
                _metadata(report, name, month), asset_key=key(name), partition_key=_partition_key(month)
            )
        yield dg.MaterializeResult(asset_key=key(name))
    for part in report.rebuilds:  # months that were published together with unpartitioned tables
        _log_materializations(context, part, part.tables, key)
        for values in _check_values(part, key):
            context.log_event(dg.AssetCheckEvaluation(**values))
    yield from _check_load_events(context, report, key)


def _log_materializations(
    context: dg.AssetExecutionContext, report: LoadReport, tables: Collection[str], key: AssetKeyOf
) -> None:
    """Log the materializations of tables month by month, other than as results of the step."""
    for name in report.tables:
        for month in report.tables[name].rows if name in tables else ():
            context.log_event(
                dg.AssetMaterialization(
                    key(name), partition=_partition_key(month), metadata=_metadata(report, name, month)
                )
            )


def _metadata(report: LoadReport, table: str, month: Month | None) -> dict[str, Any]:
    return {**load_metadata(report, table, month), **report.origin}


def _partition_key(month: Month | None) -> str | None:
    return str(month) if month else None


def _check_load_events(
    context: dg.AssetExecutionContext, report: LoadReport, key: AssetKeyOf
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of the selected checks."""
    for values in _check_values(report, key):
        if dg.AssetCheckKey(values["asset_key"], values["check_name"]) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(**values)


def _check_values(report: LoadReport, key: AssetKeyOf) -> Iterator[dict[str, Any]]:
    """Yield the values of each check's AssetCheckResult or AssetCheckEvaluation."""
    months = {} if report.scope is UNPARTITIONED else {"months": str(report.scope)}
    for result in report.checks:
        yield {
            "asset_key": key(result.table),
            "check_name": result.name,
            "passed": result.passed,
            "severity": dg.AssetCheckSeverity.WARN
            if result.severity == "warn"
            else dg.AssetCheckSeverity.ERROR,
            "description": result.message,
            "metadata": {
                **months,
                **({"violations": dict(result.violations)} if result.violations else {}),
            },
        }
