"""The months that a load must hold: those that fail a blocking check, or have a file that cannot be read.

Publishing the other months does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, PipelineError, SourceFileError
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.load_report import LoadReport, advise, describe_failed
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.star import Star
from scx_pipeline.planning.changed_months import HeldMonth, MonthState
from scx_pipeline.planning.key_patterns import match_key

MAX_REASONS = 3  # that a message gives


class UnsolvedConflictError(PipelineError):
    """Months were held because of other months, and none of them has changed since."""

    kind: ClassVar[str] = CheckFailedError.kind

    def __init__(self, star: str, months: Mapping[Month, HeldMonth]) -> None:
        involved = sorted({*months, *(month for held in months.values() for month in held.conflicts)})
        reasons = "; ".join(dict.fromkeys(held.reason for held in months.values()))
        super().__init__(
            f"{star} {_listed(months)} was not published, nothing was changed: the objects of {_listed(involved)} have not "
            f"changed since these months were held: {reasons}"
        )
        self.months = months


HoldingError: TypeAlias = CheckFailedError | SourceFileError | UnsolvedConflictError


@dataclass
class HeldMonths:
    """The months that the attempts of a load could not publish so far, with what was found of them."""

    compiled: CompiledStar
    scope: MonthRange
    months: dict[Month, HeldMonth] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)  # results, in the order of the attempts
    errors: list[HoldingError] = field(default_factory=list)
    # Months that were held before, and were not read again.
    unsolved: set[Month] = field(default_factory=set)
    # What was last read of the objects of attempts that failed, by staging table.
    ingest_results: dict[str, IngestResult] = field(default_factory=dict)

    @property
    def remaining(self) -> MonthRange | None:
        """The months that can still be published; None if there are none."""
        months = [month for month in self.scope if month not in self.months]
        return MonthRange.of(months) if months else None

    @property
    def recorded(self) -> Mapping[Month, HeldMonth]:
        """The months to record: those whose objects were read, as a load from the current staging rows makes no month due."""
        return {
            month: held
            for month, held in self.months.items()
            if held.state.fingerprint and month not in self.unsolved
        }

    @property
    def rejected(self) -> Mapping[tuple[str, str], Sequence[RejectedRow]]:
        """The rejected rows of the objects that may contain a held month, by source and key."""
        found: dict[tuple[str, str], list[RejectedRow]] = {}
        for result in self.ingest_results.values():
            objects = (count.object for count in result.counts)
            months = {(item.source, item.info.key): item.months or self.scope for item in objects}
            for row in result.rejected:
                if any(month in self.months for month in months[row.source, row.key]):
                    found.setdefault((row.source, row.key), []).append(row)
        return found

    def add(self, error: HoldingError, attempted: MonthRange) -> None:
        """Hold the months of an attempt that its error concerns."""
        self.errors.append(error)
        if isinstance(error, UnsolvedConflictError):
            self.months |= error.months
            self.unsolved |= error.months.keys()
            return
        report = error.report
        assert isinstance(report, LoadReport)
        self.checks += report.checks
        if isinstance(error, CheckFailedError):
            reasons, conflicts = _reasons_of_checks(report.failed, attempted), _conflicts_of(report.failed)
        else:
            reasons, conflicts = _reasons_of_files(self.compiled.star, [error, *error.others], attempted), {}
        for month, reason in reasons.items():
            state = MonthState(report.fingerprints.get(month, ""), self.compiled.version)
            self.months[month] = HeldMonth(state, reason, tuple(sorted(conflicts.get(month, ()))))
        # The first attempt has read the objects of all months.
        results = {result.table.name: result for result in report.ingest_results}
        self.ingest_results = results | self.ingest_results

    def error_of_all(self) -> PipelineError:
        """Return the error to raise if no month can be published."""
        if len(self.errors) == 1:
            return self.errors[0]
        report = LoadReport(self.compiled.star.name, self.scope, "", checks=merge_results(self.checks))
        return CheckFailedError(
            f"{report.star} {self.scope} was not published, nothing was changed: {self._describe()}"
            f"{advise(self.compiled, self.checks)}",
            report,
        )

    def error_of_some(self, report: LoadReport) -> PipelineError:
        """Return the error to raise after the remaining months were published, with the report of these."""
        report.held = {month: held.reason for month, held in sorted(self.months.items())}
        report.checks = merge_results([*self.checks, *report.checks])
        count, held = len(self.scope.months), len(self.months)
        were = "was" if count - held == 1 else "were"
        are_held = "is held and keeps its" if held == 1 else "are held and keep their"
        return CheckFailedError(
            f"{report.star} {self.scope}: {count - held} of {count} months {were} published; {_listed(report.held)} {are_held} "
            f"previous rows: {self._describe()}{advise(self.compiled, self.checks)}",
            report,
        )

    def _describe(self) -> str:
        """Return the reasons, each with its months if there is more than one reason."""
        months: dict[str, list[Month]] = {}
        for month, found in sorted(self.months.items()):
            months.setdefault(found.reason, []).append(month)
        if len(months) == 1:
            return next(iter(months))
        texts = [f"{_listed(held)}: {reason}" for reason, held in months.items()]
        more = [month for held in list(months.values())[MAX_REASONS:] for month in held]
        return "; ".join(texts[:MAX_REASONS]) + (f"; and {_listed(more)}" if more else "")


def _listed(months: Iterable[Month]) -> str:
    return ", ".join(map(str, sorted(months)))


def merge_results(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Return one result of each check that the attempts of a load evaluated, given in the order of the attempts."""
    merged: dict[tuple[str, str], CheckResult] = {}
    for item in results:
        before = merged.get((item.table, item.name))
        merged[item.table, item.name] = _merge(before, item) if before else item
    return list(merged.values())


def _merge(before: CheckResult, item: CheckResult) -> CheckResult:
    """Return the worse of two results for the months of both; if they are alike, the first, which is of more months."""
    months = tuple(sorted({*before.months, *item.months}))
    if before.blocking and item.blocking and before.message != item.message:
        return replace(
            item, message=f"{before.message}; {item.message}", violations={**before.violations, **item.violations},
            months=months,
        )  # fmt: skip
    worse = item if _severity(item) > _severity(before) else before
    return replace(worse, months=months)


def _severity(result: CheckResult) -> int:
    return 0 if result.passed else 1 + result.blocking


def _reasons_of_checks(failed: Sequence[CheckResult], scope: MonthRange) -> Mapping[Month, str]:
    """Return the months of a scope that violate one of these checks, each with the messages of its checks."""
    checks: dict[Month, list[CheckResult]] = {}
    for check in failed:
        for month in check.violated_months(scope):
            checks.setdefault(month, []).append(check)
    return {month: describe_failed(found) for month, found in checks.items()}


def _conflicts_of(failed: Sequence[CheckResult]) -> Mapping[Month, set[Month]]:
    """Return, for each month, the months that violate one of these checks together with it."""
    conflicts: dict[Month, set[Month]] = {}
    for one, other in (pair for check in failed for pair in check.conflicts):
        conflicts.setdefault(Month.parse(one), set()).add(Month.parse(other))
    return conflicts


def _reasons_of_files(
    star: Star, errors: Sequence[SourceFileError], scope: MonthRange
) -> Mapping[Month, str]:
    """Return the months of a scope that unreadable files may contain, each with the messages of its files."""
    messages: dict[Month, list[str]] = {}
    for error in errors:
        for month in _months_of_file(star, error, scope):
            messages.setdefault(month, []).append(str(error))
    return {
        month: "; ".join(found[:MAX_REASONS])
        + (f"; and {len(found) - MAX_REASONS} more files" if len(found) > MAX_REASONS else "")
        for month, found in messages.items()
    }


def _months_of_file(star: Star, error: SourceFileError, scope: MonthRange) -> Sequence[Month]:
    """Return the months of a scope that the file of an error may contain; all of them if that is not known."""
    matches = [match_key(source, error.key) for source in star.sources] if error.key else []
    found = [month for match in matches if match for month in match.months or scope if month in scope]
    return found or scope.months
