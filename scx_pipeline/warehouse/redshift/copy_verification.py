"""Verification that a COPY loaded all records: a canary record goes with them, which COPY must reject and report.

If one of the cluster's reports is missing, or differs from another, the objects need client parsing.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scx_pipeline.warehouse.object_reader import CopyRequest

if TYPE_CHECKING:
    from scx_pipeline.warehouse.redshift.redshift_session import RedshiftSession

# The notice in which COPY reports how many records it loaded and rejected.
_NOTICE = re.compile(r"completed, (\d+) record\(s\) (loaded successfully|could not be loaded)")


def create_canary_file(request: CopyRequest, columns: int) -> bytes:
    """Return a file in the request's format and compression, with a header if it has one, and one record to be rejected."""
    if request.format == "csv":
        fields = ["x"] * (2 if columns == 1 else 1)  # too many, or too few
        text = f"{','.join(['x'] * columns)}\n{','.join(fields)}\n"
    else:
        text = "no JSON\n"
    return _COMPRESS[request.suffix](text.encode())


def _compress_zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(content, codec="zstd", asbytes=True))


_COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": _compress_zstd}


@dataclass(frozen=True)
class CopyReport:
    """What the cluster reports of one COPY. If `client_parsing_reason` is set, the other facts do not count."""

    client_parsing_reason: str = ""
    header_lines: int = 0  # of each file
    lines: Mapping[str, int] = field(default_factory=dict)  # by URL
    etags: Mapping[str, str] = field(default_factory=dict)


def verify_copy(session: RedshiftSession, request: CopyRequest, rows: int, canary: str | None) -> CopyReport:
    """Compare what the cluster reports of the last COPY.

    Args:
        session: The session that ran the COPY.
        request: The objects.
        rows: The row count of the table that COPY filled.
        canary: The URL of the canary file; None if there is none.
    """
    [(query, copied)] = session.rows("SELECT pg_last_copy_id(), pg_last_copy_count()")
    if copied != rows:
        return CopyReport(f"COPY counts {copied:,} records, but the table has {rows:,} rows")
    lines, etags = _read_files(session, query)
    if canary is None:
        return CopyReport(lines=lines, etags=etags)
    reason = _check_rejected(session, query, canary) or _check_notices(session.con.notices, rows)
    header_lines = lines.get(canary, 0) - 1 if request.format == "csv" else 0
    if not reason and header_lines not in (0, 1):
        reason = "the cluster does not report how many lines COPY read of each file"
    return CopyReport(reason, header_lines, lines, etags)


def _check_notices(notices: Sequence[str], rows: int) -> str:
    """Return how COPY's notices, if there are any, differ from the rows in the table and the one canary record."""
    counts = {found[2]: int(found[1]) for notice in notices for found in _NOTICE.finditer(notice)}
    loaded, rejected = counts.get("loaded successfully", rows), counts.get("could not be loaded", 1)
    if (loaded, rejected) == (rows, 1):
        return ""
    return f"COPY reports {loaded:,} loaded and {rejected - 1:,} rejected records"


def _check_rejected(session: RedshiftSession, query: int, canary: str) -> str:
    """Return which records COPY rejected, or that it does not report the canary; empty if all is well."""
    found = session.rows(
        "SELECT TRIM(file_name), COUNT(*), MIN(line_number), MIN(TRIM(column_name)), MIN(TRIM(error_message))"
        " FROM sys_load_error_detail WHERE query_id = %s GROUP BY 1 ORDER BY 1",
        [query],
    )
    others = [row for row in found if row[0] != canary]
    if others:
        file, _, line, column, message = others[0]
        count = sum(row[1] for row in others)
        return f"COPY rejected {count:,} records, such as {file}, line {line}{f', {column}' if column else ''}: {message}"
    if [row[1] for row in found] != [1]:
        return "the cluster does not report which records COPY rejected"
    return ""


def _read_files(session: RedshiftSession, query: int) -> tuple[dict[str, int], dict[str, str]]:
    """Return how many lines COPY read of each file, and the file's ETag, by URL."""
    found = session.rows(
        "SELECT TRIM(file_name), SUM(lines_scanned), MAX(TRIM(file_etag)) FROM sys_load_detail WHERE query_id = %s"
        " GROUP BY 1",
        [query],
    )
    lines = {url: int(count) for url, count, _ in found}
    return lines, {url: etag.strip('"') for url, _, etag in found if etag}
