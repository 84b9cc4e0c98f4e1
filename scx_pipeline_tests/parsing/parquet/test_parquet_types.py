"""Every integer type of Parquet is read into every integer column, and values that do not fit are rejected."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.column import Column
from scx_pipeline_tests.fuzz.case import Case, File, make_source, make_table
from scx_pipeline_tests.fuzz.driver import find_faults
from scx_pipeline_tests.fuzz.parquet.expected_parquet import expect

WHOLE = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


def ends(kind: pa.DataType) -> list[int]:
    """The smallest and the largest value of a type, and some between."""
    signed = pa.types.is_signed_integer(kind)
    low, high = (
        (-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
        if signed
        else (0, 2**kind.bit_width - 1)
    )
    return [low, high, 0, 1, Random(kind.bit_width).randint(low, high)]


@pytest.mark.parametrize("column", ["smallint", "integer", "bigint", "decimal(18,4)"])
def test_integers_of_any_type_are_read_or_rejected_by_their_value(column: str, tmp_path: Path) -> None:
    declared = Column.model_validate({"name": "v", "type": column, "description": ""})
    source, table = make_source("parquet", (), None), make_table([declared], None)
    files = []
    for number, kind in enumerate(WHOLE):
        sink = io.BytesIO()
        pq.write_table(pa.table({"v": pa.array([*ends(kind), None], kind)}), sink)
        content = sink.getvalue()
        files.append(File(f"in/{number}.parquet", content, expect(content, table, source, None)))
    assert find_faults(Case(source, table, UNPARTITIONED, files, 1), tmp_path) == []
