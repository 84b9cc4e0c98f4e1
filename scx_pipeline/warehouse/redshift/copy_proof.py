"""Whether all records of a group came into the cluster: a record that COPY must refuse goes with them, and must be shown refused.
Where one account of a COPY is missing, or differs from another, the group is in doubt. How groups are read is in `rsreader`."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scx_pipeline.warehouse.object_reader import CopyRequest

if TYPE_CHECKING:
    from scx_pipeline.warehouse.redshift.redshift_warehouse import RedshiftSession

# What COPY says at its end, as a notice, of the records that it took and that it refused.
_SAID = re.compile(r"completed, (\d+) record\(s\) (loaded successfully|could not be loaded)")


def refused_file(group: CopyRequest, columns: int) -> bytes:
    """A file of the group's format and compression with a header, if files have one, and one record that COPY must refuse."""
    if group.format == "csv":
        fields = ["x"] * (2 if columns == 1 else 1)  # too many, or too few
        text = f"{','.join(['x'] * columns)}\n{','.join(fields)}\n"
    else:
        text = "no JSON\n"
    return _PACK[group.suffix](text.encode())


def _zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(content, codec="zstd", asbytes=True))


_PACK: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": _zstd}


@dataclass(frozen=True)
class Account:
    """What the cluster reports about one COPY. If there is a doubt, the other facts do not count."""

    doubt: str = ""
    header: int = 0  # lines of a file that are no records
    lines: Mapping[str, int] = field(default_factory=dict)  # by URL
    etags: Mapping[str, str] = field(default_factory=dict)


def account_of(session: RedshiftSession, group: CopyRequest, rows: int, refused: str | None) -> Account:
    """Read what the cluster reports about the last COPY, after which a table has so many rows; `refused` is the URL of the file with the record."""
    [(query, copied)] = session.rows("SELECT pg_last_copy_id(), pg_last_copy_count()")
    if copied != rows:
        return Account(f"COPY counts {copied:,} records, and {rows:,} rows are there")
    lines, etags = _files(session, query)
    if refused is None:
        return Account(lines=lines, etags=etags)
    doubt = _refused(session, query, refused) or _unlike(session.con.notices, rows)
    header = lines.get(refused, 0) - 1 if group.format == "csv" else 0
    if not doubt and header not in (0, 1):
        doubt = "the cluster does not show how many lines COPY read of each file"
    return Account(doubt, header, lines, etags)


def _unlike(notices: Sequence[str], rows: int) -> str:
    """Whether COPY said other numbers of records than the rows that are there and the one that it must refuse; it need not say any."""
    said = {found[2]: int(found[1]) for notice in notices for found in _SAID.finditer(notice)}
    loaded, refused = said.get("loaded successfully", rows), said.get("could not be loaded", 1)
    if (loaded, refused) == (rows, 1):
        return ""
    return f"COPY says that it took {loaded:,} records of the objects, and refused {refused - 1:,}"


def _refused(session: RedshiftSession, query: int, expected: str) -> str:
    """What COPY says of the records that it refused; or that it does not show the one that it must have."""
    found = session.rows(
        "SELECT TRIM(file_name), COUNT(*), MIN(line_number), MIN(TRIM(column_name)), MIN(TRIM(error_message))"
        " FROM sys_load_error_detail WHERE query_id = %s GROUP BY 1 ORDER BY 1",
        [query],
    )
    others = [row for row in found if row[0] != expected]
    if others:
        file, _, line, column, message = others[0]
        count = sum(row[1] for row in others)
        return f"COPY refused {count:,} records, such as {file}, line {line}{f', {column}' if column else ''}: {message}"
    if [row[1] for row in found] != [1]:
        return "the cluster does not show which records COPY refused"
    return ""


def _files(session: RedshiftSession, query: int) -> tuple[dict[str, int], dict[str, str]]:
    """How many lines COPY read of each file, and the file's ETag."""
    found = session.rows(
        "SELECT TRIM(file_name), SUM(lines_scanned), MAX(TRIM(file_etag)) FROM sys_load_detail WHERE query_id = %s"
        " GROUP BY 1",
        [query],
    )
    return {url: int(lines) for url, lines, _ in found}, {
        url: etag.strip('"') for url, _, etag in found if etag
    }
