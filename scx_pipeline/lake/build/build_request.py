"""What a build job is asked to do, and what it answers, as JSON: so that both may be processes of different machines.
How a job is started is in `orchestration`; what it does, in `job`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.storage.compression import UnpackedLimits
from scx_pipeline.loading.load_report import LoadReport, TableReport
from scx_pipeline.storage.bucket import DEFAULT_OPTIONS, BucketOptions
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.warehouse.capabilities import Limits

NO_MONTH = "-"  # in the place of a month, of tables that have none
COUNTS = ("objects", "bytes", "read", "loaded", "rejected", "deduplicated", "filtered", "seconds")


@dataclass(frozen=True)
class BuildRequest:
    """A build of a star's months, or of its tables without months."""

    star: str
    scope: LoadScope
    bucket: str
    lake: str
    run_id: str
    limits: Limits
    options: BucketOptions = DEFAULT_OPTIONS

    def as_json(self) -> dict[str, Any]:
        return {
            "star": self.star,
            "span": _ends(self.scope),
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
            found["star"],
            _scope(found["span"]),
            found["bucket"],
            found["lake"],
            found["run_id"],
            limits,
            options,
        )


@dataclass(frozen=True)
class BuildResult:
    """How a build ended: its report, and the one line of what went wrong, if anything did."""

    report: LoadReport | None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"error": self.error, "report": report_as_json(self.report) if self.report else None}

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> BuildResult:
        return cls(report_from_json(found["report"]) if found["report"] else None, found["error"])


def report_as_json(report: LoadReport) -> dict[str, Any]:
    """A report as plain values."""
    return {
        "star": report.star,
        "span": _ends(report.scope),
        "load_id": report.load_id,
        "run_id": report.run_id,
        "started_at": report.started_at.isoformat(),
        **{name: getattr(report, name) for name in COUNTS},
        "fingerprints": _by_month(report.fingerprints),
        "objects_by_month": _by_month(report.objects_by_month),
        "stale": _by_month(report.stale),
        "remade": [report_as_json(part) for part in report.remade],
        "tables": {
            name: {"rows": _by_month(table.rows), "seconds": table.seconds}
            for name, table in report.tables.items()
        },
        "checks": [{**asdict(check), "violations": dict(check.violations)} for check in report.checks],
    }


def report_from_json(found: Mapping[str, Any]) -> LoadReport:
    """The report of which these are the plain values."""
    return LoadReport(
        found["star"],
        _scope(found["span"]),
        found["load_id"],
        found["run_id"],
        datetime.fromisoformat(found["started_at"]),
        **{name: found[name] for name in COUNTS},
        fingerprints=_months(found["fingerprints"]),
        objects_by_month={
            month: (count, size) for month, (count, size) in _months(found["objects_by_month"]).items()
        },
        stale={month: why for month, why in _months(found["stale"]).items() if month},
        remade=[report_from_json(part) for part in found["remade"]],
        tables={
            name: TableReport(name, _months(table["rows"]), table["seconds"])
            for name, table in found["tables"].items()
        },
        checks=[CheckResult(**check) for check in found["checks"]],
    )


def _by_month(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(month) if month else NO_MONTH: value for month, value in values.items()}


def _months(values: Mapping[str, Any]) -> dict[Month | None, Any]:
    return {None if text == NO_MONTH else Month.parse(text): value for text, value in values.items()}


def _ends(scope: LoadScope) -> list[str] | None:
    return [str(scope.first), str(scope.last)] if scope else None


def _scope(ends: list[str] | None) -> LoadScope:
    return MonthRange(Month.parse(ends[0]), Month.parse(ends[1])) if ends else UNPARTITIONED
