"""The months that a load must hold: those that fail a blocking check, or have a file that cannot be read.

Publishing the other months does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scx_pipeline.errors import CheckFailedError, PipelineError, SourceFileError
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.loading.load_report import LoadReport, describe_failed
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.planning.key_patterns import match_key

MAX_REASONS = 3  # that a message gives


@dataclass
class HeldMonths:
    """The months that the attempts of a load could not publish so far, each with the reason."""

    star: Star
    scope: MonthRange
    reasons: dict[Month, str] = field(default_factory=dict)
    failed: list[CheckResult] = field(default_factory=list)
    errors: list[CheckFailedError | SourceFileError] = field(default_factory=list)

    @property
    def remaining(self) -> MonthRange | None:
        """The months that can still be published; None if there are none."""
        months = [month for month in self.scope if month not in self.reasons]
        return MonthRange.of(months) if months else None

    def add(self, error: CheckFailedError | SourceFileError, attempted: MonthRange) -> None:
        """Hold the months of an attempt that its error concerns."""
        self.errors.append(error)
        if isinstance(error, CheckFailedError):
            assert isinstance(error.report, LoadReport)
            self.failed += error.report.failed
            self.reasons |= _reasons_of_checks(error.report.failed, attempted)
        else:
            self.reasons |= dict.fromkeys(_months_of_file(self.star, error, attempted), str(error))

    def error_of_all(self) -> PipelineError:
        """Return the error to raise if no month can be published."""
        if len(self.errors) == 1:
            return self.errors[0]
        report = next(
            (error.report for error in self.errors if isinstance(error, CheckFailedError)),
            LoadReport(self.star.name, self.scope, ""),
        )
        assert isinstance(report, LoadReport)
        report.checks = merge_results(report.checks, self.failed)
        return CheckFailedError(
            f"{self.star.name} {self.scope} was not published, nothing was changed: {self._describe()}",
            report,
        )

    def error_of_some(self, report: LoadReport) -> PipelineError:
        """Return the error to raise after the remaining months were published, with the report of these."""
        report.held = dict(sorted(self.reasons.items()))
        report.checks = merge_results(report.checks, self.failed)
        published = len(self.scope.months) - len(self.reasons)
        return CheckFailedError(
            f"{self.star.name} {self.scope}: {published} of {len(self.scope.months)} months were published; the others keep their "
            f"previous rows: {self._describe()}",
            report,
        )

    def _describe(self) -> str:
        """Return the reasons, each with its months."""
        months: dict[str, list[Month]] = {}
        for month, reason in sorted(self.reasons.items()):
            months.setdefault(reason, []).append(month)
        texts = [f"{', '.join(map(str, held))}: {reason}" for reason, held in months.items()]
        more = [month for held in list(months.values())[MAX_REASONS:] for month in held]
        return "; ".join(texts[:MAX_REASONS]) + (f"; and {', '.join(map(str, more))}" if more else "")


def merge_results(results: Sequence[CheckResult], failed: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results of a load's checks; the failed ones of its earlier attempts replace those of the last."""
    merged = {(item.table, item.name): item for item in results if not item.blocking}
    for item in [*failed, *(item for item in results if item.blocking)]:
        before = merged.get((item.table, item.name))
        if before is not None and before.blocking and before != item:
            item = replace(
                item, message=f"{before.message}; {item.message}", violations={**before.violations, **item.violations}
            )  # fmt: skip
        merged[item.table, item.name] = item
    return list(merged.values())


def _reasons_of_checks(failed: Sequence[CheckResult], scope: MonthRange) -> Mapping[Month, str]:
    """Return the months of a scope that violate one of these checks, each with the messages of its checks."""
    checks: dict[Month, list[CheckResult]] = {}
    for check in failed:
        for month in check.violated_months(scope):
            checks.setdefault(month, []).append(check)
    return {month: describe_failed(found) for month, found in checks.items()}


def _months_of_file(star: Star, error: SourceFileError, scope: MonthRange) -> Sequence[Month]:
    """Return the months of a scope that the file of an error may contain; all of them if that is not known."""
    matches = [match_key(source, error.key) for source in star.sources] if error.key else []
    found = [month for match in matches if match for month in match.months or scope if month in scope]
    return found or scope.months
