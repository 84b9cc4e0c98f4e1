"""A small bucket, a warehouse and the scx star in one place: what the tests of this folder put in, load and look at.
No test lives here, and no server is started here."""

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
from typing import Any

import obstore
import pyarrow as pa
import pytest
import yaml

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.errors import CheckFailedError
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.loading.changes import Plan, plan_star
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.loader import BucketLoader
from scx_pipeline.model.calendar import Month, MonthRange, contiguous_ranges
from scx_pipeline.storage.bucket import Bucket, open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified
from scx_pipeline.warehouse.warehouse import Warehouse

PREFIX = "auto_classify_jobs/"
CONCATENATED = f"{PREFIX}auto_classify_jobs_concatenated.csv"
MARCH, APRIL, MAY = "2021-03", "2021-04", "2021-05"
STAGING = "staging_cleansed_logs"
FACTS = "auto_classification_logs"
LIMITS = Limits(memory="400MB", threads=2, lock_timeout=20)

Row = tuple[Any, ...]
Snapshot = dict[str, list[Row]]


@cache
def scx_star() -> CompiledStar:
    """The project's own star."""
    return load_star(stars_folder() / "scx")


def columns() -> tuple[str, ...]:
    """The columns of the log, in its order."""
    return scx_star().star.table(STAGING).column_names


def job(job_id: int, created_at: str, **values: object) -> dict[str, object]:
    """A valid row of the log; values given by name replace the usual ones."""
    usual: dict[str, object] = {
        "job_id": job_id,
        "project_id": 10,
        "project_name": "Seoul, Gangnam",
        "date": "2021/03",
        "summary": "roads and trees",
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
    assert values.keys() <= usual.keys()
    return usual | values


def csv_text(
    rows: Iterable[Mapping[str, object] | str], names: Sequence[str] = (), newline: str = "\n"
) -> str:
    """A file with a header; a row that is a text stands as it is."""
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
    """The row as one line of a file, without the line's end."""
    return csv_text([row]).split("\n", 1)[1].rstrip("\n")


def compress(content: bytes, key: str) -> bytes:
    """The content as an object of that key holds it."""
    if key.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    if key.endswith(".zst"):
        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    return content


def range_of_keys(first: str, last: str = "") -> MonthRange:
    """The months from the first to the last."""
    return MonthRange(Month.parse(first), Month.parse(last or first))


@dataclass
class World:
    """A bucket and a warehouse, with the star that goes from the one to the other."""

    bucket_url: str
    warehouse_url: str
    compiled: CompiledStar = field(default_factory=scx_star)
    limits: Limits = LIMITS
    told: list[str] = field(default_factory=list)  # what the warehouse notified

    @property
    def bucket_path(self) -> Path:
        """The folder of a local bucket."""
        return Path(self.bucket_url.removeprefix("file://"))

    @property
    def bucket(self) -> Bucket:
        return open_bucket(self.bucket_url)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.warehouse_url, self.limits, self.told.append)

    def put(self, name: str, rows: Iterable[Mapping[str, object] | str] | bytes) -> str:
        """Write an object below the star's prefix, compressed as its name says; its key."""
        content = rows if isinstance(rows, bytes) else csv_text(rows).encode()
        return self.put_raw(name, compress(content, name))

    def put_raw(self, name: str, content: bytes) -> str:
        """Write the bytes as they are; the object's key."""
        return self.put_key(PREFIX + name, content)

    def delete(self, name: str) -> None:
        self.delete_key(PREFIX + name)

    def put_key(self, key: str, content: bytes) -> str:
        obstore.put(self.bucket.store, key, content, use_multipart=False)
        return key

    def copy(self, folder: Path, below: Path) -> None:
        """Put the files of a folder into the bucket, with their paths below another one as keys."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put_key(path.relative_to(below).as_posix(), path.read_bytes())

    def delete_key(self, key: str) -> None:
        obstore.delete(self.bucket.store, key)

    def loader(self, progress: Progress = lambda message: None) -> BucketLoader:
        return BucketLoader(self.compiled, self.bucket, self.warehouse, progress)

    def load(self, first: str, last: str = "", tables: Collection[str] | None = None) -> LoadReport:
        return self.loader().load(range_of_keys(first, last), tables)

    def plan(self) -> Plan:
        return plan_star(self.compiled, self.bucket, self.warehouse)

    def changed(self) -> list[str]:
        """The months that a load is due for."""
        return [str(item.month) for item in self.plan().changed]

    def load_changed(self) -> list[LoadReport]:
        """Load every span of changed months."""
        spans = contiguous_ranges([item.month for item in self.plan().changed])
        return [self.loader().load(span) for span in spans]

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self.warehouse.reading() as session:
            yield session

    def rows(self, sql: str) -> list[Row]:
        with self.reading() as session:
            return session.rows(sql)

    def table(self, name: str, what: str = "*", order: str = "") -> list[Row]:
        """The rows of a table of the star, ordered."""
        return in_order(self.rows(f"SELECT {what} FROM {self.compiled.star.schema_name}.{name}"), order == "")

    def state(self, name: str, what: str = "*") -> list[Row]:
        """The rows of one of the engine's own tables, ordered."""
        return in_order(self.rows(f"SELECT {what} FROM {STATE_SCHEMA}.{name}"))

    def snapshot(self, load_ids: bool = True) -> Snapshot:
        """All that stands, table by table; with `load_ids`, also which load it came by."""
        with self.warehouse.reader() as session:
            return take_snapshot(session, self.compiled, load_ids) if session else {}

    def tables(self) -> list[str]:
        """Every table there is in the warehouse, as schema.name."""
        found = self.rows(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        return sorted(name for (name,) in found)


def in_order(rows: list[Row], wanted: bool = True) -> list[Row]:
    """The rows ordered by what they show, so that NULL and values can stand side by side."""
    return sorted(rows, key=repr) if wanted else rows


def take_snapshot(session: Session, compiled: CompiledStar, load_ids: bool = True) -> Snapshot:
    """What stands of a star. Empty tables and tables that are not there are the same: nothing can be read of both."""
    state = (
        {name: f"{what}, load_id" for name, what in _OF_STATE.items()} | _OF_LOADS if load_ids else _OF_STATE
    )
    found: Snapshot = {}
    kept = {table.name: f"{compiled.star.name}__{table.name}" for table in compiled.star.tables}
    own = session.columns_of(compiled.star.schema_name, kept)
    engines = session.columns_of(STATE_SCHEMA, [*kept.values(), *state])
    for table in compiled.star.tables:
        if table.name in own:
            found[table.name] = session.rows(f"SELECT * FROM {qualified(compiled.star.schema_name, table)}")
        if kept[table.name] in engines:
            by_month = session.rows(f'SELECT * FROM {STATE_SCHEMA}."{kept[table.name]}"')
            found[f"{table.name} by month"] = by_month
    for name, what in state.items():
        if name in engines:
            found[name] = session.rows(f"SELECT {what} FROM {STATE_SCHEMA}.{name}")
    return {name: in_order(rows) for name, rows in found.items() if rows}


_OF_STATE = {
    "rejected_rows": 'source, object_key, line, column_name, reason, "raw"',
    "months": "month, fingerprint, code_version",
    "month_rows": "table_name, month, row_count",
    "objects": "source, object_key, etag, size_bytes, rows_read, rows_rejected",
    "unpartitioned": "fingerprint, code_version",
    "stale_months": "month, reason",
}
_OF_LOADS = {"loads": "*", "check_results": "*"}


def filled(world: World) -> Snapshot:
    """What stands, but for months without objects or rows: they are recorded only where they once had any."""
    selection = world.plan().selection
    present = {str(month) for month in world.compiled.star.months() if selection.has_objects(month)}
    found = world.snapshot(load_ids=False)
    months = [row for row in found.get("months", []) if row[0] in present]
    counts = [row for row in found.get("month_rows", []) if row[2]]
    wholes = found.get("unpartitioned", []) if selection.unpartitioned_objects else []
    kept = found | {"months": months, "month_rows": counts, "unpartitioned": wholes}
    return {name: rows for name, rows in kept.items() if rows}


def folder_world(folder: Path, warehouse_url: str = "", compiled: CompiledStar | None = None) -> World:
    """A world of an empty local bucket and, unless another is given, an empty DuckDB file."""
    bucket = folder / "bucket"
    bucket.mkdir(parents=True, exist_ok=True)
    return World(bucket.as_uri(), warehouse_url or f"duckdb://{folder}/dev.duckdb", compiled or scx_star())


def edited_star(
    folder: Path, facts: Mapping[str, Mapping[str, object]] = {}, sql: Mapping[str, tuple[str, str]] = {}
) -> CompiledStar:
    """The star with other facts, of `table` or of `table.column` (new or not), and with texts replaced in its SQL files."""
    copy = folder / "star" / str(len(list((folder / "star").glob("*")))) / "scx"
    shutil.copytree(stars_folder() / "scx", copy)
    document = yaml.safe_load((copy / "defs.yaml").read_text())
    tables = {table["name"]: table for table in document["attributes"]["tables"]}
    for name, values in facts.items():
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


def failed_load(world: World, first: str, last: str = "") -> list[CheckResult]:
    """Load, which must fail at a check; the failed checks. Nothing may have changed."""
    before = world.snapshot()
    with pytest.raises(CheckFailedError) as caught:
        world.load(first, last)
    assert world.snapshot() == before
    assert "was not published, nothing was changed" in str(caught.value)
    report = caught.value.report
    assert isinstance(report, LoadReport)
    assert all(check.name in str(caught.value) for check in report.failed[:3])
    return report.failed


def jobs_of(world: World) -> list[int]:
    """The jobs that stand."""
    return [job_id for (job_id,) in world.table(FACTS, "job_id")]
