"""The text of a COPY, its manifest, and the types of its Parquet files."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.redshift.copy_command import (
    Access,
    Entry,
    arrow_table,
    copy_sql,
    create_manifest,
    open_staging_prefix,
)

ROLE = "arn:aws:iam::123456789012:role/scx-copy"


def test_the_statement_names_table_manifest_role_and_options() -> None:
    assert copy_sql('"public"."t"', "s3://b/m.json", Access(ROLE), ["FORMAT AS PARQUET"]) == (
        f"COPY \"public\".\"t\" FROM 's3://b/m.json'\nIAM_ROLE '{ROLE}'\nFORMAT AS PARQUET\nMANIFEST"
    )


def test_the_clusters_default_role_is_a_keyword() -> None:
    assert "\nIAM_ROLE default\n" in copy_sql("t", "s3://b/m", Access(), ["CSV"])


@pytest.mark.parametrize(("text", "literal"), [("it's", "'it''s'"), ("a\\'b", "'a\\\\''b'")])
def test_texts_are_quoted_as_redshift_reads_them(text: str, literal: str) -> None:
    assert f"FROM {literal}\n" in copy_sql("t", text, Access(), [])


def test_a_manifest_requires_every_object_with_its_length() -> None:
    assert json.loads(create_manifest([Entry("s3://b/1", 7), Entry("s3://b/2", 0)])) == {
        "entries": [
            {"url": "s3://b/1", "mandatory": True, "meta": {"content_length": 7}},
            {"url": "s3://b/2", "mandatory": True, "meta": {"content_length": 0}},
        ]
    }


def test_values_have_the_types_that_copy_expects() -> None:
    kinds = [
        "smallint",
        "integer",
        "bigint",
        "double",
        "boolean",
        "date",
        "timestamp",
        "decimal(6,2)",
        "varchar(9)",
    ]
    columns = [Column(name=f"c{n}", type=kind, description="") for n, kind in enumerate(kinds)]
    timestamp = datetime(2021, 3, 5, 10, 0, 0, 123456)
    row = (1, 2, 3, 0.5, True, date(2021, 3, 5), timestamp, Decimal("1.25"), "x")
    table = arrow_table(columns, [row, (None,) * 9])
    assert table.schema.types == [
        pa.int16(), pa.int32(), pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"),
        pa.decimal128(6, 2), pa.string(),
    ]  # fmt: skip
    assert [tuple(item.values()) for item in table.to_pylist()] == [row, (None,) * 9]
    assert arrow_table(columns, []).num_rows == 0


@pytest.mark.parametrize(
    ("url", "message"), [(None, "add staging=s3://bucket/prefix"), ("file:///tmp", "use s3://bucket/prefix")]
)
def test_a_staging_prefix_is_required(url: str | None, message: str) -> None:
    with pytest.raises(WarehouseError, match=message):
        open_staging_prefix(url, "scx")
