"""The rows that the CSV parser stages, for files of any dialect, on a real DuckDB in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import given

from scx_pipeline.model.column import Column
from scx_pipeline.model.dialect import Dialect
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.csv import csv_parser, record_scanner
from scx_pipeline.parsing.csv.csv_parser import CsvParser
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.staging_buffer import StagingBuffer
from scx_pipeline_tests.parsing.csv.written_files import COLUMNS, WrittenFile, written_files


class MemoryBuffer(StagingBuffer):
    """A staging buffer whose rows stay in a table in memory."""

    batch_bytes, rows = None, "staged"

    def __init__(self, table: Table) -> None:
        self.con = duckdb.connect(config={"threads": 1})
        columns = ", ".join(f'"{name}" VARCHAR' for name in table.column_names)
        self.con.execute(f"CREATE TABLE staged ({columns}, _object INTEGER)")

    def flush(self) -> None:
        pass

    def finish(self, duplicate_keys: str | None) -> None:
        pass


TABLE = Table(
    name="t",
    role="staging",
    source="files",
    description="",
    columns=tuple(
        Column(name=f"c{number}", field=name, type="varchar(max)", description="")
        for number, name in enumerate(COLUMNS)
    ),
)


def source_of(dialect: Dialect) -> Source:
    return Source(
        name="files",
        description="",
        format="csv",
        prefix="x/",
        files=(FilePattern(pattern="*"),),
        dialect=dialect,
    )


@contextmanager
def parsed(content: bytes, dialect: Dialect) -> Iterator[tuple[CsvParser, LocalFile]]:
    """Stage one file under the number 0."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "000000")
        path.write_bytes(content)
        item = ObjectInfo("x/a.csv", len(content), "", datetime(2021, 1, 1, tzinfo=UTC))
        file = LocalFile(item, path, "", Path(folder, "000000.plain"))
        buffer = MemoryBuffer(TABLE)
        parser = CsvParser(source_of(dialect), TABLE, buffer, lambda found: found.key)
        assert parser.group_files([file]) == [[0]]
        parser.stage(0, [file])
        yield parser, file
        buffer.con.close()


def check_rows(written: WrittenFile) -> None:
    with parsed(written.content, written.dialect) as (parser, _):
        found = parser.con.execute("SELECT * EXCLUDE _object FROM staged ORDER BY rowid").fetchall()
        assert found == [tuple(row) for row in written.rows]
        assert parser.record_counts.get(0, 0) == len(written.rows)


@given(written_files())
def test_every_row_of_a_file_of_any_dialect_is_read_as_it_was_written(written: WrittenFile) -> None:
    check_rows(written)


@given(written_files())
def test_the_exact_reader_reads_the_same_rows(written: WrittenFile) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_parser, "MAX_SHORT_RECORDS", -1)  # no file is scanned
        patch.setattr(record_scanner, "BLOCK_BYTES", 64)
        check_rows(written)
