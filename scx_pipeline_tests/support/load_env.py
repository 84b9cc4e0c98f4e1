"""An environment of a bucket, a warehouse and the star scx: tests write objects, load them and read the tables.

No server is started here.
"""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
import yaml

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.errors import CheckFailedError
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.loading.changes import PendingChanges, find_pending_changes
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.loader import BucketLoader
from scx_pipeline.model.calendar import Month, MonthRange, contiguous_ranges
from scx_pipeline.storage.bucket import Bucket, open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA
from scx_pipeline.warehouse.warehouse import Warehouse
from scx_pipeline_tests.support.snapshots import Row, Snapshot, in_order, take_snapshot

PREFIX = "auto_classify_jobs/"
CONCATENATED = f"{PREFIX}auto_classify_jobs_concatenated.csv"
MARCH, APRIL, MAY = "2021-03", "2021-04", "2021-05"
STAGING = "staging_cleansed_logs"
FACTS = "auto_classification_logs"
LIMITS = Limits(memory="400MB", threads=2, lock_timeout=20)


@cache
def scx_star() -> CompiledStar:
    """Return the project's star scx."""
    return load_star(stars_folder() / "scx")


def columns() -> tuple[str, ...]:
    """Return the columns of the log."""
    return scx_star().star.table(STAGING).column_names


def job(job_id: int, created_at: str, **values: object) -> dict[str, object]:
    """Return a valid row of the log, in which `values` replace defaults."""
    defaults: dict[str, object] = {
        "job_id": job_id,
        "project_id": 10,
        "project_name": "Seoul, Gangnam",
        "date": "2021/03",
        "summary": "streets and trees",
        "ground_profile": "city",
        "bt_clss_profile": "default",
        "resolution": "0.5",
        "noise_profile": "low",
        "noise_type": "birds",
        **dict.fromkeys(
            ("remove_dup", "airbone_laser", "ground_grndonly", "class_grdonly", "nextcore", "switch_xy"), 0
        ),
        "created_at": created_at,
        "updated_at": created_at,
        "upload_time": "000130",
        "user_id": 211,
        "email_encrypted": "c2NhbmJp",
        "plan_id": 2,
    }
    assert values.keys() <= defaults.keys()
    return defaults | values


def csv_text(
    rows: Iterable[Mapping[str, object] | str], names: Sequence[str] = (), newline: str = "\n"
) -> str:
    """Return a CSV file with a header; rows that are texts are written unchanged."""
    names = names or columns()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=newline)
    writer.writerow(names)
    for row in rows:
        if isinstance(row, str):
            text.write(row + newline)
        else:
            writer.writerow(["" if row.get(name) is None else row.get(name) for name in names])
    return text.getvalue()


def line_of(row: Mapping[str, object]) -> str:
    """Return the row as one line of a file, without the line break."""
    return csv_text([row]).split("\n", 1)[1].rstrip("\n")


def compress(content: bytes, key: str) -> bytes:
    """Compress the content as the key's extension demands."""
    if key.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    if key.endswith(".zst"):
        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    return content


def range_of_keys(first: str, last: str = "") -> MonthRange:
    """Return the range of months from the first to the last."""
    return MonthRange(Month.parse(first), Month.parse(last or first))


@dataclass
class LoadEnv:
    """A bucket, a warehouse, and the star that is loaded."""

    bucket_url: str
    warehouse_url: str
    compiled: CompiledStar = field(default_factory=scx_star)
    limits: Limits = LIMITS
    messages: list[str] = field(default_factory=list)  # what the warehouse notified

    @property
    def bucket_path(self) -> Path:
        """The path of a local bucket."""
        return Path(self.bucket_url.removeprefix("file://"))

    @property
    def bucket(self) -> Bucket:
        return open_bucket(self.bucket_url)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.warehouse_url, self.limits, self.messages.append)

    def put(self, name: str, rows: Iterable[Mapping[str, object] | str] | bytes) -> str:
        """Write an object below the star's prefix, compressed as its extension demands; return its key."""
        content = rows if isinstance(rows, bytes) else csv_text(rows).encode()
        return self.put_raw(name, compress(content, name))

    def put_raw(self, name: str, content: bytes) -> str:
        """Write the bytes unchanged below the star's prefix; return the key."""
        return self.put_key(PREFIX + name, content)

    def delete(self, name: str) -> None:
        self.delete_key(PREFIX + name)

    def put_key(self, key: str, content: bytes) -> str:
        obstore.put(self.bucket.store, key, content, use_multipart=False)
        return key

    def copy(self, folder: Path, below: Path) -> None:
        """Copy the files of a folder into the bucket, with their paths relative to `below` as keys."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put_key(path.relative_to(below).as_posix(), path.read_bytes())

    def delete_key(self, key: str) -> None:
        obstore.delete(self.bucket.store, key)

    def loader(self, progress: Progress = lambda message: None) -> BucketLoader:
        return BucketLoader(self.compiled, self.bucket, self.warehouse, progress)

    def load(self, first: str, last: str = "", tables: Collection[str] | None = None) -> LoadReport:
        return self.loader().load(range_of_keys(first, last), tables)

    def plan(self) -> PendingChanges:
        return find_pending_changes(self.compiled, self.bucket, self.warehouse)

    def changed(self) -> list[str]:
        """Return the months that are due."""
        return [str(item.month) for item in self.plan().changed]

    def load_changed(self) -> list[LoadReport]:
        """Load each contiguous range of changed months."""
        ranges = contiguous_ranges([item.month for item in self.plan().changed])
        return [self.loader().load(scope) for scope in ranges]

    @contextmanager
    def open_loaded(self) -> Iterator[Session]:
        with self.warehouse.open_loaded() as session:
            yield session

    def rows(self, sql: str) -> list[Row]:
        with self.open_loaded() as session:
            return session.rows(sql)

    def table(self, name: str, what: str = "*", order: str = "") -> list[Row]:
        """Return the rows of a table of the star, ordered."""
        return in_order(self.rows(f"SELECT {what} FROM {self.compiled.star.schema_name}.{name}"), order == "")

    def state(self, name: str, what: str = "*") -> list[Row]:
        """Return the rows of a state table, ordered."""
        return in_order(self.rows(f"SELECT {what} FROM {STATE_SCHEMA}.{name}"))

    def snapshot(self, load_ids: bool = True) -> Snapshot:
        """Return all rows of the star's tables and of the state tables, optionally with load ids."""
        with self.warehouse.open_if_loaded() as session:
            return take_snapshot(session, self.compiled, load_ids) if session else {}

    def tables(self) -> list[str]:
        """List all tables of the warehouse as schema.name."""
        found = self.rows(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        return sorted(name for (name,) in found)


def filled(load_env: LoadEnv) -> Snapshot:
    """Return a snapshot without months that have no objects or rows: they are recorded only if they once had some."""
    selection = load_env.plan().selection
    present = {str(month) for month in load_env.compiled.star.months() if selection.has_objects(month)}
    found = load_env.snapshot(load_ids=False)
    months = [row for row in found.get("months", []) if row[0] in present]
    counts = [row for row in found.get("month_rows", []) if row[2]]
    unpartitioned = found.get("unpartitioned", []) if selection.unpartitioned_objects else []
    kept = found | {"months": months, "month_rows": counts, "unpartitioned": unpartitioned}
    return {name: rows for name, rows in kept.items() if rows}


def create_load_env(folder: Path, warehouse_url: str = "", compiled: CompiledStar | None = None) -> LoadEnv:
    """Return an environment with an empty local bucket and, by default, an empty DuckDB file."""
    bucket = folder / "bucket"
    bucket.mkdir(parents=True, exist_ok=True)
    return LoadEnv(bucket.as_uri(), warehouse_url or f"duckdb://{folder}/dev.duckdb", compiled or scx_star())


def edited_star(
    folder: Path, changes: Mapping[str, Mapping[str, object]] = {}, sql: Mapping[str, tuple[str, str]] = {}
) -> CompiledStar:
    """Return the star scx with changed declarations and SQL.

    Args:
        changes: New values by `table` or `table.column`; the column may be a new one.
        sql: By table, a text in its SQL file and its replacement.
    """
    copy = folder / "star" / str(len(list((folder / "star").glob("*")))) / "scx"
    shutil.copytree(stars_folder() / "scx", copy)
    document = yaml.safe_load((copy / "defs.yaml").read_text())
    tables = {table["name"]: table for table in document["attributes"]["tables"]}
    for name, values in changes.items():
        table, _, column = name.partition(".")
        items = {item["name"]: item for item in tables[table]["columns"]}
        if column and column not in items:
            items[column] = {"name": column, "description": "New."}
            tables[table]["columns"].append(items[column])
        (items[column] if column else tables[table]).update(values)
    (copy / "defs.yaml").write_text(yaml.safe_dump(document))
    for table, (old, new) in sql.items():
        path = copy / "sql" / f"{table}.sql"
        assert path.read_text().count(old) == 1, f"{old!r} in {path.name}"
        path.write_text(path.read_text().replace(old, new))
    return load_star(copy)


def failed_load(load_env: LoadEnv, first: str, last: str = "") -> list[CheckResult]:
    """Run a load that must fail at a check and change nothing; return the failed checks."""
    before = load_env.snapshot()
    with pytest.raises(CheckFailedError) as caught:
        load_env.load(first, last)
    assert load_env.snapshot() == before
    assert "was not published, nothing was changed" in str(caught.value)
    report = caught.value.report
    assert isinstance(report, LoadReport)
    assert all(check.name in str(caught.value) for check in report.failed[:3])
    return report.failed


def jobs_of(load_env: LoadEnv) -> list[int]:
    """Return the published job ids."""
    return [job_id for (job_id,) in load_env.table(FACTS, "job_id")]
