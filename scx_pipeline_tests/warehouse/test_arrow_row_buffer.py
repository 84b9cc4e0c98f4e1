"""Arrow rows between a parser and a server: added, queried, selected; in memory or in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scx_pipeline.model.column import Column
from scx_pipeline.storage.temporary_folder import LOCK
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb import arrow_row_buffer
from scx_pipeline.warehouse.duckdb.arrow_row_buffer import RELATION, ArrowRowBuffer, open_arrow_buffer

COLUMNS = [
    Column(name="n", type="integer", description=""),
    Column(name="name", type="varchar(8)", description=""),
]


@pytest.fixture(params=["memory", "file"])
def buffer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArrowRowBuffer]:
    """Provide an empty buffer, once in memory, and once with a limit so that rows go to a file."""
    if request.param == "file":
        monkeypatch.setattr(arrow_row_buffer, "MAX_MEMORY_BYTES", 100)
    with open_arrow_buffer(Limits(), COLUMNS) as rows:
        yield rows


def buffered_rows(buffer: ArrowRowBuffer) -> list[tuple[object, ...]]:
    return buffer.con.execute(f"SELECT * FROM {RELATION} ORDER BY ALL").fetchall()


def test_added_rows_are_queried_by_sql(buffer: ArrowRowBuffer) -> None:
    assert buffered_rows(buffer) == []
    assert buffer.add("SELECT 2, 'b'") == 1
    assert buffer.add("SELECT 1, 'a' UNION ALL SELECT 3, NULL") == 2
    assert buffered_rows(buffer) == [(1, "a"), (2, "b"), (3, None)]


def test_values_become_the_columns_types(buffer: ArrowRowBuffer) -> None:
    buffer.add("SELECT 1::UTINYINT, 7")
    assert buffer.select(["n", "name"], "TRUE").schema == pa.schema(
        [("n", pa.int32()), ("name", pa.string())]
    )


def test_keep_only_removes_the_rows_that_do_not_meet_the_condition(buffer: ArrowRowBuffer) -> None:
    buffer.add("SELECT n, 'x' FROM range(20000) AS r(n)")
    buffer.keep_only("(n < 5) IS NOT TRUE")
    assert buffer.rows.num_rows == 19_995
    assert buffer.bounds("n") == (5, 19_999)


def test_bounds_of_a_column_without_values_are_none(buffer: ArrowRowBuffer) -> None:
    assert buffer.bounds("n") is None
    buffer.add("SELECT NULL, 'a'")
    assert buffer.bounds("n") is None
    buffer.add("SELECT 7, 'b'")
    assert buffer.bounds("n") == (7, 7)


def test_columns_without_nulls_are_known(buffer: ArrowRowBuffer) -> None:
    buffer.add("SELECT n, 'x' FROM range(1000) AS r(n)")
    assert buffer.columns_without_nulls() == ["n", "name"]
    buffer.add("SELECT 7, NULL")
    assert buffer.columns_without_nulls() == ["n"]


def test_selected_tables_stay_valid_after_clear(buffer: ArrowRowBuffer) -> None:
    buffer.add("SELECT n, 'x' || n FROM range(10) AS r(n)")
    all_of_them, some = buffer.select(["name"], "n >= 0"), buffer.select(["n"], "n > 7")
    buffer.clear()
    buffer.add("SELECT 99, 'other'")
    assert all_of_them.column("name").to_pylist() == [f"x{n}" for n in range(10)]
    assert sorted(some.column("n").to_pylist()) == [8, 9]
    assert buffered_rows(buffer) == [(99, "other")]


def test_a_null_condition_is_not_met(buffer: ArrowRowBuffer) -> None:
    buffer.add("SELECT 1, NULL UNION ALL SELECT 2, 'b'")
    assert buffer.select(["n"], "name = 'b'").column("n").to_pylist() == [2]


def test_a_failed_select_adds_nothing(buffer: ArrowRowBuffer, tmp_path: Path) -> None:
    good, bad = tmp_path / "1.parquet", tmp_path / "2.parquet"
    for path in (good, bad):
        pq.write_table(pa.table({"n": pa.array(range(50_000), pa.int32()), "name": ["y" * 8] * 50_000}), path)
    content = bytearray(bad.read_bytes())
    content[100:20_000] = b"\xff" * 19_900
    bad.write_bytes(content)
    buffer.add("SELECT 1, 'a'")
    with pytest.raises(duckdb.Error, match=r"2\.parquet"):
        buffer.add(f"SELECT n, name FROM read_parquet(['{good}', '{bad}'])")
    assert buffered_rows(buffer) == [(1, "a")]


def test_too_little_memory_raises_an_out_of_memory_error() -> None:
    limits = Limits(memory="20MB")
    with open_arrow_buffer(limits, COLUMNS) as buffer, pytest.raises(duckdb.OutOfMemoryException):
        buffer.con.execute("SET temp_directory = ''")
        buffer.add("SELECT n, md5(n::VARCHAR) FROM range(3_000_000) AS r(n) ORDER BY 2")


def test_the_file_of_the_rows_is_unlinked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_row_buffer, "MAX_MEMORY_BYTES", 100)
    with open_arrow_buffer(Limits(), COLUMNS) as buffer:
        buffer.add("SELECT n, 'x' FROM range(50_000) AS r(n)")
        assert [file.name for file in buffer.folder.iterdir()] == [LOCK]
        assert buffer.con.execute(f"SELECT sum(n) FROM {RELATION}").fetchall() == [(sum(range(50_000)),)]
