"""The totals of a load, which belong to its run: an event with metadata in the log of the run.

The numbers of single months are metadata of materializations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from scx_pipeline.loading.load_report import LoadReport
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
    read = ""
    if report.fingerprints:
        read = (
            f": {report.objects:,} objects, {report.read:,} rows read, {report.loaded:,} loaded, {report.rejected:,} rejected, "
            f"{report.deduplicated:,} deduplicated, {report.filtered:,} filtered,"
        )
    return f"loaded {report.star} {report.scope}{read} in {report.seconds:.1f} s"


def _totals(report: LoadReport) -> dict[str, Any]:
    totals: dict[str, Any] = {LOAD_ID: report.load_id}
    if report.fingerprints:
        totals |= {
            "objects_read": report.objects,
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
