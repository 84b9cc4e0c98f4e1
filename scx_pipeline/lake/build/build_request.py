"""The request and the result of a build job as JSON, so that caller and job may run on different machines.

Starting a job does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar, sql_path
from scx_pipeline.declarations.sql_file import SqlFile
from scx_pipeline.history.check_result import CheckResult, RejectedExample
from scx_pipeline.loading.load_report import LoadReport, ObjectTotals, TableReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.storage.bucket import DEFAULT_OPTIONS, BucketOptions
from scx_pipeline.storage.compression import UnpackedLimits
from scx_pipeline.warehouse.capabilities import Limits

_NOT_BUILT = {"queries", "schedule", "tags", "op_tags"}  # and there is no Dagster to validate a schedule
NO_MONTH = "-"  # JSON key of unpartitioned tables, instead of a month
COUNTS = ("objects", "bytes", "read", "loaded", "rejected", "deduplicated", "filtered", "seconds")


@dataclass(frozen=True)
class BuildRequest:
    """A request to build a star's months, or its unpartitioned tables.

    It contains the star, so that the job needs no files of it.
    """

    compiled: CompiledStar
    scope: LoadScope
    bucket: str
    lake: str
    run_id: str
    limits: Limits
    options: BucketOptions = DEFAULT_OPTIONS

    def as_json(self) -> dict[str, Any]:
        return {
            **_star_as_json(self.compiled),
            "scope": _scope_as_json(self.scope),
            "bucket": self.bucket,
            "lake": self.lake,
            "run_id": self.run_id,
            "limits": asdict(self.limits),
            "options": asdict(self.options),
        }

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> BuildRequest:
        limits = Limits(**found["limits"])
        unpacked = UnpackedLimits(**found["options"]["unpacked"])
        options = BucketOptions(unpacked, found["options"]["retry_seconds"])
        return cls(
            _star_from_json(found),
            _scope_from_json(found["scope"]),
            found["bucket"],
            found["lake"],
            found["run_id"],
            limits,
            options,
        )


def _star_as_json(compiled: CompiledStar) -> dict[str, Any]:
    """Return the declaration and the SELECTs of a star, without what is not needed for a build."""
    star = compiled.star.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_BUILT)
    return {
        "star": {**star, "first_month": str(compiled.star.first_month)},
        "folder": str(compiled.folder),
        "sql": {name: file.text for name, file in compiled.tables.items()},
    }


def _star_from_json(found: Mapping[str, Any]) -> CompiledStar:
    folder = Path(found["folder"])
    files = {name: SqlFile(sql_path(folder, name), text) for name, text in found["sql"].items()}
    return CompiledStar(Star.model_validate(found["star"]), folder, files, {})


@dataclass(frozen=True)
class BuildResult:
    """The report of a build, and the error message if it failed."""

    report: LoadReport | None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"error": self.error, "report": report_as_json(self.report) if self.report else None}

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> BuildResult:
        return cls(report_from_json(found["report"]) if found["report"] else None, found["error"])


def report_as_json(report: LoadReport) -> dict[str, Any]:
    """Return a report as JSON values."""
    return {
        "star": report.star,
        "scope": _scope_as_json(report.scope),
        "load_id": report.load_id,
        "run_id": report.run_id,
        "started_at": report.started_at.isoformat(),
        **{name: getattr(report, name) for name in COUNTS},
        "fingerprints": _by_month(report.fingerprints),
        "stale": _by_month(report.stale),
        "rebuilt": [report_as_json(part) for part in report.rebuilds],
        "is_published": report.is_published,
        "held": _by_month(report.held),
        "tables": {name: _table_as_json(table) for name, table in report.tables.items()},
        "checks": [_check_as_json(check) for check in report.checks],
    }


def report_from_json(found: Mapping[str, Any]) -> LoadReport:
    """Return the report that `report_as_json` converted."""
    return LoadReport(
        found["star"],
        _scope_from_json(found["scope"]),
        found["load_id"],
        found["run_id"],
        datetime.fromisoformat(found["started_at"]),
        **{name: found[name] for name in COUNTS},
        fingerprints=_months(found["fingerprints"]),
        stale={month: reason for month, reason in _months(found["stale"]).items() if month},
        rebuilds=[report_from_json(part) for part in found["rebuilt"]],
        is_published=found["is_published"],
        held={month: reason for month, reason in _months(found["held"]).items() if month},
        tables={name: _table_from_json(table) for name, table in found["tables"].items()},
        checks=[_check_from_json(check) for check in found["checks"]],
    )


def _table_as_json(table: TableReport) -> dict[str, Any]:
    totals = {month: asdict(item) for month, item in table.totals_by_month.items()}
    by_month = {"rows": _by_month(table.rows), "totals_by_month": _by_month(totals)}
    return {**vars(table), **by_month}


def _table_from_json(found: Mapping[str, Any]) -> TableReport:
    totals = {month: ObjectTotals(**item) for month, item in _months(found["totals_by_month"]).items()}
    return TableReport(**{**found, "rows": _months(found["rows"]), "totals_by_month": totals})


def _check_as_json(check: CheckResult) -> dict[str, Any]:
    return {
        **vars(check),
        "violations": dict(check.violations),
        "months": [str(month) for month in check.months],
        "conflicts": sorted(check.conflicts),
    }


def _check_from_json(found: Mapping[str, Any]) -> CheckResult:
    return CheckResult(**{
        **found,
        "months": tuple(map(Month.parse, found["months"])),
        "conflicts": frozenset((one, other) for one, other in found["conflicts"]),
        "examples": tuple(RejectedExample(*example) for example in found["examples"]),
    })  # fmt: skip


def _by_month(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(month) if month else NO_MONTH: value for month, value in values.items()}


def _months(values: Mapping[str, Any]) -> dict[Month | None, Any]:
    return {None if text == NO_MONTH else Month.parse(text): value for text, value in values.items()}


def _scope_as_json(scope: LoadScope) -> list[str] | None:
    """Return the first and the last month of a range, and the excluded ones."""
    if scope is UNPARTITIONED:
        return None
    return [str(month) for month in (scope.first, scope.last, *sorted(scope.excluded))]


def _scope_from_json(found: list[str] | None) -> LoadScope:
    if found is None:
        return UNPARTITIONED
    first, last, *excluded = map(Month.parse, found)
    return MonthRange(first, last, frozenset(excluded))
