"""Which columns a Parquet file may have for a table, and which of their values are rejected, on a real DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scx_pipeline.errors import BucketError, SourceFileError
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.parquet.contract import Contract
from scx_pipeline.parsing.parquet.parquet_parser import ParquetParser
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.sql_text import qualified

SOURCE = Source(
    name="s", description="", format="parquet", prefix="", files=(FilePattern(pattern="*"),), null_values=("", "n/a")
)  # fmt: skip


def table_of(*columns: dict[str, Any]) -> Table:
    described = [{"description": "", **column} for column in columns]
    return Table.model_validate(
        {"name": "t", "role": "staging", "description": "", "source": "s", "columns": described}
    )


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("CREATE SCHEMA star")
        yield con


def read(
    con: duckdb.DuckDBPyConnection, folder: Path, table: Table, data: dict[str, pa.Array], **options: Any
) -> tuple[list[tuple[Any, ...]], list[RejectedRow], dict[int, UndeclaredFields]]:
    """Return a file's staged rows, its rejected rows, and its undeclared fields."""
    path = folder / "f"
    pq.write_table(pa.table(data), path, **options)
    session = DuckDBSession(con)
    session.execute(session.create_table_sql(qualified("star", table), table.columns))
    file = LocalFile(
        ObjectInfo("f.parquet", 1, "", datetime(2023, 1, 1, tzinfo=UTC)), path, "", folder / "aside"
    )
    with session.tables.open_staging_buffer("star", table, UNPARTITIONED) as buffer:
        parser = ParquetParser(SOURCE, table, buffer, lambda item: f"bucket/{item.key}")
        assert parser.group_files([file]) == [[0]]
        assert parser.stage(5, [file]) == {}
        rows = con.execute(f"SELECT * FROM {buffer.rows}").fetchall()
        assert {row[-1] for row in rows} <= {5, -6}
        refused = parser.find_rejected(5, file, len(rows), None)
        assert len(refused) == sum(row[-1] == -6 for row in rows)
        return [row[:-1] for row in rows if row[-1] == 5], refused, parser.undeclared_fields


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ("varchar(8)", pa.array(["Zoë", None]), ["Zoë", None]),
        ("varchar(8)", pa.array(["Zoë", "n/a"]).dictionary_encode(), ["Zoë", None]),
        ("varchar(8)", pa.array(["Zoë", ""], pa.large_string()), ["Zoë", None]),
        ("smallint", pa.array([-5, None], pa.int8()), [-5, None]),
        ("integer", pa.array([5, None], pa.int64()), [5, None]),
        ("integer", pa.array([5, None], pa.uint32()), [5, None]),
        ("bigint", pa.array([2**62, None], pa.uint64()), [2**62, None]),
        ("double", pa.array([0.5, None], pa.float32()), [0.5, None]),
        ("double", pa.array([1, None], pa.int32()), [1.0, None]),
        ("decimal(8, 2)", pa.array([Decimal("1.5"), None], pa.decimal128(4, 1)), [Decimal("1.50"), None]),
        ("decimal(8, 2)", pa.array([7, None], pa.int32()), [Decimal("7.00"), None]),
        ("boolean", pa.array([True, None]), [True, None]),
        ("date", pa.array([date(2023, 1, 31), None]), [date(2023, 1, 31), None]),
        ("timestamp", pa.array([datetime(2023, 1, 31, 8), None], pa.timestamp("s")), [datetime(2023, 1, 31, 8), None]),
        ("timestamp", pa.array([datetime(2023, 1, 31, 8), None], pa.timestamp("ms")), [datetime(2023, 1, 31, 8), None]),
        ("timestamp", pa.array([datetime(2023, 1, 31, 8), None], pa.timestamp("us", "Asia/Seoul")), [datetime(2023, 1, 31, 8), None]),
        ("timestamp", pa.array([1_675_152_000_123_456_789, None], pa.timestamp("ns")), [datetime(2023, 1, 31, 8, 0, 0, 123457), None]),
    ],
)  # fmt: skip
def test_types_with_the_range_of_the_declared_ones_are_read(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, declared: str, values: pa.Array, expected: list[Any]
) -> None:
    rows, refused, _ = read(con, tmp_path, table_of({"name": "x", "type": declared}), {"x": values})
    assert [row[0] for row in rows] == expected
    assert refused == []


def test_int96_timestamps_are_utc(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    timestamps = pa.array([datetime(2023, 1, 31, 8)], pa.timestamp("ns"))
    table = table_of({"name": "x", "type": "timestamp"})
    rows, _, _ = read(con, tmp_path, table, {"x": timestamps}, use_deprecated_int96_timestamps=True)
    assert rows == [(datetime(2023, 1, 31, 8),)]


def test_infinite_timestamps_are_rejected_next_to_any_others(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    counts = pa.array([-(2**63), -(2**63) + 1, 2**63 - 1, 0], pa.int64()).cast(pa.timestamp("ns"))
    table = table_of({"name": "x", "type": "timestamp"})
    rows, refused, _ = read(con, tmp_path, table, {"x": counts})
    assert all(year.year in (1677, 1970, 2262) for (year,) in rows)
    assert len(rows) + len(refused) == 4


def test_an_integer_may_count_the_unit_of_a_timestamp(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    counts = pa.array([1_675_152_000_123, 2**62, None])
    table = table_of({"name": "x", "type": "timestamp", "unit": "milliseconds"})
    rows, refused, _ = read(con, tmp_path, table, {"x": counts})
    assert sorted(rows, key=lambda row: row[0] is None) == [
        (datetime(2023, 1, 31, 8, 0, 0, 123000),),
        (None,),
    ]
    assert [(item.line, item.reason) for item in refused] == [
        (2, "'4611686018427387904' is outside the years 1 to 9999")
    ]


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("varchar(8)", "BIGINT"), ("varchar(8)", "BLOB"), ("varchar(8)", "VARCHAR[]"), ("integer", "VARCHAR"),
        ("integer", "DOUBLE"), ("integer", "DECIMAL(4,0)"), ("double", "BIGINT"), ("double", "DECIMAL(4,1)"),
        ("decimal(8, 2)", "DOUBLE"), ("decimal(8, 2)", "DECIMAL(8,3)"), ("boolean", "INTEGER"), ("date", "TIMESTAMP"),
        ("timestamp", "DATE"), ("timestamp", "BIGINT"), ("timestamp", "TIME"),
    ],
)  # fmt: skip
def test_other_types_are_reported(declared: str, kind: str) -> None:
    contract = Contract(SOURCE, table_of({"name": "x", "type": declared}), {"x": kind})
    assert contract.problems == [f"has x of type {kind}, which cannot be read as {declared}"]


def test_a_missing_required_column_is_reported_and_its_new_name_is_suggested() -> None:
    table = table_of(
        {"name": "create_at", "type": "timestamp", "nullable": False}, {"name": "y", "type": "date"}
    )
    contract = Contract(SOURCE, table, {"Create_At": "TIMESTAMP"})
    assert contract.problems == ["has no column create_at; was it renamed to Create_At?"]
    assert Contract(SOURCE, table, {"z": "DATE"}).problems == ["has no column create_at"]


def test_columns_are_found_by_name_in_any_order_and_undeclared_ones_reported(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    table = table_of(
        {"name": "a", "type": "integer"}, {"name": "b", "field": "The B", "type": "varchar(2)"}, {"name": "c", "type": "date"}
    )  # fmt: skip
    data = {"z": pa.array([1.5]), "The B": pa.array(["b"]), "a": pa.array([1])}
    rows, refused, undeclared_fields = read(con, tmp_path, table, data)
    assert rows == [(1, "b", None)]
    assert refused == []
    assert undeclared_fields == {5: UndeclaredFields(("z",), ("c",))}


def test_invalid_values_are_rejected_with_row_column_reason_and_the_row_as_json(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    table = table_of(
        {"name": "t", "type": "varchar(4)", "nullable": False},
        {"name": "n", "type": "smallint"},
        {"name": "d", "type": "double"},
        {"name": "at", "type": "timestamp"},
    )
    good = datetime(2023, 1, 31)
    data = {
        "t": pa.array(["Zoë", None, "n/a", "fünf", "a\0", "x", "x", "x"]),
        "n": pa.array([1, 1, 1, 1, 1, 40_000, 1, 1]),
        "d": pa.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, float("nan"), 0.5]),
        "at": pa.array([*[good] * 7, None], pa.timestamp("us")),
    }
    data["at"] = pa.concat_arrays([data["at"][:7], pa.array([2**62], pa.int64()).cast(pa.timestamp("us"))])
    rows, refused, _ = read(con, tmp_path, table, data)
    assert rows == [("Zoë", 1, 0.5, good)]
    assert [(item.line, item.column, item.reason) for item in refused] == [
        (2, "t", "is empty, and must not be"),
        (3, "t", "is empty, and must not be"),
        (4, "t", "'fünf' is longer than 4 bytes"),
        (5, "t", r"'a\x00' holds a NUL character"),
        (6, "n", "'40000' is out of the range of smallint"),
        (7, "d", "'nan' is not a finite number"),
        (8, "at", refused[-1].reason),
    ]
    assert refused[-1].reason.endswith("is outside the years 1 to 9999")
    assert refused[4].raw == '{"t":"x","n":40000,"d":0.5,"at":"2023-01-31 00:00:00"}'


def test_a_file_that_does_not_fit_fails_the_load_unless_the_source_says_otherwise(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(SourceFileError) as caught:
        read(con, tmp_path, table_of({"name": "x", "type": "date"}), {"x": pa.array([1])})
    assert str(caught.value) == (
        "bucket/f.parquet has x of type BIGINT, which cannot be read as date; "
        "upload it again, or set on_invalid_file: reject for the source"
    )


def test_a_file_that_the_system_does_not_let_read_is_not_rejected(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path, table = tmp_path / "f", table_of({"name": "x", "type": "date"})
    path.symlink_to("/proc/self/mem")  # a read fails, even as root
    file = LocalFile(ObjectInfo("f", 1, "", datetime(2023, 1, 1, tzinfo=UTC)), path, "", tmp_path / "aside")
    source = SOURCE.model_copy(update={"on_invalid_file": "reject"})
    session = DuckDBSession(con)
    session.execute(session.create_table_sql(qualified("star", table), table.columns))
    with session.tables.open_staging_buffer("star", table, UNPARTITIONED) as buffer:
        parser = ParquetParser(source, table, buffer, lambda item: f"bucket/{item.key}")
        with pytest.raises(BucketError, match="cannot read bucket/f: Input/output error"):
            parser.group_files([file])
