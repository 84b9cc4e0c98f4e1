"""COPY on the stand-in: manifests, formats, options, and what it reports of files and rejected records."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import obstore
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg2.extensions import connection

from scx_pipeline_tests.support.redshift.server import StandIn

REFUSED = [
    "COPY t FROM STDIN",
    "COPY t TO STDOUT",
    "COPY (SELECT a FROM t) TO STDOUT",
    "COPY t TO 's3://b/x' IAM_ROLE default CSV",
    "COPY t FROM PROGRAM 'cat' CSV",
    "COPY t FROM 's3://b/x' IAM_ROLE default CSV WHERE a > 1",
    "COPY t FROM 's3://b/x' CSV",
    "COPY t FROM 's3://b/x' IAM_ROLE 'arn:aws:iam::1:role/unknown' CSV",
    "COPY t FROM '/tmp/x' IAM_ROLE default CSV",
    "COPY t FROM 's3://b/x' IAM_ROLE default CSV ESCAPE",
    "COPY t FROM 's3://b/x' IAM_ROLE default CSV REMOVEQUOTES",
    "COPY t FROM 's3://b/x' IAM_ROLE default FORMAT AS PARQUET MAXERROR 10",
    "COPY t FROM 's3://b/x' IAM_ROLE default FORMAT AS PARQUET REGION 'eu-west-1'",
    "COPY t FROM 's3://b/x' IAM_ROLE default FORMAT AS PARQUET GZIP",
    "COPY t FROM 's3://b/x' IAM_ROLE default JSON 'auto' DELIMITER ','",
    "COPY t FROM 's3://b/x' IAM_ROLE default CSV MAXERROR 100001",
    "COPY t FROM 's3://b/x' IAM_ROLE default CSV GZIP ZSTD",
    "COPY t FROM 's3://b/x' CREDENTIALS 'aws_access_key_id=a;aws_secret_access_key=b' CSV",
    "COPY t (nothing) FROM 's3://b/x' IAM_ROLE default CSV",
    "COPY nothing FROM 's3://b/x' IAM_ROLE default CSV",
    "COPY t FROM 's3://b/x' IAM_ROLE default CSV WITHOUT LOVE",
]


@dataclass
class CopyEnv:
    """A session, a bucket, and COPY from the one to the other."""

    con: connection
    redshift: StandIn
    bucket: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.con.cursor() as run:
            run.execute(sql)
            return list(run.fetchall()) if run.description else []

    def put(self, key: str, content: bytes) -> str:
        obstore.put(self.redshift.store(self.bucket), key, content)
        return f"s3://{self.bucket}/{key}"

    def manifest(self, *urls: str, **more: object) -> str:
        entries = [{"url": url, "mandatory": True, **more} for url in urls]
        return self.put("manifests/1.json", json.dumps({"entries": entries}).encode())

    def copy(self, source: str, options: str, table: str = "t") -> list[tuple[Any, ...]]:
        self.rows(f"COPY {table} FROM '{source}' IAM_ROLE default {options}")
        return self.rows(f"SELECT * FROM {table.partition(' (')[0]} ORDER BY 1")

    def errors(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT file_name, line_number, column_name, error_code, error_message FROM sys_load_error_detail"
            " WHERE session_id = pg_backend_pid() ORDER BY file_name, line_number"
        )


@pytest.fixture
def copy_env(redshift: StandIn, s3_bucket: str) -> Iterator[CopyEnv]:
    with closing(psycopg2.connect(redshift.url().replace("redshift://", "postgresql://"))) as con:
        con.autocommit = True
        found = CopyEnv(con, redshift, s3_bucket.removeprefix("s3://"))
        found.rows("CREATE TABLE t (a integer NOT NULL, b varchar(5), c timestamp, d decimal(6, 2))")
        yield found


def test_a_copy_that_redshift_refuses_is_refused(copy_env: CopyEnv) -> None:
    taken = []
    for statement in REFUSED:
        try:
            copy_env.rows(statement)
            taken.append(statement)
        except psycopg2.Error:
            pass
    assert taken == []


def test_a_manifests_files_are_loaded_and_no_others(copy_env: CopyEnv) -> None:
    one = copy_env.put("log/1.csv", b'a,b,c,d\n1,"x,\n""y",2021-03-05 10:00:00,1.239\n')
    two = copy_env.put("log/2.csv", b"a,b,c,d\n2,,,\n")
    copy_env.put("log/3.csv", b"a,b,c,d\n3,,,\n")
    found = copy_env.copy(copy_env.manifest(one, two), "MANIFEST CSV IGNOREHEADER 1 EMPTYASNULL")
    assert [(a, b, str(c), str(d)) for a, b, c, d in found] == [
        (1, 'x,\n"y', "2021-03-05 10:00:00", "1.23"),
        (2, None, "None", "None"),
    ]
    assert copy_env.rows("SELECT pg_last_copy_count()") == [(2,)]
    details = copy_env.rows(
        "SELECT file_name, lines_scanned FROM sys_load_detail WHERE query_id = pg_last_copy_id()"
    )
    assert details == [(one, 3), (two, 2)], "lines, not records, and headers among them"


def test_decimals_are_cut_off_or_rounded(copy_env: CopyEnv) -> None:
    url = copy_env.put("1.csv", b"1,x,,1.239\n")
    assert str(copy_env.copy(url, "CSV ROUNDEC")[0][3]) == "1.24"


def test_an_empty_text_stays_empty_unless_null_is_requested(copy_env: CopyEnv) -> None:
    url = copy_env.put("1.csv", b"1,,,\n")
    assert copy_env.copy(url, "CSV")[0][1] == ""


def test_rejected_records_are_reported_and_the_others_are_loaded(copy_env: CopyEnv) -> None:
    url = copy_env.put(
        "1.csv",
        b"a,b,c,d\n1,x,,\nzwei,x,,\n,x,,\n4,toolong,,\n5,x,yesterday,\n6,x\n7,x,,,9\n99999999999,x,,\n9,y,,\n",
    )
    found = copy_env.copy(url, "CSV IGNOREHEADER 1 MAXERROR 100")
    assert [row[0] for row in found] == [1, 9]
    assert [error[1:4] for error in copy_env.errors()] == [
        (3, "a", 1207),
        (4, "a", 1213),
        (5, "b", 1204),
        (6, "c", 1206),
        (7, "", 1214),
        (8, "", 1202),
        (9, "a", 1204),
    ]


def test_too_many_errors_fail_the_copy_and_are_reported(copy_env: CopyEnv) -> None:
    url = copy_env.put("1.csv", b"1,x,,\nzwei,x,,\n")
    with pytest.raises(psycopg2.Error, match="sys_load_error_detail"):
        copy_env.copy(url, "CSV")
    assert copy_env.rows("SELECT COUNT(*) FROM t") == [(0,)]
    assert copy_env.errors() == [(url, 2, "a", 1207, "Invalid digit, Value 'z', Pos 0, Type: Integer")]


def test_a_session_sees_its_own_errors(copy_env: CopyEnv) -> None:
    with pytest.raises(psycopg2.Error):
        copy_env.copy(copy_env.put("1.csv", b"zwei,x,,\n"), "CSV")
    with closing(psycopg2.connect(copy_env.redshift.url().replace("redshift://", "postgresql://"))) as con:
        con.autocommit = True
        assert CopyEnv(con, copy_env.redshift, copy_env.bucket).errors() == []
    assert len(copy_env.errors()) == 1


def test_a_missing_object_fails_the_copy_and_is_named(copy_env: CopyEnv) -> None:
    url = copy_env.put("1.csv", b"1,x,,\n")
    gone = f"s3://{copy_env.bucket}/2.csv"
    with pytest.raises(psycopg2.Error, match=rf"The specified key does not exist.*{gone}"):
        copy_env.copy(copy_env.manifest(url, gone), "MANIFEST CSV")
    assert copy_env.rows("SELECT COUNT(*) FROM t") == [(0,)]


def test_compressed_files_are_loaded_only_with_the_option_of_their_compression(copy_env: CopyEnv) -> None:
    zipped = copy_env.put("1.csv.gz", gzip.compress(b"1,x,,\n"))
    packed = copy_env.put("2.csv.zst", bytes(pa.compress(b"2,y,,\n", codec="zstd", asbytes=True)))
    copy_env.copy(zipped, "CSV GZIP")
    assert [row[:2] for row in copy_env.copy(packed, "CSV ZSTD")] == [(1, "x"), (2, "y")]
    with pytest.raises(psycopg2.Error, match="compressed file"):
        copy_env.copy(packed, "CSV GZIP")


def test_json_fields_are_read_by_path_and_an_invalid_record_is_rejected(copy_env: CopyEnv) -> None:
    url = copy_env.put(
        "1.json", b'{"A": 1, "in": {"b": "x"}, "when": 1614938400000}\n{"A": 2}\n{"A": ,}\n{"A": 3}\n'
    )
    paths = copy_env.put("paths.json", json.dumps({"jsonpaths": ["$['A']", "$.in.b", "$['when']"]}).encode())
    found = copy_env.copy(url, f"JSON '{paths}' TIMEFORMAT 'epochmillisecs' MAXERROR 10", "t (a, b, c)")
    assert [(a, b, str(c)) for a, b, c, _ in found] == [
        (1, "x", "2021-03-05 10:00:00"),
        (2, None, "None"),
        (3, None, "None"),
    ]
    assert [error[1:4] for error in copy_env.errors()] == [(3, "", 1216)]


def test_parquet_columns_are_loaded_by_position_if_the_manifest_has_the_file_lengths(
    copy_env: CopyEnv,
) -> None:
    content = io.BytesIO()
    pq.write_table(pa.table({"z": pa.array([1, 2], pa.int32()), "y": ["x", None]}), content)
    url = copy_env.put("1.parquet", content.getvalue())
    size = len(content.getvalue())
    with pytest.raises(psycopg2.Error, match="content_length"):
        copy_env.copy(copy_env.manifest(url), "MANIFEST FORMAT AS PARQUET", "t (a, b)")
    with pytest.raises(psycopg2.Error, match="content_length"):
        copy_env.copy(
            copy_env.manifest(url, meta={"content_length": 7}), "MANIFEST FORMAT AS PARQUET", "t (a, b)"
        )
    with pytest.raises(psycopg2.Error, match="Unmatched number of columns"):
        copy_env.copy(copy_env.manifest(url, meta={"content_length": size}), "MANIFEST FORMAT AS PARQUET")
    found = copy_env.copy(
        copy_env.manifest(url, meta={"content_length": size}), "MANIFEST FORMAT AS PARQUET", "t (a, b)"
    )
    assert [row[:2] for row in found] == [(1, "x"), (2, None)]


EVENT_TIME = datetime(2021, 3, 5, 10, 0, 0, 123456)
# How a file's timestamps are written, and whether they are read correctly (apache/arrow#38000, dask/fastparquet#432).
EVENT_TIMES: dict[str, tuple[pa.DataType, dict[str, Any], bool]] = {
    "TIMESTAMP_MICROS, adjusted to UTC": (pa.timestamp("us", "UTC"), {}, True),
    "TIMESTAMP_MILLIS, adjusted to UTC": (pa.timestamp("ms", "UTC"), {}, True),
    "INT96": (pa.timestamp("us"), {"use_deprecated_int96_timestamps": True}, True),
    "64 bits without a ConvertedType": (pa.timestamp("us"), {}, False),
    "the same by version 1.0": (pa.timestamp("us"), {"version": "1.0"}, False),
}


@pytest.mark.parametrize("way", EVENT_TIMES)
def test_timestamps_in_parquet_are_correct_only_if_the_file_declares_their_unit(
    copy_env: CopyEnv, way: str
) -> None:
    kind, options, right = EVENT_TIMES[way]
    content = io.BytesIO()
    event_time = EVENT_TIME.replace(microsecond=123000) if kind.unit == "ms" else EVENT_TIME
    pq.write_table(
        pa.table({"a": pa.array([1], pa.int32()), "c": pa.array([event_time], kind)}), content, **options
    )
    url = copy_env.put("1.parquet", content.getvalue())
    manifest = copy_env.manifest(url, meta={"content_length": len(content.getvalue())})
    copy_env.rows(f"COPY t (a, c) FROM '{manifest}' IAM_ROLE default MANIFEST FORMAT AS PARQUET")
    [(year, same)] = copy_env.rows(f"SELECT EXTRACT(YEAR FROM c), c = TIMESTAMP '{event_time}' FROM t")
    assert (year, same) == (2021, True) if right else year > 50_000


@pytest.mark.parametrize(
    ("codec", "taken"), [("snappy", True), ("gzip", True), ("none", True), ("zstd", False), ("lz4", False)]
)
def test_parquet_is_loaded_only_if_the_guide_lists_its_compression(
    copy_env: CopyEnv, codec: str, taken: bool
) -> None:
    content = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), content, compression=codec)
    url = copy_env.put("1.parquet", content.getvalue())
    manifest = copy_env.manifest(url, meta={"content_length": len(content.getvalue())})
    if taken:
        assert len(copy_env.copy(manifest, "MANIFEST FORMAT AS PARQUET", "t (a)")) == 1
    else:
        with pytest.raises(psycopg2.Error, match="unsupported codec"):
            copy_env.copy(manifest, "MANIFEST FORMAT AS PARQUET", "t (a)")


def test_copy_reports_the_numbers_of_loaded_and_rejected_records(copy_env: CopyEnv) -> None:
    url = copy_env.put("1.csv", b"1,x,,\nzwei,x,,\n3,x,,\n")
    copy_env.copy(url, "CSV MAXERROR 10")
    assert [line.strip() for line in copy_env.con.notices] == [
        "INFO:  Load into table 't' completed, 2 record(s) loaded successfully.",
        "INFO:  Load into table 't' completed, 1 record(s) could not be loaded. Check 'stl_load_errors' system table for details.",
    ]


def test_a_copy_is_rolled_back_with_its_transaction(copy_env: CopyEnv) -> None:
    url = copy_env.put("1.csv", b"1,x,,\n")
    copy_env.rows("BEGIN")
    assert len(copy_env.copy(url, "CSV")) == 1
    copy_env.rows("ROLLBACK")
    assert copy_env.rows("SELECT COUNT(*) FROM t") == [(0,)]
