"""The totals of a load, which belong to its run: an event with metadata in the log of the run.

The numbers of single months are metadata of materializations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.count_text import count_of
from scx_pipeline.orchestration.dagster_internals import log_metadata, logged_metadata

LOAD_ID = "load_id"  # the key of a metadata that only these events have


def log_totals(context: dg.AssetExecutionContext, report: LoadReport) -> None:
    """Log the totals of a load that was published."""
    log_metadata(context, _describe(report), _totals(report))


def read_totals(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, Any]:
    """Return the totals of the load of a run; none if it has published nothing."""
    return next(
        (metadata for metadata in logged_metadata(instance, run_id) if LOAD_ID in metadata),
        {},
    )


def _describe(report: LoadReport) -> str:
    """Return in one line what a load has published, and what it did with the rows that it read."""
    published = "unpartitioned tables published"
    if report.scope is not UNPARTITIONED:
        count = len(report.scope.months)
        published = f"{count} of {count + len(report.held)} months published"
    held = f", held: {', '.join(map(str, report.held))}" if report.held else ""
    if not report.fingerprints:
        return f"{published}{held}"
    return (
        f"{published}{held}; {count_of(report.objects, 'added object' if report.is_addition else 'object')}, {count_of(report.read, 'row')} read: {report.loaded:,} loaded, "
        f"{report.rejected:,} rejected, {report.deduplicated:,} deduplicated, {report.filtered:,} filtered"
    )


def _totals(report: LoadReport) -> dict[str, Any]:
    totals: dict[str, Any] = {LOAD_ID: report.load_id}
    if report.fingerprints:
        totals |= {
            "objects_read": report.objects,
            "reads_added_objects_only": report.is_addition,
            "bytes_read": report.bytes,
            "rows_read": report.read,
            "rows_rejected": report.rejected,
            "rows_deduplicated": report.deduplicated,
            "rows_filtered": report.filtered,
        }
    if report.stale:
        totals["stale_months"] = ", ".join(map(str, report.stale))
    seconds = {name: round(table.seconds, 3) for name, table in report.tables.items()}
    return totals | {"seconds": round(report.seconds, 3), "seconds_by_table": seconds, **report.origin}
