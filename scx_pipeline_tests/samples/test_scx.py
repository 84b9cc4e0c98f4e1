"""The Scx log generator, read back by Python's own csv module and by rules written here a second time.
No loader of ours is used: these tests say what a bucket holds, for the tests of loading to rely on."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import obstore
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from scx_pipeline.samples import writing
from scx_pipeline.samples.scx import job_rows, plan
from scx_pipeline.samples.scx.dirty_rows import BAD_KINDS
from scx_pipeline.samples.scx.scx_bucket import GeneratedLog, ScxLogOptions, generate

HEADER = [
    *("job_id", "project_id", "project_name", "date", "summary", "ground_profile", "bt_clss_profile"),
    *("resolution", "noise_profile", "noise_type", "remove_dup", "airbone_laser", "ground_grndonly"),
    *("class_grdonly", "nextcore", "switch_xy", "created_at", "updated_at", "upload_time", "user_id"),
    *("email_encrypted", "plan_id"),
]
INT_COLUMNS = ("job_id", "project_id", *HEADER[10:16], "user_id", "plan_id")
LAYOUTS: list[plan.Layout] = ["monthly", "concatenated", "both"]
COMPRESSIONS: list[plan.Compression] = ["none", "gzip", "zstd"]
FOLDER = "auto_classify_jobs/"

Row = dict[str, str]
Files = dict[str, bytes]


def make(options: ScxLogOptions) -> tuple[GeneratedLog, Files]:
    store = MemoryStore()
    report = generate(options, store)
    keys = [entry["path"] for batch in obstore.list(store) for entry in batch]
    return report, {key: bytes(obstore.get(store, key).bytes()) for key in sorted(keys)}


def unpack(key: str, data: bytes) -> str:
    if key.endswith(".gz"):
        data = gzip.decompress(data)
    if key.endswith(".zst"):
        data = pa.CompressedInputStream(io.BytesIO(data), "zstd").read()
    return data.decode()


def read(files: Files) -> list[tuple[str, list[str]]]:
    """(key, fields) of every record but the headers, which must be right."""
    records = []
    for key, data in files.items():
        header, *rows = csv.reader(io.StringIO(unpack(key, data), newline=""), strict=True)
        assert header == HEADER
        records += [(key, row) for row in rows]
    return records


def is_good(fields: list[str]) -> bool:
    if len(fields) != len(HEADER):
        return False
    row = dict(zip(HEADER, fields, strict=True))
    if not all(re.fullmatch(r"\d+", row[name]) and int(row[name]) < 2**31 for name in INT_COLUMNS):
        return False
    try:
        return datetime.fromisoformat(row["created_at"]).year >= 2000
    except ValueError:
        return False


def sort_out(files: Files) -> tuple[list[tuple[str, Row]], list[tuple[str, Row]], list[list[str]]]:
    """(the newest version of each job by job_id, the older versions, the bad rows)."""
    newest: dict[str, tuple[str, Row]] = {}
    older, bad = [], []
    for key, fields in read(files):
        if not is_good(fields):
            bad.append(fields)
            continue
        row = dict(zip(HEADER, fields, strict=True))
        known = newest.get(row["job_id"])
        if known and known[1]["updated_at"] >= row["updated_at"]:
            older.append((key, row))
            continue
        if known:
            older.append(known)
        newest[row["job_id"]] = (key, row)
    return sorted(newest.values(), key=lambda each: int(each[1]["job_id"])), older, bad


def month_of_key(key: str) -> str | None:
    found = re.fullmatch(r"auto_classify_jobs/(\d{4})/(\d\d)/auto_classify_jobs_\1-\2\.csv(\.gz|\.zst)?", key)
    return f"{found[1]}-{found[2]}" if found else None


def is_late(key: str, row: Row) -> bool:
    """Written to the file of the next month, and created less than six hours before it."""
    month = month_of_key(key)
    if month is None or row["created_at"].startswith(month):
        return False
    before = datetime.fromisoformat(f"{month}-01") - datetime.fromisoformat(row["created_at"])
    assert timedelta(0) < before <= timedelta(hours=6)
    return True


def check_report(options: ScxLogOptions) -> tuple[GeneratedLog, list[tuple[str, Row]]]:
    """The promise of the report: everything in it equals what reading the bucket back finds."""
    report, files = make(options)
    newest, older, bad = sort_out(files)
    rows = [row for _, row in newest]
    by_month = Counter(row["created_at"][:7] for row in rows)
    by_user = Counter(row["user_id"] for row in rows).most_common(2)
    assert report == GeneratedLog(
        objects=len(files),
        bytes=sum(map(len, files.values())),
        jobs=len(rows),
        bad_rows=len(bad),
        duplicates=len(older),
        late_rows=sum(is_late(key, row) for key, row in newest),
        jobs_by_month={month: by_month[month] for month in report.jobs_by_month},
        users=len({row["user_id"] for row in rows}),
        projects=len({row["project_id"] for row in rows}),
        busiest_user=int(by_user[0][0]),
    )
    asked = (options.jobs, options.bad_rows, options.duplicates, options.late_rows)
    assert (report.jobs, report.bad_rows, report.duplicates, report.late_rows) == asked
    assert sum(report.jobs_by_month.values()) == options.jobs
    assert len(report.jobs_by_month) == options.months
    assert report.busiest_user == 211
    assert len(by_user) == 1 or by_user[0][1] > by_user[1][1]
    return report, newest


# ---- The bytes


DIRTY = ScxLogOptions(jobs=2_000, months=5, bad_rows=25, duplicates=60, late_rows=30)


def test_the_same_options_give_the_same_bytes_and_another_seed_others() -> None:
    assert make(DIRTY) == make(DIRTY)
    other = make(replace(DIRTY, seed=2))[1]
    assert all(other[key] != data for key, data in make(DIRTY)[1].items())


def test_the_bytes_are_those_of_every_other_machine() -> None:
    """If this fails after a change that was meant to change the log, put the new digest here; if it fails on
    another machine or with another numpy or Arrow, the generator's promise is broken."""
    digest = hashlib.sha256(b"".join(make(DIRTY)[1].values())).hexdigest()
    assert digest == "4a977354755e5802098865cd1d8c6de4ea95b335120c338f56dd722db4bd15c0"


def test_dirt_leaves_the_clean_rows_as_they_are() -> None:
    clean = sort_out(make(replace(DIRTY, bad_rows=0, duplicates=0))[1])[0]
    dirty = sort_out(make(DIRTY)[1])[0]
    assert sorted(row["job_id"] for _, row in dirty) == sorted(row["job_id"] for _, row in clean)
    assert {row["job_id"]: row for _, row in dirty} == {row["job_id"]: row for _, row in clean}


def test_a_local_folder_gets_what_memory_gets(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bucket")
    told: list[str] = []
    report = generate(DIRTY, LocalStore(folder), told.append)
    expected, files = make(DIRTY)
    assert report == expected
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.csv")}
    assert found == files
    assert [line.split(":")[0] for line in told] == sorted(files)


def test_a_generation_that_fails_half_way_leaves_the_earlier_object() -> None:
    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise OSError("disk on fire")

    for compression in COMPRESSIONS:
        store = MemoryStore()
        writing.write_object(store, "log.csv", [b"whole"])
        with pytest.raises(OSError, match="disk on fire"):
            writing.write_object(store, "log.csv", broken(), compression)
        assert bytes(obstore.get(store, "log.csv").bytes()) == b"whole"


# ---- Layouts and compression


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_layout_and_compression_holds_the_same_jobs(
    layout: plan.Layout, compression: plan.Compression
) -> None:
    options = replace(DIRTY, late_rows=0)
    plain = sort_out(make(options)[1])[0]
    report, newest = check_report(replace(options, layout=layout, compression=compression))
    assert [row for _, row in newest] == [row for _, row in plain]
    months, suffix = list(report.jobs_by_month), plan.SUFFIXES[compression]
    merged = {"monthly": 0, "both": 2, "concatenated": 5}[layout]
    expected = [
        f"{FOLDER}{month.replace('-', '/')}/auto_classify_jobs_{month}.csv{suffix}"
        for month in months[merged:]
    ]
    if merged:
        expected.append(f"{FOLDER}auto_classify_jobs_concatenated.csv{suffix}")
    assert sorted({key for key, _ in newest}) == sorted(expected)
    for key, row in newest:
        assert (month_of_key(key) or row["created_at"][:7]) == row["created_at"][:7]
        assert (row["created_at"][:7] in months[:merged]) == (month_of_key(key) is None)


def test_late_rows_cross_only_into_monthly_files() -> None:
    report, newest = check_report(replace(DIRTY, layout="both", months=4))
    months = list(report.jobs_by_month)
    late = [(month_of_key(key), row["created_at"][:7]) for key, row in newest if is_late(key, row)]
    assert set(late) == set(zip(months[2:], months[1:], strict=False))


# ---- The report


def test_the_report_is_what_reading_back_finds() -> None:
    report, _ = check_report(replace(DIRTY, months=12, jobs=3_000, bad_rows=55, duplicates=400, late_rows=90))
    assert list(report.jobs_by_month) == [f"2021-{month:02}" for month in range(1, 13)]


def test_counts_hold_over_the_borders_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_rows, "BLOCK_ROWS", 64)
    _, newest = check_report(replace(DIRTY, late_rows=600))
    ids = [int(row["job_id"]) for _, row in newest]
    assert len(set(ids)) == len(ids)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_report_is_right_for_any_options(data: st.DataObject) -> None:
    draw: Callable[..., int] = lambda *args: data.draw(st.integers(*args))  # noqa: E731
    jobs, months = draw(1, 120), draw(2, 5)
    options = ScxLogOptions(
        to=data.draw(st.sampled_from(["2021-12", "2020-02", "2024-03", "2030-01"])),
        months=months,
        jobs=jobs,
        seed=draw(0, 2**40),
        layout=data.draw(st.sampled_from(LAYOUTS)),
        compression=data.draw(st.sampled_from(COMPRESSIONS)),
        bad_rows=draw(0, 25),
        duplicates=draw(0, jobs),
    )
    room = sum(plan._count_room(options))
    check_report(replace(options, late_rows=draw(0, room)))


# ---- The rows


@pytest.fixture(scope="module")
def year() -> list[Row]:
    return [row for _, row in check_report(ScxLogOptions(jobs=12_000))[1]]


def test_values_are_those_the_columns_allow(year: list[Row]) -> None:
    allowed = dict(zip(HEADER[5:10], map(set, job_rows.POOLS), strict=True))
    for row in year:
        assert all(row[name] in values for name, values in allowed.items())
        assert all(row[name] in ("0", "1") for name in HEADER[10:16])
        assert row["plan_id"] in ("1", "2", "3", "4")
        assert re.fullmatch(r"[0-9a-f]{1,150}", row["email_encrypted"])
        assert re.fullmatch(r"\d\d[0-5]\d[0-5]\d", row["upload_time"])
        assert row["date"] == f"{datetime.fromisoformat(row['date']):%Y-%m-%d}"
        took = datetime.fromisoformat(row["updated_at"]) - datetime.fromisoformat(row["created_at"])
        hours, minutes, seconds = (int(row["upload_time"][at : at + 2]) for at in (0, 2, 4))
        assert took > timedelta(hours=hours, minutes=minutes, seconds=seconds)


def test_ids_rise_with_time(year: list[Row]) -> None:
    stamps = [row["created_at"] for row in sorted(year, key=lambda row: int(row["job_id"]))]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) < len(stamps)  # some jobs share a second


def test_the_heavy_user_works_in_every_month(year: list[Row]) -> None:
    months = Counter(row["created_at"][:7] for row in year if row["user_id"] == "211")
    assert len(months) == 12
    assert min(months.values()) > 30


def test_users_and_projects_have_a_history(year: list[Row]) -> None:
    """An email belongs to a user, and so does a project; plans and summaries change with updated_at, so the
    newest row, and not just any, tells the present one."""
    for names in (("user_id", "email_encrypted"), ("project_id", "user_id", "project_name", "date")):
        assert len({row[names[0]] for row in year}) == len(
            {tuple(row[name] for name in names) for row in year}
        )
    for key, value, some, many in (("user_id", "plan_id", 50, 3), ("project_id", "summary", 100, 3)):
        seen: dict[str, list[str]] = {}
        for row in sorted(year, key=lambda row: row["updated_at"]):
            history = seen.setdefault(row[key], [])
            if not history or history[-1] != row[value]:
                history.append(row[value])
        assert sum(len(history) > 1 for history in seen.values()) > some
        assert max(map(len, seen.values())) <= many
    joined = [row["user_id"] for row in year if row["created_at"] < "2021-02"]
    assert len(set(joined)) < 0.8 * len({row["user_id"] for row in year})


def test_work_follows_the_clock_the_week_and_the_seasons(year: list[Row]) -> None:
    moments = [datetime.fromisoformat(row["created_at"]) for row in year]
    hours = Counter(moment.hour for moment in moments)
    assert min(hours[9], hours[10], hours[14], hours[15]) > 4 * max(hours[2], hours[22])
    weekdays = Counter(moment.weekday() for moment in moments)
    assert max(weekdays[5], weekdays[6]) * 3 < min(weekdays[day] for day in range(5))
    months = Counter(moment.month for moment in moments)
    assert min(months[month] for month in range(5, 11)) > max(months[month] for month in (1, 2, 3, 12))


def test_ground_profiles_are_skewed(year: list[Row]) -> None:
    profiles = Counter(row["ground_profile"] for row in year)
    usual = {"city": 0.38, "forestry": 0.27, "urban": 0.18, "town": 0.12, "skip": 0.05}
    assert {name: profiles[name] / len(year) for name in usual} == pytest.approx(usual, abs=0.08)
    assert {row["noise_type"] == "" for row in year} == {True, False}


@pytest.mark.parametrize(
    ("column", "needed"),
    [("project_name", ',"\n서é🌲'), ("summary", ',"\n측É²🔁—')],
    ids=["project_name", "summary"],
)
def test_texts_hold_what_a_csv_reader_must_survive(year: list[Row], column: str, needed: str) -> None:
    texts = "".join({row[column] for row in year})
    assert [character for character in needed if character not in texts] == []


def test_summaries_may_be_empty(year: list[Row]) -> None:
    assert "" in {row["summary"] for row in year}


def test_only_fields_that_need_quotes_have_them() -> None:
    """Written again by Python's csv module, which quotes where it must, every file stays the same."""
    for data in make(DIRTY)[1].values():
        again = io.StringIO(newline="")
        csv.writer(again, lineterminator="\n").writerows(csv.reader(io.StringIO(data.decode(), newline="")))
        assert again.getvalue().encode() == data


# ---- Dirt


def test_older_versions_are_of_the_same_job_and_sooner() -> None:
    newest, older, _ = sort_out(make(replace(DIRTY, duplicates=300))[1])
    now = {row["job_id"]: (key, row) for key, row in newest}
    for key, row in older:
        kept_key, kept = now[row["job_id"]]
        assert key == kept_key
        assert row["created_at"] == kept["created_at"] <= row["updated_at"] < kept["updated_at"]
        assert row["ground_profile"] != kept["ground_profile"]
    assert len({row["job_id"] for _, row in older}) == 300


def test_older_versions_come_before_and_after_the_newer_one() -> None:
    jobs = [(row[0], row[17]) for _, row in read(make(replace(DIRTY, bad_rows=0, duplicates=300))[1])]
    updates: dict[str, list[str]] = {}
    for job, updated in jobs:
        updates.setdefault(job, []).append(updated)
    orders = Counter(stamps == sorted(stamps) for stamps in updates.values() if len(stamps) == 2)
    assert min(orders[True], orders[False]) > 50


def test_bad_rows_are_of_every_kind_and_spread_out() -> None:
    files = make(replace(DIRTY, bad_rows=100))[1]
    bad = sort_out(files)[2]
    by_length = Counter(len(fields) for fields in bad)
    assert by_length[23] == 10
    assert sum(by_length[length] for length in range(5, 22)) == 10
    whole = [dict(zip(HEADER, fields, strict=True)) for fields in bad if len(fields) == 22]
    for spoilt in list(BAD_KINDS.values())[2:]:
        assert sum(all(row[name] == value for name, value in spoilt.items()) for row in whole) == 10
    for key, data in files.items():
        places = [at for at, (_, fields) in enumerate(read({key: data})) if not is_good(fields)]
        rows = len(read({key: data}))
        assert places[0] < rows / 4
        assert places[-1] > rows * 3 / 4


# ---- Options


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"to": "2021-13"}, "to must be a month as YYYY-MM"),
        ({"to": "2021"}, "to must be a month as YYYY-MM"),
        ({"months": 0}, "months must be 1 or more"),
        ({"to": "2000-03", "months": 4}, "keep the log within 2000-01 and 2059-12"),
        ({"to": "9999-12"}, "keep the log within 2000-01 and 2059-12"),
        ({"jobs": 0}, "jobs must be 1 or more"),
        ({"jobs": 2**31}, "job_id has to fit in 32 bits"),
        ({"jobs": 2_000_000_000, "bad_rows": 2**27}, "job_id has to fit in 32 bits"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"layout": "weekly"}, "layout must be one of monthly, concatenated, both"),
        ({"layout": "both", "months": 1}, "layout both needs months to be 2 or more"),
        ({"compression": "bzip2"}, "compression must be one of none, gzip, zstd"),
        ({"bad_rows": -1}, "bad_rows must be 0 or more"),
        ({"duplicates": 24_001}, r"duplicates must be from 0 to jobs \(24000\)"),
        ({"late_rows": -1}, "late_rows must be from 0 to"),
        (
            {"late_rows": 24_000},
            "late_rows must be from 0 to the jobs of the months followed",
        ),
        ({"late_rows": 1, "months": 1}, r"followed by a monthly file \(0\)"),
        ({"late_rows": 1, "layout": "concatenated"}, r"followed by a monthly file \(0\)"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_written(
    changes: dict[str, object], told: str
) -> None:
    store = MemoryStore()
    with pytest.raises(ValueError, match=told) as refusal:
        generate(replace(ScxLogOptions(), **changes), store)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)
    assert not [entry for batch in obstore.list(store) for entry in batch]
