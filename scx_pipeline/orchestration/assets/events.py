"""A load's report as Dagster events: materializations with metadata, and results of checks.

Nothing is loaded or computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from scx_pipeline.errors import CheckFailedError, PipelineError, SourceFileError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import Month
from scx_pipeline.orchestration.assets.load_totals import log_totals
from scx_pipeline.orchestration.assets.metadata import AssetKeyOf, check_metadata, load_metadata, table_value

FAILURE_KIND, HELD_MONTHS = "kind", "held_months"  # keys in a failure's metadata

LoadEvents = Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]


@dataclass(frozen=True)
class LoadReporter:
    """Reports the loads of a step as events.

    Args:
        context: Of the step.
        key: Returns the asset key of a table.
        columns: The metadata of each table's columns.
        selected: The tables whose assets were selected.
    """

    context: dg.AssetExecutionContext
    key: AssetKeyOf
    columns: Mapping[str, Mapping[str, Any]]
    selected: Collection[str]

    def report(self, load: Callable[[], LoadReport]) -> LoadEvents:
        """Run a load and report its results.

        Raises:
            Failure: The load failed, or months are held. The results of its checks are reported nevertheless, and the
                materializations of the months that were published.
        """
        try:
            report = load()
        except (CheckFailedError, SourceFileError) as error:
            if not isinstance(error.report, LoadReport):
                raise step_failure(error) from None
            if error.report.is_published:
                log_totals(self.context, error.report)
                # Not as results of the step, which would materialize the held months too.
                self._log_materializations(error.report, error.report.tables)
            yield from self._check_results(error.report)
            raise step_failure(error, error.report.held) from None
        except PipelineError as error:
            raise step_failure(error) from None
        log_totals(self.context, report)
        yield from self._events_of(report)

    def _events_of(self, report: LoadReport) -> LoadEvents:
        """Yield the events of a load that was published."""
        # Tables that were published together with selected ones that they are derived from.
        self._log_materializations(report, report.tables.keys() - set(self.selected))
        for name in [name for name in report.tables if name in self.selected]:
            for month in report.tables[name].rows:
                self.context.add_asset_metadata(
                    self._metadata(report, name, month),
                    asset_key=self.key(name),
                    partition_key=_partition_key(month),
                )
            yield dg.MaterializeResult(asset_key=self.key(name))
        for part in report.rebuilds:  # months that were published together with unpartitioned tables
            self._log_materializations(part, part.tables)
            for values in self._check_values(part):
                self.context.log_event(dg.AssetCheckEvaluation(**values))
        yield from self._check_results(report)

    def _log_materializations(self, report: LoadReport, tables: Collection[str]) -> None:
        """Log the materializations of tables month by month, other than as results of the step."""
        for name in [name for name in report.tables if name in tables]:
            for month in report.tables[name].rows:
                metadata = self._metadata(report, name, month)
                self.context.log_event(
                    dg.AssetMaterialization(
                        self.key(name), partition=_partition_key(month), metadata=metadata
                    )
                )

    def _metadata(self, report: LoadReport, table: str, month: Month | None) -> dict[str, Any]:
        return {**load_metadata(report, table, month), **report.origin, **self.columns[table]}

    def _check_results(self, report: LoadReport) -> Iterator[dg.AssetCheckResult]:
        """Yield the results of the selected checks."""
        selected = self.context.selected_asset_check_keys
        for values in self._check_values(report):
            if dg.AssetCheckKey(values["asset_key"], values["check_name"]) in selected:
                yield dg.AssetCheckResult(**values)

    def _check_values(self, report: LoadReport) -> Iterator[dict[str, Any]]:
        """Yield the values of each check's AssetCheckResult or AssetCheckEvaluation."""
        for result in report.checks:
            is_warning = result.severity == "warn"
            yield {
                "asset_key": self.key(result.table),
                "check_name": result.name,
                "passed": result.passed,
                "severity": dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
                "description": result.message,
                "metadata": check_metadata(report, result),
            }


def step_failure(error: PipelineError, held: Mapping[Month, str] = {}) -> dg.Failure:
    """Return the failure of a step, with the error's message, and with its kind for alerts, which must not contain the message.

    Args:
        error: What failed.
        held: The months that a load could not publish, with the reasons, if it published others.
    """
    metadata: dict[str, Any] = {FAILURE_KIND: error.kind}
    if held:
        metadata[HELD_MONTHS] = table_value({"month": "string", "reason": "string"}, held.items())
    return dg.Failure(str(error), metadata=metadata, allow_retries=False)


def _partition_key(month: Month | None) -> str | None:
    return str(month) if month else None
