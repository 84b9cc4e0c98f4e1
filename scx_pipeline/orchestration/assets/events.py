"""A load's report as what Dagster records: materializations with their numbers, and results of checks.
What a load does is in `engine.load`; which assets there are, in `assets` and `lake_assets`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.orchestration.assets.metadata import Key, load_metadata

FAILURE_KIND = "kind"  # of a failure's metadata


def recorded(
    context: dg.AssetExecutionContext, work: Callable[[], LoadReport], selected: set[str] | None, key: Key
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Do the work, and tell Dagster what it did to these of the tables (None: all), or why it did nothing."""
    try:
        report = work()
    except CheckFailedError as error:
        assert isinstance(error.report, LoadReport)
        yield from _check_results(context, error.report, key)
        raise failure(error) from None
    except PipelineError as error:
        raise failure(error) from None
    yield from _results(context, report, set(report.tables) if selected is None else selected, key)


def failure(error: PipelineError) -> dg.Failure:
    """What fails a step with the error's message, and tells its kind to who may not see that (`alerting`)."""
    return dg.Failure(str(error), metadata={FAILURE_KIND: error.kind}, allow_retries=False)


def _results(
    context: dg.AssetExecutionContext, report: LoadReport, selected: set[str], key: Key
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """What a load that was published did, to its tables' assets and checks."""
    yield from _materialized(context, report, selected, key)
    for part in report.remade:  # months that were published with tables without months
        yield from _materialized(context, part, set(), key)
        for outcome in _outcomes(part, key):
            context.log_event(dg.AssetCheckEvaluation(**outcome))
    yield from _check_results(context, report, key)


def _materialized(
    context: dg.AssetExecutionContext, report: LoadReport, selected: set[str], key: Key
) -> Iterator[dg.MaterializeResult[None]]:
    for name, table in report.tables.items():
        asset = key(name)
        for month in table.rows:
            metadata = {**load_metadata(report, name, month), **report.origin}
            partition = str(month) if month else None
            if name not in selected:
                # Published with what was asked for, since it is made from it; Dagster is told all the same.
                context.log_event(dg.AssetMaterialization(asset, partition=partition, metadata=metadata))
            else:
                context.add_asset_metadata(metadata, asset_key=asset, partition_key=partition)
        if name in selected:
            yield dg.MaterializeResult(asset_key=asset)


def _check_results(
    context: dg.AssetExecutionContext, report: LoadReport, key: Key
) -> Iterator[dg.AssetCheckResult]:
    """How the checks came out of a load, published or not."""
    for outcome in _outcomes(report, key):
        if dg.AssetCheckKey(outcome["asset_key"], outcome["check_name"]) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(**outcome)


def _outcomes(report: LoadReport, key: Key) -> Iterator[dict[str, Any]]:
    """How each check came out, as Dagster's results and evaluations take it."""
    months = {"months": str(report.scope)} if report.scope else {}
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
