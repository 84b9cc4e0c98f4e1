"""Files, bytes, options and report of the Scx log generator, verified by an independent reader.

The content of rows does not belong here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from scx_pipeline.samples import writing
from scx_pipeline.samples.scx import job_rows, plan
from scx_pipeline.samples.scx.plan import ScxLogOptions
from scx_pipeline.samples.scx.scx_bucket import generate
from scx_pipeline_tests.samples.scx_log import (
    COMPRESSIONS,
    FOLDER,
    LAYOUTS,
    NOISY,
    check_report,
    is_late,
    make,
    month_of_key,
    sort_out,
)


def test_the_same_options_give_the_same_bytes_and_another_seed_gives_others() -> None:
    assert make(NOISY) == make(NOISY)
    other = make(replace(NOISY, seed=2))[1]
    assert all(other[key] != data for key, data in make(NOISY)[1].items())


def test_the_bytes_are_the_same_on_every_machine() -> None:
    """If this fails after a change that was meant to change the log, put the new digest here; if it fails on
    another machine or with another numpy or Arrow, the generator is not deterministic."""
    digest = hashlib.sha256(b"".join(make(NOISY)[1].values())).hexdigest()
    assert digest == "4a977354755e5802098865cd1d8c6de4ea95b335120c338f56dd722db4bd15c0"


def test_invalid_rows_do_not_change_the_clean_rows() -> None:
    clean = sort_out(make(replace(NOISY, bad_rows=0, duplicates=0))[1])[0]
    noisy = sort_out(make(NOISY)[1])[0]
    assert sorted(row["job_id"] for _, row in noisy) == sorted(row["job_id"] for _, row in clean)
    assert {row["job_id"]: row for _, row in noisy} == {row["job_id"]: row for _, row in clean}


def test_a_local_folder_receives_the_same_objects_as_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bucket")
    message: list[str] = []
    report = generate(NOISY, LocalStore(folder), message.append)
    expected, files = make(NOISY)
    assert report == expected
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.csv")}
    assert found == files
    assert [line.split(":")[0] for line in message] == sorted(files)


def test_a_failed_generation_leaves_the_earlier_object() -> None:
    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise OSError("disk on fire")

    for compression in COMPRESSIONS:
        store = MemoryStore()
        writing.write_object(store, "log.csv", [b"complete"])
        with pytest.raises(OSError, match="disk on fire"):
            writing.write_object(store, "log.csv", broken(), compression)
        assert bytes(obstore.get(store, "log.csv").bytes()) == b"complete"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_layout_and_compression_holds_the_same_jobs(
    layout: plan.Layout, compression: plan.Compression
) -> None:
    options = replace(NOISY, late_rows=0)
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


def test_late_rows_are_written_only_to_monthly_files() -> None:
    report, newest = check_report(replace(NOISY, layout="both", months=4))
    months = list(report.jobs_by_month)
    late = [(month_of_key(key), row["created_at"][:7]) for key, row in newest if is_late(key, row)]
    assert set(late) == set(zip(months[2:], months[1:], strict=False))


def test_the_report_matches_the_content_of_the_bucket() -> None:
    report, _ = check_report(replace(NOISY, months=12, jobs=3_000, bad_rows=55, duplicates=400, late_rows=90))
    assert list(report.jobs_by_month) == [f"2021-{month:02}" for month in range(1, 13)]


def test_counts_are_correct_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_rows, "BLOCK_ROWS", 64)
    _, newest = check_report(replace(NOISY, late_rows=600))
    ids = [int(row["job_id"]) for _, row in newest]
    assert len(set(ids)) == len(ids)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_report_is_correct_for_any_options(data: st.DataObject) -> None:
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
    room = sum(plan._count_late_capacity(options))
    check_report(replace(options, late_rows=draw(0, room)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": "2021-13"}, "to must be a month as YYYY-MM"),
        ({"to": "2021"}, "to must be a month as YYYY-MM"),
        ({"months": 0}, "months must be 1 or more"),
        ({"to": "2000-03", "months": 4}, "keep the log within 2000-01 and 2059-12"),
        ({"to": "9999-12"}, "keep the log within 2000-01 and 2059-12"),
        ({"jobs": 0}, "jobs must be 1 or more"),
        ({"jobs": 2**31}, "job_id must fit in 32 bits"),
        ({"jobs": 2_000_000_000, "bad_rows": 2**27}, "job_id must fit in 32 bits"),
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
def test_invalid_options_are_rejected_before_anything_is_written(
    changes: dict[str, object], message: str
) -> None:
    store = MemoryStore()
    with pytest.raises(ValueError, match=message) as caught:
        generate(replace(ScxLogOptions(), **changes), store)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not [entry for batch in obstore.list(store) for entry in batch]
