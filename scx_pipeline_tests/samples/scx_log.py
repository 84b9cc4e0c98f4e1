"""Generated Scx logs, read back by Python's csv module and independent rules.

The loaders of the project are not used.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from datetime import datetime, timedelta

import obstore
import pyarrow as pa
from obstore.store import MemoryStore

from scx_pipeline.samples.scx import plan
from scx_pipeline.samples.scx.plan import ScxLogOptions
from scx_pipeline.samples.scx.scx_bucket import GeneratedLog, generate

HEADER = [
    *("job_id", "project_id", "project_name", "date", "summary", "ground_profile", "bt_clss_profile"),
    *("resolution", "noise_profile", "noise_type", "remove_dup", "airbone_laser", "ground_grndonly"),
    *("class_grdonly", "nextcore", "switch_xy", "created_at", "updated_at", "upload_time", "user_id"),
    *("email_encrypted", "plan_id"),
]


INT_COLUMNS = ("job_id", "project_id", *HEADER[10:16], "user_id", "plan_id")


LAYOUTS: list[plan.Layout] = ["monthly", "concatenated", "both"]


COMPRESSIONS: list[plan.Compression] = ["none", "gzip", "zstd"]


FOLDER = "auto_classify_jobs/"


Row = dict[str, str]


Files = dict[str, bytes]


def make(options: ScxLogOptions) -> tuple[GeneratedLog, Files]:
    store = MemoryStore()
    report = generate(options, store)
    keys = [entry["path"] for batch in obstore.list(store) for entry in batch]
    return report, {key: bytes(obstore.get(store, key).bytes()) for key in sorted(keys)}


def unpack(key: str, data: bytes) -> str:
    if key.endswith(".gz"):
        data = gzip.decompress(data)
    if key.endswith(".zst"):
        data = pa.CompressedInputStream(io.BytesIO(data), "zstd").read()
    return data.decode()


def read(files: Files) -> list[tuple[str, list[str]]]:
    """(key, fields) of every record; checks the headers."""
    records = []
    for key, data in files.items():
        header, *rows = csv.reader(io.StringIO(unpack(key, data), newline=""), strict=True)
        assert header == HEADER
        records += [(key, row) for row in rows]
    return records


def is_good(fields: list[str]) -> bool:
    if len(fields) != len(HEADER):
        return False
    row = dict(zip(HEADER, fields, strict=True))
    if not all(re.fullmatch(r"\d+", row[name]) and int(row[name]) < 2**31 for name in INT_COLUMNS):
        return False
    try:
        return datetime.fromisoformat(row["created_at"]).year >= 2000
    except ValueError:
        return False


def sort_out(files: Files) -> tuple[list[tuple[str, Row]], list[tuple[str, Row]], list[list[str]]]:
    """(the newest version of each job by job_id, the older versions, the bad rows)."""
    newest: dict[str, tuple[str, Row]] = {}
    older, bad = [], []
    for key, fields in read(files):
        if not is_good(fields):
            bad.append(fields)
            continue
        row = dict(zip(HEADER, fields, strict=True))
        known = newest.get(row["job_id"])
        if known and known[1]["updated_at"] >= row["updated_at"]:
            older.append((key, row))
            continue
        if known:
            older.append(known)
        newest[row["job_id"]] = (key, row)
    return sorted(newest.values(), key=lambda each: int(each[1]["job_id"])), older, bad


def month_of_key(key: str) -> str | None:
    found = re.fullmatch(r"auto_classify_jobs/(\d{4})/(\d\d)/auto_classify_jobs_\1-\2\.csv(\.gz|\.zst)?", key)
    return f"{found[1]}-{found[2]}" if found else None


def is_late(key: str, row: Row) -> bool:
    """Written to the file of the next month, and created less than six hours before it."""
    month = month_of_key(key)
    if month is None or row["created_at"].startswith(month):
        return False
    before = datetime.fromisoformat(f"{month}-01") - datetime.fromisoformat(row["created_at"])
    assert timedelta(0) < before <= timedelta(hours=6)
    return True


def check_report(options: ScxLogOptions) -> tuple[GeneratedLog, list[tuple[str, Row]]]:
    """Check that everything in the report equals what reading the bucket back finds."""
    report, files = make(options)
    newest, older, bad = sort_out(files)
    rows = [row for _, row in newest]
    by_month = Counter(row["created_at"][:7] for row in rows)
    by_user = Counter(row["user_id"] for row in rows).most_common(2)
    assert report == GeneratedLog(
        objects=len(files),
        bytes=sum(map(len, files.values())),
        jobs=len(rows),
        bad_rows=len(bad),
        duplicates=len(older),
        late_rows=sum(is_late(key, row) for key, row in newest),
        jobs_by_month={month: by_month[month] for month in report.jobs_by_month},
        users=len({row["user_id"] for row in rows}),
        projects=len({row["project_id"] for row in rows}),
        busiest_user=int(by_user[0][0]),
    )
    requested = (options.jobs, options.bad_rows, options.duplicates, options.late_rows)
    assert (report.jobs, report.bad_rows, report.duplicates, report.late_rows) == requested
    assert sum(report.jobs_by_month.values()) == options.jobs
    assert len(report.jobs_by_month) == options.months
    assert report.busiest_user == 211
    assert len(by_user) == 1 or by_user[0][1] > by_user[1][1]
    return report, newest


NOISY = ScxLogOptions(jobs=2_000, months=5, bad_rows=25, duplicates=60, late_rows=30)
