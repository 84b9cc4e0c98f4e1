"""Objects in all forms: compressed, with other orders of columns, with any key, in a folder or in S3, by the thousand."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest

from scx_pipeline.samples.scx.plan import ScxLogOptions
from scx_pipeline.samples.scx.scx_bucket import generate
from scx_pipeline_tests.support.load_env import (
    CONCATENATED,
    FACTS,
    MARCH,
    PREFIX,
    LoadEnv,
    columns,
    compress,
    create_load_env,
    csv_text,
    job,
    jobs_of,
)
from scx_pipeline_tests.support.snapshots import Row

WHOLE = CONCATENATED.removeprefix(PREFIX)
FEW = [
    job(n, "2021-03-05 10:00:00", project_id=1 + n % 7, project_name='서울, "a"\nb' if n % 5 else " x ")
    for n in range(1, 60)
]
MORE = [job(n, "2021-03-06 10:00:00") for n in range(60, 70)]
ALL = [*FEW, *MORE]


def text(rows: list[dict[str, object]], names: tuple[str, ...] = (), newline: str = "\n") -> bytes:
    return csv_text(rows, names, newline).encode()


def headless(rows: list[dict[str, object]]) -> bytes:
    return text(rows).split(b"\n", 1)[1]


def wider(rows: list[dict[str, object]], names: tuple[str, ...]) -> bytes:
    return text([row | {"new": "a,b"} for row in rows], names)


FORMS: dict[str, dict[str, bytes]] = {
    "gzip": {"2021/03/a.csv.gz": gzip.compress(text(ALL))},
    "zstd": {"2021/03/a.csv.zst": compress(text(ALL), ".zst")},
    "capital suffix": {"2021/03/a.csv.GZ": gzip.compress(text(ALL))},
    "several files": {"2021/03/a.csv": text(FEW), "2021/03/b.csv.gz": gzip.compress(text(MORE))},
    "below folders": {"2021/03/05/10/a.csv": text(ALL)},
    "concatenated": {WHOLE: text(ALL)},
    "concatenated and compressed": {WHOLE + ".gz": gzip.compress(text(ALL))},
    "both layouts": {WHOLE: text(FEW), "2021/03/b.csv": text(MORE)},
    "two gzip members": {"2021/03/a.csv.gz": gzip.compress(text(FEW)) + gzip.compress(headless(MORE))},
    "two zstd frames": {"2021/03/a.csv.zst": compress(text(FEW), ".zst") + compress(headless(MORE), ".zst")},
    "byte order mark": {"2021/03/a.csv": b"\xef\xbb\xbf" + text(ALL)},
    "no final newline": {"2021/03/a.csv": text(ALL).rstrip(b"\n")},
    "CRLF": {"2021/03/a.csv": text(ALL, newline="\r\n")},
    "CR": {"2021/03/a.csv": text(ALL, newline="\r")},
    "blank lines": {"2021/03/a.csv": text([]) + b"\n" + headless(FEW) + b"\n\n" + headless(MORE) + b"\n"},
    "columns in another order": {"2021/03/a.csv": text(ALL, columns()[::-1])},
    "spaces around a name": {"2021/03/a.csv": text(ALL).replace(b",user_id,", b", user_id ,", 1)},
    "quoted names": {"2021/03/a.csv": text(ALL).replace(b",user_id,", b',"user_id",', 1)},
    "more columns": {"2021/03/a.csv": wider(ALL, ("new", *columns()))},
    "files of different columns": {
        "2021/03/a.csv": text(FEW, columns()[::-1]),
        "2021/03/b.csv": wider(MORE, (*columns(), "new")),
    },
    "nothing in other files": {
        "2021/03/a.csv": text(ALL),
        "2021/03/empty.csv": b"",
        "2021/03/empty.csv.gz": b"",
        "2021/03/mark.csv": b"\xef\xbb\xbf",
        "2021/03/header.csv": text([]),
        "2021/03/header.csv.zst": compress(text([]), ".zst"),
        "2021/03/_SUCCESS": b"",
        "2021/3/no-month.csv": b"no log",
        "readme.csv": b"no log",
    },
}


def rows_of_star(load_env: LoadEnv) -> dict[str, list[Row]]:
    return {table.name: load_env.table(table.name) for table in load_env.compiled.star.tables}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The tables of the same rows in one plain file."""
    load_env = create_load_env(tmp_path_factory.mktemp("plain"))
    load_env.put("2021/03/a.csv", ALL)
    load_env.load(MARCH)
    return rows_of_star(load_env)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_files_gives_the_same_rows(
    form: str, duckdb_env: LoadEnv, plain: dict[str, list[Row]]
) -> None:
    for name, content in FORMS[form].items():
        duckdb_env.put_raw(name, content)
    report = duckdb_env.load(MARCH)
    assert (report.read, report.loaded, report.rejected) == (69, 69, 0)
    assert rows_of_star(duckdb_env) == plain


def test_objects_without_rows_are_recorded(load_env: LoadEnv) -> None:
    for name, content in FORMS["nothing in other files"].items():
        load_env.put_raw(name, content)
    load_env.load(MARCH)
    names = [key.removeprefix(f"{PREFIX}2021/03/") for (key,) in load_env.state("objects", "object_key")]
    assert names == ["a.csv", "empty.csv", "empty.csv.gz", "header.csv", "header.csv.zst", "mark.csv"]
    assert {read for (read,) in load_env.state("objects", "rows_read")} == {0, 69}
    ignored = {key for _, key in load_env.plan().selection.ignored}
    assert ignored == {PREFIX + name for name in ("2021/03/_SUCCESS", "2021/3/no-month.csv", "readme.csv")}


# ------------------------------------------------------------------ keys

ODD_KEYS = [
    "a b.csv",
    "a:b.csv",
    'it\'s "quoted".csv',
    "a*b?[x].csv",
    "100%.csv",
    "a%20b.csv",
    "a+b&c=d;e,f.csv",
    "a#b.csv",
    "{year}.csv",
    "~^`|<>.csv",
    "-rf.csv",
    "서울 ☂.csv",
    "e\u0301.csv",
    "2021-03-01 00:00:00/x.csv.gz",
    "'; DROP TABLE users; --.csv",
]


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.s3)])
def test_keys_are_taken_literally(kind: str, request: pytest.FixtureRequest, duckdb_env: LoadEnv) -> None:
    if kind == "s3":
        duckdb_env.bucket_url = request.getfixturevalue("s3_bucket")
    for number, name in enumerate(ODD_KEYS, 1):
        content = compress(csv_text([job(number, "2021-03-05 10:00:00")]).encode(), name)
        if kind == "s3":
            duckdb_env.put_raw(f"2021/03/{name}", content)
        else:
            path = duckdb_env.bucket_path / PREFIX / "2021/03" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    report = duckdb_env.load(MARCH)
    assert report.loaded == report.objects == len(ODD_KEYS)
    keys = [key for (key,) in duckdb_env.state("objects", "object_key")]
    assert sorted(keys) == sorted(f"{PREFIX}2021/03/{name}" for name in ODD_KEYS)
    duckdb_env.put("2021/03/a b.csv", [])
    assert duckdb_env.changed() == ["2021-02", MARCH]
    duckdb_env.load(MARCH)
    assert sorted(jobs_of(duckdb_env)) == list(range(2, len(ODD_KEYS) + 1))


def test_a_link_to_a_file_is_read(duckdb_env: LoadEnv, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.csv").write_bytes(text(MORE))
    folder = duckdb_env.bucket_path / PREFIX / "2021/03"
    folder.mkdir(parents=True)
    (folder / "a.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert duckdb_env.load(MARCH).loaded == len(MORE)


# ------------------------------------------------------------------ S3


def test_s3_gives_the_same_tables_as_a_folder(duckdb_env: LoadEnv, s3_bucket: str, tmp_path: Path) -> None:
    options = ScxLogOptions(
        to="2021-04", months=4, jobs=2000, layout="both", bad_rows=20, duplicates=30, late_rows=10
    )
    other = create_load_env(tmp_path / "s3")
    other.bucket_url = f"{s3_bucket}/some/prefix"
    for load_env in (duckdb_env, other):
        generate(options, load_env.bucket.store)
        assert load_env.load("2021-01", "2021-04").loaded == 2000
        assert "2021-02" not in load_env.changed()
    there, here = other.snapshot(load_ids=False), duckdb_env.snapshot(load_ids=False)
    assert {name for name, rows in there.items() if rows != here[name]} == {"months", "objects"}, (
        "ETags differ"
    )
    assert [row[:2] + row[3:] for row in there["objects"]] == [row[:2] + row[3:] for row in here["objects"]]


def test_more_objects_than_a_page_of_s3_are_all_loaded(duckdb_env: LoadEnv, s3_bucket: str) -> None:
    duckdb_env.bucket_url = s3_bucket
    duckdb_env.put_raw("2021/03/", b"")  # the marker that some tools make for a folder
    duckdb_env.put_raw("2021/03/empty.csv", b"")

    store = duckdb_env.bucket.store

    def put(number: int) -> None:
        content = csv_text([job(number, "2021-03-05 10:00:00")]).encode()
        obstore.put(store, f"{PREFIX}2021/03/{number:05d}.csv", content, use_multipart=False)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(1, 1102)))
    obstore.put(store, "auto_classify_jobs_2/2021/03/other.csv", b"no log")
    report = duckdb_env.load(MARCH)
    assert (report.objects, report.loaded) == (1102, 1101)
    assert sorted(jobs_of(duckdb_env)) == list(range(1, 1102))


def test_months_of_s3_change_with_their_objects(postgres_env: LoadEnv, s3_bucket: str) -> None:
    postgres_env.bucket_url = s3_bucket
    postgres_env.put("2021/03/a.csv.gz", FEW)
    postgres_env.load("2021-02", MARCH)
    assert postgres_env.changed() == []
    postgres_env.put("2021/03/a.csv.gz", FEW)
    assert postgres_env.changed() == [], "the same bytes have the same ETag"
    postgres_env.put("2021/03/a.csv.gz", FEW[1:])
    assert postgres_env.changed() == ["2021-02", MARCH]
    postgres_env.load("2021-02", MARCH)
    assert len(postgres_env.table(FACTS)) == len(FEW) - 1
    postgres_env.delete("2021/03/a.csv.gz")
    postgres_env.load_changed()
    assert postgres_env.table(FACTS) == []
