"""UNLOAD: what the stand-in accepts, rejects and writes by the guide's page r_UNLOAD; and the statements of an unload."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import obstore
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg2.extensions import connection

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import MONTH, YEAR
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.redshift.copy_command import Access
from scx_pipeline.warehouse.redshift.unload_command import unload_sql
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import APRIL, create_load_env, job
from scx_pipeline_tests.support.redshift.linter import unparsable
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure

PAGE = "https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html"
OPTIONS = "IAM_ROLE default FORMAT AS PARQUET"

# Statements, with the place in the guide.
REFUSED = [
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/full/' {OPTIONS}", "ALLOWOVERWRITE: by default, UNLOAD fails if it finds files"),
    (f"UNLOAD ('SELECT a, b FROM t') TO 's3://B/full' {OPTIONS} PARTITION BY (b)", "ALLOWOVERWRITE, and TO: a / is added"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} ALLOWOVERWRITE CLEANPATH", "CLEANPATH: not with ALLOWOVERWRITE"),
    (f"UNLOAD ('SELECT a FROM t LIMIT 10') TO 's3://B/x/' {OPTIONS}", "Limit clause"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} PARTITION BY (b)", "PARTITION BY: must be a column in the results"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} PARTITION BY (a)", "PARTITION BY: at least one nonpartition column"),
    (f"UNLOAD ('SELECT a, b FROM t') TO 's3://B/x/' {OPTIONS} PARTITION BY ('b')", "PARTITION BY: no string literals"),
    (f"UNLOAD ('SELECT a, d FROM t') TO 's3://B/x/' {OPTIONS} PARTITION BY (d)", "PARTITION BY: types of partition keys"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} INCLUDE", "synopsis: INCLUDE follows PARTITION BY"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} VERBOSE", "MANIFEST: VERBOSE only following MANIFEST"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} MAXFILESIZE 4 MB", "MAXFILESIZE: between 5 MB and 6.2 GB"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} MAXFILESIZE 7 GB", "MAXFILESIZE: between 5 MB and 6.2 GB"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} ROWGROUPSIZE 16 MB", "ROWGROUPSIZE: between 32 MB and 128 MB"),
    *(
        (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} {option}", "FORMAT: not with PARQUET")
        for option in ("GZIP", "ZSTD", "BZIP2", "HEADER", "ESCAPE", "ADDQUOTES", "DELIMITER ','", "NULL AS 'x'", "FIXEDWIDTH 'a:1'")
    ),
    ("UNLOAD ('SELECT a FROM t') TO 's3://B/x/' FORMAT AS PARQUET", "authorization"),
    ("UNLOAD ('SELECT a FROM t') TO 's3://B/x/' IAM_ROLE 'arn:aws:iam::1:role/unknown' PARQUET", "authorization"),
    (f"UNLOAD ('SELECT a FROM t') TO '/tmp/x/' {OPTIONS}", "TO: a location on Amazon S3"),
    (f"UNLOAD ('DELETE FROM t') TO 's3://B/x/' {OPTIONS}", "select-statement"),
    (f"UNLOAD (SELECT a FROM t) TO 's3://B/x/' {OPTIONS}", "select-statement: in single quotation marks"),
    (f"UNLOAD ('SELECT a FROM t WHERE b = 'x'') TO 's3://B/x/' {OPTIONS}", "select-statement: doubled quotes"),
    (f"UNLOAD ('SELECT ARRAY_AGG(a) FROM t') TO 's3://B/x/' {OPTIONS}", "select-statement"),
    (f"UNLOAD ('SELECT a FROM nothing') TO 's3://B/x/' {OPTIONS}", "select-statement"),
    (f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/' {OPTIONS} WITHOUT LOVE", "synopsis"),
]  # fmt: skip

TAKEN = [
    f"UNLOAD ('SELECT a FROM t') TO 's3://B/N/' {OPTIONS}",
    f"UNLOAD ('SELECT a FROM t WHERE b = ''one''') TO 's3://B/N/' {OPTIONS} MAXFILESIZE AS 6.2 GB ROWGROUPSIZE 64 MB",
    f"UNLOAD ('SELECT a FROM t WHERE a IN (SELECT a FROM t ORDER BY a LIMIT 1)') TO 's3://B/N/' {OPTIONS}",
    f"UNLOAD ('SELECT a, b FROM t') TO 's3://B/N/x_' {OPTIONS} PARTITION BY (a, b) INCLUDE",
    f"UNLOAD ('SELECT a FROM t') TO 's3://B/full/' {OPTIONS} ALLOWOVERWRITE MANIFEST VERBOSE PARALLEL OFF",
    f"UNLOAD ('WITH x AS (SELECT a FROM t) SELECT a FROM x') TO 's3://B/N/' {OPTIONS} REGION AS 'us-east-1'",
]  # fmt: skip


class UnloadEnv:
    """A session with a small table, and a bucket with an object in a folder."""

    def __init__(self, con: connection, redshift: StandIn, bucket: str) -> None:
        self.con, self.bucket = con, bucket
        self.store = redshift.store(bucket)
        self.run(
            "CREATE TABLE t (a integer, b varchar(20), c timestamp, d double precision, e decimal(6, 2))"
        )
        self.run(
            "INSERT INTO t VALUES (1, 'one', '2021-04-05 10:00:00.123456', 0.5, 1.10), (2, NULL, NULL, NULL, NULL)"
        )
        obstore.put(self.store, "full/0000_part_00.parquet", b"old")

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        with self.con.cursor() as cursor:
            cursor.execute(sql.replace("s3://B/", f"s3://{self.bucket}/"))
            return list(cursor.fetchall()) if cursor.description else []

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(item["path"] for page in self.store.list(prefix=prefix or None) for item in page)

    def read(self, key: str) -> bytes:
        return bytes(self.store.get(key).bytes())

    def rows(self, key: str) -> list[dict[str, Any]]:
        return list(pq.ParquetFile(io.BytesIO(self.read(key))).read().to_pylist())


@pytest.fixture
def unload_env(redshift: StandIn, s3_bucket: str) -> Iterator[UnloadEnv]:
    with closing(psycopg2.connect(redshift.url().replace("redshift://", "postgresql://"))) as con:
        con.autocommit = True
        yield UnloadEnv(con, redshift, s3_bucket.removeprefix("s3://"))


def test_an_unload_that_redshift_refuses_is_refused(unload_env: UnloadEnv) -> None:
    before, taken = unload_env.keys(), []
    for statement, where in REFUSED:
        try:
            unload_env.run(statement)
            taken.append(f"{statement} ({PAGE}, {where})")
        except psycopg2.Error:
            pass
    assert taken == []
    assert unload_env.keys() == before


def test_an_unload_that_redshift_accepts_is_accepted(unload_env: UnloadEnv) -> None:
    for number, statement in enumerate(TAKEN):
        unload_env.run(statement.replace("/N/", f"/{number}/"))
    known = [
        statement for statement in TAKEN if "ROWGROUPSIZE" not in statement
    ]  # which sqlfluff does not know
    assert unparsable(known) == []


def test_partition_columns_name_folders_and_are_in_no_file(unload_env: UnloadEnv) -> None:
    unload_env.run(f"UNLOAD ('SELECT * FROM t') TO 's3://B/lake' {OPTIONS} PARTITION BY (b)")
    one, none = "lake/b=one/0000_part_00.parquet", "lake/b=__HIVE_DEFAULT_PARTITION__/0000_part_00.parquet"
    assert unload_env.keys("lake") == sorted([one, none])
    assert [row["a"] for row in unload_env.rows(one) + unload_env.rows(none)] == [1, 2]
    schema = pq.read_schema(io.BytesIO(unload_env.read(one)))
    assert schema.names == ["a", "c", "d", "e"]
    # Arrow reads timestamps of 96 bits as nanoseconds.
    assert schema.types == [pa.int32(), pa.timestamp("ns"), pa.float64(), pa.decimal128(6, 2)]
    assert unload_env.run("SELECT pg_last_unload_count()") == [(2,)]


def test_each_slice_writes_its_own_files(unload_env: UnloadEnv) -> None:
    unload_env.run(f"UNLOAD ('SELECT a FROM t') TO 's3://B/x/part_' {OPTIONS}")
    assert unload_env.keys("x") == ["x/part_0000_part_00.parquet", "x/part_0001_part_00.parquet"]
    unload_env.run(f"UNLOAD ('SELECT a FROM t') TO 's3://B/y/' {OPTIONS} PARALLEL OFF")
    assert unload_env.keys("y") == ["y/0000_part_00.parquet"]


def test_cleanpath_removes_only_what_is_in_folders_that_get_files(unload_env: UnloadEnv) -> None:
    for key in ("p/b=one/old.parquet", "p/b=two/old.parquet"):
        obstore.put(unload_env.store, key, b"old")
    unload_env.run(
        f"UNLOAD ('SELECT a, b FROM t WHERE a = 1') TO 's3://B/p/' {OPTIONS} PARTITION BY (b) CLEANPATH"
    )
    assert unload_env.keys("p") == ["p/b=one/0000_part_00.parquet", "p/b=two/old.parquet"]


def test_a_verbose_manifest_lists_each_files_length_and_rows(unload_env: UnloadEnv) -> None:
    unload_env.run(
        f"UNLOAD ('SELECT a, b FROM t') TO 's3://B/m/' {OPTIONS} PARTITION BY (b) MANIFEST VERBOSE"
    )
    found = json.loads(unload_env.read("m/manifest"))
    assert {item["url"] for item in found["entries"]} == {
        f"s3://{unload_env.bucket}/{key}" for key in unload_env.keys("m") if key.endswith(".parquet")
    }
    assert [item["meta"]["record_count"] for item in found["entries"]] == [1, 1]
    assert found["meta"]["record_count"] == 2
    assert found["author"]["name"] == "Amazon Redshift"


# The statement


def test_quotes_and_backslashes_of_the_query_are_escaped_in_the_literal() -> None:
    columns = (Column(name="a", type="integer", description="x"),)
    unload = Unload(r"""SELECT "a" FROM t WHERE b = 'it''s \d'""", columns, (YEAR, MONTH), "s3://lake/scx/t/")
    assert unload_sql(unload, Access("arn:aws:iam::1:role/it's", "eu-west-1")).splitlines() == [
        r"""UNLOAD ('SELECT "a" FROM t WHERE b = ''it''''s \\d''')""",
        "TO 's3://lake/scx/t/'",
        "IAM_ROLE 'arn:aws:iam::1:role/it''s'",
        "FORMAT AS PARQUET",
        'PARTITION BY ("year", "month")',
        "MAXFILESIZE AS 1 GB",
        "REGION AS 'eu-west-1'",
    ]
    assert unparsable([unload_sql(unload, Access())]) == []


@pytest.fixture
def lake(tmp_path: Path, redshift_url: str) -> Lake:
    load_env = create_load_env(tmp_path, redshift_url)
    load_env.put("2021/04/a.csv", [job(5, "2021-04-05 10:00:00")])
    load_env.load(APRIL)
    return Lake(lake_url(redshift_url, tmp_path), load_env, tmp_path)


def test_an_unload_is_one_statement_for_each_table(redshift: StandIn, lake: Lake) -> None:
    redshift.statements.clear()
    lake.unload()
    unloads = [sql for sql in redshift.statements if sql.startswith("UNLOAD")]
    written = [
        sql.splitlines()[1].partition("/_writing/")[2].partition("/")[2].rstrip("/'") for sql in unloads
    ]
    assert written == [
        "staging_cleansed_logs",
        "users",
        "_latest/users",
        "projects",
        "_latest/projects",
        "time",
        "auto_classification_logs",
        "_history/objects",
    ]
    by_month = [name for name, sql in zip(written, unloads, strict=True) if "PARTITION BY" in sql]
    assert by_month == [name for name in written if name.startswith(("staging", "_latest", "time", "auto"))]
    assert not [
        sql for sql in redshift.statements if sql.split()[0] in ("INSERT", "DELETE", "CREATE", "LOCK")
    ]


# What goes wrong


def test_redshift_rejects_a_local_folder_as_a_lake(lake: Lake, tmp_path: Path) -> None:
    message = (
        r"redshift://\S+ cannot write to the lake file:///\S+/folder: "
        r"set SCX_LAKE_URL \(or --lake\) to s3://bucket/prefix$"
    )
    with pytest.raises(LakeError, match=message):
        Lake((tmp_path / "folder").as_uri(), lake.load_env, tmp_path).unload()
    assert not (tmp_path / "folder").exists()


def test_a_refused_role_is_one_line_and_leaves_no_files(redshift: StandIn, lake: Lake) -> None:
    redshift.roles.clear()
    with pytest.raises(
        LakeError,
        match=r"cannot write s3://\S+/staging_cleansed_logs/: User default is not authorized .*iam_role=",
    ) as caught:
        lake.unload()
    assert "\n" not in str(caught.value)
    assert lake.keys() == []


def test_a_refusal_by_s3_says_what_the_role_needs(redshift: StandIn, lake: Lake) -> None:
    lake.unload()
    before = lake.keys()

    def refuse(sql: str) -> None:
        if sql.startswith("UNLOAD") and "/time/" in sql:
            raise Failure("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid 1")

    redshift.before = refuse
    with pytest.raises(
        LakeError, match=r"/time/: S3ServiceException:Access Denied.*role must be allowed to write there"
    ):
        lake.unload()
    assert lake.keys() == before
