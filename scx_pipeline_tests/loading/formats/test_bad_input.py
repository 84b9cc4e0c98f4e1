"""Input that is refused: one clear message with file, line, month or warehouse, no password, and nothing changed.

Rejected rows and failing checks are tested with loads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from scx_pipeline.errors import BucketError, PipelineError, SourceFileError, WarehouseError
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline_tests.support.load_env import (
    APRIL,
    MARCH,
    PREFIX,
    LoadEnv,
    columns,
    compress,
    csv_text,
    job,
    jobs_of,
    range_of_keys,
)
from scx_pipeline_tests.support.servers.ports import free_ports
from scx_pipeline_tests.support.servers.postgres import PostgresServer

NAME = "2021/04/bad.csv"
GOOD = [job(n, "2021-04-05 10:00:00") for n in range(10, 60)]
TEXT = csv_text(GOOD)
LINES = TEXT.splitlines()
BIG = csv_text(job(n, "2021-04-05 10:00:00", summary=str(n * 7919)) for n in range(9000)).encode()


def refused(load_env: LoadEnv, error: type[PipelineError], *expected: str) -> str:
    """Check that loading April after March fails with a message that has all these parts, and changes nothing."""
    before = load_env.snapshot()
    with pytest.raises(error) as caught:
        load_env.load(APRIL)
    message = str(caught.value)
    assert all(part in message for part in expected), message
    assert len(message.splitlines()) == 1
    assert load_env.snapshot() == before
    return message


@pytest.fixture
def march(load_env: LoadEnv) -> LoadEnv:
    """A month that was loaded already, and must stay."""
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    return load_env


# ------------------------------------------------------------------ files


def half(content: bytes, name: str) -> bytes:
    return compress(content, name)[: len(compress(content, name)) // 2]


def without(content: bytes, count: int, name: str) -> bytes:
    return compress(content, name)[:-count]


def flipped(content: bytes, name: str, place: int) -> bytes:
    changed = bytearray(compress(content, name))
    changed[place] ^= 0xFF
    return bytes(changed)


DAMAGED = "the compressed file is damaged or truncated"
MIXED = "line {}: the record does not end as the header does, in {}, but in {}; write the file with line endings of one kind"
FILES: dict[str, tuple[str, bytes, list[str]]] = {
    "a missing column": (
        NAME,
        csv_text(GOOD, [name for name in columns() if name != "plan_id"]).encode(),
        ["line 1: the column 'plan_id' of staging_cleansed_logs is missing"],
    ),
    "a renamed column": (
        NAME,
        TEXT.replace("user_id", "userid", 1).encode(),
        ["line 1: the column 'user_id' of staging_cleansed_logs is missing; the header has 'userid', is it that one?"],
    ),
    "a duplicate column": (NAME, TEXT.replace("summary", "date", 1).encode(), ["line 1: the header has the column 'date' twice"]),
    "an unnamed column": (NAME, TEXT.replace(",summary,", ",summary,,", 1).encode(), ["line 1: the header's column 6 has no name"]),
    "another separator": (NAME, TEXT.replace(",", ";").encode(), ["line 1: the column 'job_id'", "is missing"]),
    "lines before the header": (NAME, b"# exported\n" + TEXT.encode(), ["line 1: the column 'job_id'", "is missing"]),
    "no header": (NAME, "\n".join(LINES[1:]).encode(), ["line 1: the header has the column '10' twice"]),
    "Latin-1": (
        NAME,
        csv_text([*GOOD, job(1, "2021-04-05 10:00:00", project_name="Zürich")]).encode("latin-1"),
        ["line 52: not UTF-8"],
    ),
    "Latin-1 after line ends in values": (
        NAME,
        csv_text([job(5, "2021-04-05 10:00:00", summary="a\nb\nc"), job(1, "2021-04-05 10:00:00", project_name="é")]).encode("latin-1"),
        ["line 5: not UTF-8"],
    ),
    "Latin-1 in the header": (NAME, TEXT.replace("summary", "résumé", 1).encode("latin-1"), ["line 1: not UTF-8"]),
    "UTF-16": (NAME, TEXT.encode("utf-16"), ["line 1: not UTF-8"]),
    "UTF-16 without a mark": (NAME, TEXT.encode("utf-16-le"), ["line 1: not UTF-8", "UTF-16"]),
    "a quote that is never closed": (
        NAME,
        "\n".join([*LINES[:20], '900,10,"open', *LINES[20:]]).encode(),
        ["line 21: a quote is opened and never closed"],
    ),
    "LF, then CRLF": (NAME, ("\n".join(LINES[:9]) + "\n" + "\r\n".join(LINES[9:])).encode(), [MIXED.format(10, "\\n", "\\r\\n")]),
    "CRLF, then LF": (NAME, ("\r\n".join(LINES[:9]) + "\r\n" + "\n".join(LINES[9:])).encode(), [MIXED.format(10, "\\r\\n", "\\n")]),
    "LF, then CR": (NAME, ("\n".join(LINES[:9]) + "\n" + "\r".join(LINES[9:])).encode(), [MIXED.format(10, "\\n", "\\r")]),
    "a record without end": (
        NAME,
        csv_text([*GOOD[:5], job(1, "2021-04-05 10:00:00", summary="x" * (5 << 20))]).encode(),
        ["line 7: the record is longer than 4,194,304 bytes"],
    ),
    "half a gzip": (NAME + ".gz", half(BIG, ".gz"), [DAMAGED]),
    "a gzip without its end": (NAME + ".gz", without(BIG, 4, ".gz"), [DAMAGED]),
    "a gzip of another checksum": (NAME + ".gz", flipped(BIG, ".gz", -6), [DAMAGED, "CRC"]),
    "a gzip with wrong bytes": (NAME + ".gz", flipped(BIG, ".gz", 9000), [DAMAGED]),
    "no gzip at all": (NAME + ".gz", TEXT.encode(), ["is not compressed, but its name ends in .gz"]),
    "half a zstd": (NAME + ".zst", half(BIG, ".zst"), [DAMAGED]),
    "a zstd without its end": (NAME + ".zst", without(BIG, 3, ".zst"), [DAMAGED]),
    "no zstd at all": (NAME + ".zst", b"garbage" * 99, ["is not compressed, but its name ends in .zst"]),
    "a gzip without its suffix": (NAME, compress(BIG, ".gz"), ["is compressed (gzip), but its name does not end in .gz"]),
    "a gzip of a gzip": (NAME + ".gz", compress(compress(BIG, ".gz"), ".gz"), ["is compressed twice, with gzip and gzip"]),
    "a Parquet file": (NAME, b"PAR1\x15\x04\x15", ["is Parquet, not text"]),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_read_is_named(what: str, duckdb_env: LoadEnv) -> None:
    duckdb_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    duckdb_env.load(MARCH)
    name, content, expected = FILES[what]
    duckdb_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    duckdb_env.put_raw(name, content)
    refused(duckdb_env, SourceFileError, f"{duckdb_env.bucket_url}/{PREFIX}{name}", *expected)


def test_a_zstd_that_was_cut_between_two_rows_is_noticed(duckdb_env: LoadEnv) -> None:
    """The parser would take what there is for the whole file."""
    frames = compress(TEXT.encode(), ".zst") + compress((LINES[1] + "\n").encode() * 500_000, ".zst")
    duckdb_env.put_raw(NAME + ".zst", frames[:-2000])
    with pytest.raises(SourceFileError, match="damaged or truncated"):
        duckdb_env.load(APRIL)


def test_an_unreadable_file_changes_nothing_on_postgres(postgres_env: LoadEnv) -> None:
    postgres_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    postgres_env.load(MARCH)
    postgres_env.put("2021/04/a.csv", GOOD)
    postgres_env.put_raw("2021/04/b.csv", TEXT.encode("utf-16"))
    refused(postgres_env, SourceFileError, "2021/04/b.csv, line 1")


# ------------------------------------------------------------------ months and buckets


@pytest.mark.parametrize(
    ("first", "last"), [("2019-12", "2020-01"), ("2020-01", "2999-01"), ("2019-01", "2019-02")]
)
def test_a_month_out_of_range_is_named_with_the_range(first: str, last: str, march: LoadEnv) -> None:
    before = march.snapshot()
    wrong = last if last > "2100" else first
    with pytest.raises(PipelineError, match=f"^{wrong} is not a month of scx, which goes from 2020-01 to 20"):
        march.load(first, last)
    assert march.snapshot() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BucketError, match=f"{tmp_path}/none is not a folder"):
        open_bucket((tmp_path / "none").as_uri())
    (tmp_path / "file").touch()
    with pytest.raises(BucketError, match=f"{tmp_path}/file is not a folder"):
        open_bucket((tmp_path / "file").as_uri())


@pytest.mark.parametrize("url", ["/tmp/bucket", "file://host/bucket", "gs://bucket", "s3://", "bucket"])
def test_a_bucket_url_of_an_unknown_scheme_is_refused(url: str) -> None:
    with pytest.raises(BucketError, match="SCX_BUCKET_URL is .*: write file:///folder or s3://bucket"):
        open_bucket(url)


def test_an_unknown_s3_bucket_is_named(march: LoadEnv, s3_bucket: str) -> None:
    march.bucket_url = f"{s3_bucket}-unknown"
    message = refused(march, BucketError, f"cannot list {s3_bucket}-unknown/{PREFIX}")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in message


def test_a_wrong_s3_secret_is_reported_without_the_secret(
    march: LoadEnv, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    march.bucket_url = s3_bucket
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-another-secret")
    assert "quite-another-secret" not in refused(march, BucketError, f"cannot list {s3_bucket}/{PREFIX}")


def test_an_s3_server_that_does_not_answer_is_named(
    march: LoadEnv, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    march.bucket_url = s3_bucket
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    refused(march, BucketError, f"cannot list {s3_bucket}/{PREFIX}")


def test_an_empty_bucket_is_due_for_nothing(load_env: LoadEnv) -> None:
    assert load_env.changed() == []
    assert load_env.plan().selection.objects == ()


# ------------------------------------------------------------------ objects that change while they are read


def meddling(load_env: LoadEnv, meddle: Callable[[], object]) -> None:
    """Do something to the bucket between the listing and the reading of the objects."""

    def say(message: str) -> None:
        if "objects," in message and "read" not in message:
            meddle()

    load_env.loader(say).load(range_of_keys(APRIL))


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.s3)])
@pytest.mark.parametrize("what", ["deleted", "overwritten", "overwritten alike"])
def test_an_object_that_changes_after_the_listing_is_named(
    what: str, kind: str, duckdb_env: LoadEnv, request: pytest.FixtureRequest
) -> None:
    if kind == "s3":
        duckdb_env.bucket_url = request.getfixturevalue("s3_bucket")
    duckdb_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    duckdb_env.load(MARCH)
    before = duckdb_env.snapshot()
    duckdb_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    changes: dict[str, Callable[[], object]] = {
        "deleted": lambda: duckdb_env.delete("2021/04/a.csv"),
        "overwritten": lambda: duckdb_env.put(
            "2021/04/a.csv", [job(3, "2021-04-05 10:00:00"), job(4, "2021-04-05 10:00:00")]
        ),
        "overwritten alike": lambda: duckdb_env.put("2021/04/a.csv", [job(3, "2021-04-05 10:00:00")]),
    }
    with pytest.raises(BucketError, match=f"{duckdb_env.bucket_url}/{PREFIX}2021/04/a.csv") as caught:
        meddling(duckdb_env, changes[what])
    assert "run again" in str(caught.value) or (what, kind) == ("deleted", "s3")
    assert duckdb_env.snapshot() == before
    duckdb_env.load(APRIL)
    assert (
        jobs_of(duckdb_env) == {"deleted": [1], "overwritten": [1, 3, 4], "overwritten alike": [1, 3]}[what]
    )


def test_an_object_that_comes_after_the_listing_is_for_the_next_load(duckdb_env: LoadEnv) -> None:
    duckdb_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    meddling(duckdb_env, lambda: duckdb_env.put("2021/04/b.csv", [job(3, "2021-04-05 10:00:00")]))
    assert jobs_of(duckdb_env) == [2]
    assert APRIL in duckdb_env.changed()
    duckdb_env.load_changed()
    assert jobs_of(duckdb_env) == [2, 3]


def test_an_object_that_ends_early_is_named(
    duckdb_env: LoadEnv, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb_env.bucket_url = s3_bucket
    duckdb_env.put("2021/04/a.csv", GOOD)
    listed = duckdb_env.bucket.list_objects
    monkeypatch.setattr(
        "scx_pipeline.storage.bucket.Bucket.list_objects",
        lambda bucket, prefix: [
            type(item)(item.key, item.size + 1, item.etag, item.last_modified) for item in listed(prefix)
        ],
    )
    with pytest.raises(
        BucketError, match=f"{PREFIX}2021/04/a.csv: only a part of it was received; run again"
    ):
        duckdb_env.load(APRIL)


# ------------------------------------------------------------------ warehouses


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return url.replace(
        parts.netloc, f"{parts.username}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
    )


def test_a_postgres_that_does_not_answer_is_named(duckdb_env: LoadEnv) -> None:
    port = free_ports(1)[0]
    duckdb_env.warehouse_url = f"postgresql://scx:s3cr%40t@127.0.0.1:{port}/dev"
    with pytest.raises(WarehouseError) as caught:
        duckdb_env.load(MARCH)
    assert f"cannot connect to postgresql://127.0.0.1:{port}/dev" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "s3cr" not in str(caught.value)


def test_a_wrong_password_is_reported_without_the_password(postgres_env: LoadEnv) -> None:
    postgres_env.warehouse_url = with_password(postgres_env.warehouse_url, "wr0ng@:/")
    for attempt in (lambda: postgres_env.load(MARCH), postgres_env.plan):
        with pytest.raises(WarehouseError, match="password authentication failed") as caught:
            attempt()
        assert "wr0ng" not in f"{caught.value}{caught.value.__cause__}"


def test_a_database_that_is_not_there_is_named(postgres_env: LoadEnv) -> None:
    postgres_env.warehouse_url = postgres_env.warehouse_url.replace("/dev", "/nowhere")
    with pytest.raises(WarehouseError, match='/nowhere: .*database "nowhere" does not exist'):
        postgres_env.load(MARCH)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://scx:s3cr@t:/x%zz@127.0.0.1:5432/dev",
        "postgresql://scx:s3cret%zz@127.0.0.1:5432/dev",
        "postgresql://scx:s3cret@127.0.0.1:port/dev",
        "postgresql://scx:s3cret@127.0.0.1:99999/dev",
        "postgresql://scx:s3cret#x@127.0.0.1/dev",
        "postgresql://scx:s3cret?x@127.0.0.1/dev",
        "postgresql://scx:s3cret@[::1/dev",
        "postgresql://scx:s3cret@/dev",
        "postgresql://scx:s3cret@127.0.0.1",
        "mysql://scx:s3cret@127.0.0.1/dev",
        "scx:s3cret@127.0.0.1/dev",
        "duckdb://relative.duckdb",
    ],
)
def test_a_malformed_warehouse_url_is_reported_without_its_password(url: str, duckdb_env: LoadEnv) -> None:
    duckdb_env.warehouse_url = url
    with pytest.raises(WarehouseError, match="SCX_WAREHOUSE_URL .*: use ") as caught:
        duckdb_env.load(MARCH)
    assert "s3cr" not in str(caught.value)


def test_a_read_only_database_is_named(postgres_env: LoadEnv, postgres: PostgresServer) -> None:
    postgres_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    postgres_env.load(MARCH)
    with postgres.superuser() as run:
        run.execute("ALTER DATABASE dev SET default_transaction_read_only = on")
    postgres_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    refused(
        postgres_env,
        WarehouseError,
        "postgresql://127.0.0.1:",
        "read-only transaction",
        "nothing was changed",
    )


def test_a_read_only_role_is_reported(postgres_env: LoadEnv, postgres: PostgresServer) -> None:
    postgres_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    postgres_env.load(MARCH)
    postgres.create_role("reader")
    with postgres.superuser("dev") as run:
        run.execute("GRANT CONNECT, TEMPORARY ON DATABASE dev TO reader")
        for schema in ("public", "scx_pipeline"):
            run.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader")
            run.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    postgres_env.warehouse_url = postgres.url("dev", "reader")
    postgres_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    refused(
        postgres_env, WarehouseError, "postgresql://127.0.0.1:", "permission denied", "nothing was changed"
    )


def test_too_little_memory_is_reported_with_its_setting(march: LoadEnv) -> None:
    march.put_raw(
        "2021/04/a.csv", BIG + b"not a job\n"
    )  # which every warehouse leaves to the pipeline to read
    march.limits = Limits(memory="6MB", threads=2, lock_timeout=5)
    refused(march, WarehouseError, "Out of Memory", "raise SCX_MEMORY_LIMIT (6MB)")


@pytest.mark.parametrize("kind", ["folder", "text", "below a file"])
def test_a_file_that_is_not_a_duckdb_database_is_named(
    kind: str, duckdb_env: LoadEnv, tmp_path: Path
) -> None:
    path = tmp_path / "other.duckdb"
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text("no database, but a text\n" * 500)
    path = path / "dev.duckdb" if kind == "below a file" else path
    duckdb_env.warehouse_url = f"duckdb://{path}"
    with pytest.raises(WarehouseError, match=str(path)):
        duckdb_env.load(MARCH)
    if kind != "below a file":
        with pytest.raises(WarehouseError, match=str(path)):
            duckdb_env.plan()


def test_an_unwritable_duckdb_file_is_named(duckdb_env: LoadEnv, read_only_folder: Path) -> None:
    duckdb_env.warehouse_url = f"duckdb://{read_only_folder}/dev.duckdb"
    with pytest.raises(WarehouseError, match=f"{read_only_folder}/dev.duckdb"):
        duckdb_env.load(MARCH)


@pytest.fixture
def read_only_folder() -> Path:
    """A folder in which no user, not even root, can create a file."""
    return Path("/proc/self")


def test_an_empty_warehouse_says_how_to_fill_it(load_env: LoadEnv) -> None:
    with pytest.raises(WarehouseError, match="is empty: run `scx load`"), load_env.open_loaded():
        pass


def test_nothing_is_connected_before_it_is_needed() -> None:
    open_warehouse("postgresql://scx:secret@127.0.0.1:1/dev", Limits())
    open_warehouse("duckdb:///nowhere/at/all/dev.duckdb", Limits())
