"""A load's report as Dagster events: materializations with metadata, and results of checks.

Nothing is loaded or computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.orchestration.assets.metadata import AssetKeyOf, load_metadata

TableMetadata = Mapping[str, Mapping[str, Any]]  # by table
FAILURE_KIND = "kind"  # key in a failure's metadata


def report_load(
    context: dg.AssetExecutionContext,
    load: Callable[[], LoadReport],
    selected: set[str] | None,
    key: AssetKeyOf,
    columns: TableMetadata,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Run a load and report its results as events.

    Args:
        load: Runs the load and returns its report.
        selected: The tables whose assets were selected; None selects all.
        key: Returns the asset key of a table.
        columns: The metadata of each table's columns.

    Raises:
        Failure: The load failed; the results of its checks are reported nevertheless.
    """
    try:
        report = load()
    except CheckFailedError as error:
        assert isinstance(error.report, LoadReport)
        yield from _check_load_events(context, error.report, key)
        raise step_failure(error) from None
    except PipelineError as error:
        raise step_failure(error) from None
    selected = set(report.tables) if selected is None else selected
    yield from _load_events(context, report, selected, key, columns)


def step_failure(error: PipelineError) -> dg.Failure:
    """Return the failure of a step, with the error's message, and with its kind for alerts, which must not contain the message."""
    return dg.Failure(str(error), metadata={FAILURE_KIND: error.kind}, allow_retries=False)


def _load_events(
    context: dg.AssetExecutionContext,
    report: LoadReport,
    selected: set[str],
    key: AssetKeyOf,
    columns: TableMetadata,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Yield the events of a load that was published."""
    yield from _materializations(context, report, selected, key, columns)
    for part in report.rebuilds:  # months that were published together with unpartitioned tables
        yield from _materializations(context, part, set(), key, columns)
        for values in _check_values(part, key):
            context.log_event(dg.AssetCheckEvaluation(**values))
    yield from _check_load_events(context, report, key)


def _materializations(
    context: dg.AssetExecutionContext,
    report: LoadReport,
    selected: set[str],
    key: AssetKeyOf,
    columns: TableMetadata,
) -> Iterator[dg.MaterializeResult[None]]:
    for name, table in report.tables.items():
        asset = key(name)
        for month in table.rows:
            metadata = {**load_metadata(report, name, month), **report.origin, **columns[name]}
            partition = str(month) if month else None
            if name not in selected:
                # The table was published together with a selected one that it is derived from.
                context.log_event(dg.AssetMaterialization(asset, partition=partition, metadata=metadata))
            else:
                context.add_asset_metadata(metadata, asset_key=asset, partition_key=partition)
        if name in selected:
            yield dg.MaterializeResult(asset_key=asset)


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
