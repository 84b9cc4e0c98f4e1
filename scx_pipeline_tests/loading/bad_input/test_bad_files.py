"""Files that cannot be read: each is named with its line, and nothing is changed.

Rejected rows and failing checks are not tested here.
"""

from __future__ import annotations

import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline_tests.loading.bad_input.refusals import APRIL_JOBS, LARGE_FILE, assert_load_refused
from scx_pipeline_tests.support.load_env import (
    APRIL,
    MARCH,
    PREFIX,
    LoadEnv,
    columns,
    compress,
    csv_text,
    job,
)

NAME = "2021/04/bad.csv"
TEXT = csv_text(APRIL_JOBS)
LINES = TEXT.splitlines()


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
        csv_text(APRIL_JOBS, [name for name in columns() if name != "plan_id"]).encode(),
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
        csv_text([*APRIL_JOBS, job(1, "2021-04-05 10:00:00", project_name="Zürich")]).encode("latin-1"),
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
        csv_text([*APRIL_JOBS[:5], job(1, "2021-04-05 10:00:00", summary="x" * (5 << 20))]).encode(),
        ["line 7: the record is longer than 4,194,304 bytes"],
    ),
    "half a gzip": (NAME + ".gz", half(LARGE_FILE, ".gz"), [DAMAGED]),
    "a gzip without its end": (NAME + ".gz", without(LARGE_FILE, 4, ".gz"), [DAMAGED]),
    "a gzip of another checksum": (NAME + ".gz", flipped(LARGE_FILE, ".gz", -6), [DAMAGED, "CRC"]),
    "a gzip with wrong bytes": (NAME + ".gz", flipped(LARGE_FILE, ".gz", 9000), [DAMAGED]),
    "no gzip at all": (NAME + ".gz", TEXT.encode(), ["is not compressed, but its name ends in .gz"]),
    "half a zstd": (NAME + ".zst", half(LARGE_FILE, ".zst"), [DAMAGED]),
    "a zstd without its end": (NAME + ".zst", without(LARGE_FILE, 3, ".zst"), [DAMAGED]),
    "no zstd at all": (NAME + ".zst", b"garbage" * 99, ["is not compressed, but its name ends in .zst"]),
    "a gzip without its suffix": (NAME, compress(LARGE_FILE, ".gz"), ["is compressed (gzip), but its name does not end in .gz"]),
    "a gzip of a gzip": (NAME + ".gz", compress(compress(LARGE_FILE, ".gz"), ".gz"), ["is compressed twice, with gzip and gzip"]),
    "a Parquet file": (NAME, b"PAR1\x15\x04\x15", ["is Parquet, not text"]),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_read_is_named(what: str, duckdb_env: LoadEnv) -> None:
    duckdb_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    duckdb_env.load(MARCH)
    name, content, expected = FILES[what]
    duckdb_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    duckdb_env.put_raw(name, content)
    assert_load_refused(duckdb_env, SourceFileError, f"{duckdb_env.bucket_url}/{PREFIX}{name}", *expected)


def test_a_zstd_file_cut_between_two_rows_is_detected(duckdb_env: LoadEnv) -> None:
    """The parser would take what there is for the whole file."""
    frames = compress(TEXT.encode(), ".zst") + compress((LINES[1] + "\n").encode() * 500_000, ".zst")
    duckdb_env.put_raw(NAME + ".zst", frames[:-2000])
    with pytest.raises(SourceFileError, match="damaged or truncated"):
        duckdb_env.load(APRIL)


def test_an_unreadable_file_changes_nothing_on_postgres(postgres_env: LoadEnv) -> None:
    postgres_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    postgres_env.load(MARCH)
    postgres_env.put("2021/04/a.csv", APRIL_JOBS)
    postgres_env.put_raw("2021/04/b.csv", TEXT.encode("utf-16"))
    assert_load_refused(postgres_env, SourceFileError, "2021/04/b.csv, line 1")
