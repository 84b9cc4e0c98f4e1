"""Loads of a staging table that two sources feed, one as JSON lines and one as CSV: rows, counts, limits and additions.

What the lake does with such a table is not tested here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline_tests.support.lake.visits_star import (
    FEBRUARY,
    JANUARY,
    Visit,
    VisitsEnv,
    visit,
    visits_star,
)
from scx_pipeline_tests.support.load_env import LoadEnv, create_load_env

COUNTS = "source, object_key, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered"


@pytest.fixture
def traffic(load_env: LoadEnv, tmp_path: Path) -> LoadEnv:
    load_env.compiled = visits_star(tmp_path)
    return load_env


def put(traffic: LoadEnv, name: str, visits: Sequence[Visit]) -> None:
    VisitsEnv(traffic.bucket_url, traffic.warehouse_url).put_visits(name, visits)


def test_the_same_rows_come_from_either_format_and_from_both(traffic: LoadEnv, tmp_path: Path) -> None:
    visits = [visit(number, f"2023-01-{number:02d}", f"page {number % 3}") for number in range(1, 20)]
    visits += [visit(20, "2023-01-20", "blog", None), visit(21, "2023-01-31", "", 5)]
    rows = []
    for number, parts in enumerate(((visits, []), ([], visits), (visits[::2], visits[1::2]))):
        other = create_load_env(tmp_path / f"format {number}", compiled=traffic.compiled)
        traffic = traffic if number == 2 else other
        for name, part in zip(("2023/01/a.json", "2023/01/a.csv"), parts, strict=True):
            if part:
                put(traffic, name, part)
        traffic.load(JANUARY)
        rows.append((sorted(traffic.table("visits"), key=str), sorted(traffic.table("pages"), key=str)))
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0][0]) == 21


def test_every_object_and_rejected_row_is_counted_for_its_source(traffic: LoadEnv) -> None:
    put(traffic, "2023/01/a.json", [visit(1, "2023-01-05"), visit(2, "2023-01-05", "x", "many")])
    put(
        traffic,
        "2023/01/a.csv",
        [visit(3, "2023-01-05", "x", "few"), visit(4, "2023-01-05"), visit(1, "2023-01-06")],
    )
    put(traffic, "2023/02/b.csv", [visit(5, "2023-01-31"), visit(6, "2023-02-01")])
    report = traffic.load(JANUARY)
    assert [(item, count) for item, *_, count in [("read", report.read), ("loaded", report.loaded)]] == [
        ("read", 7),
        ("loaded", 3),
    ]
    assert traffic.state("objects", COUNTS) == [
        ("visits_csv", "visits/2023/01/a.csv", 3, 2, 1, 0, 0),
        ("visits_csv", "visits/2023/02/b.csv", 2, 1, 0, 0, 1),
        ("visits_json", "visits/2023/01/a.json", 2, 0, 1, 1, 0),
    ]
    assert traffic.state("rejected_rows", "source, object_key, line, column_name") == [
        ("visits_csv", "visits/2023/01/a.csv", 2, "seconds"),
        ("visits_json", "visits/2023/01/a.json", 2, "seconds"),
    ]
    assert sorted(traffic.table("visits", "id")) == [(1,), (4,), (5,)]
    assert traffic.changed() == [FEBRUARY]
    traffic.load(FEBRUARY)
    assert traffic.changed() == []


def test_a_key_in_two_months_of_two_sources_holds_both(traffic: LoadEnv) -> None:
    put(traffic, "2023/01/a.json", [visit(1, "2023-01-05")])
    put(traffic, "2023/02/a.csv", [visit(1, "2023-02-05")])
    with pytest.raises(CheckFailedError, match="id 1 occurs in 2023-01 and in 2023-02"):
        traffic.load(JANUARY, FEBRUARY)


def test_each_source_has_a_limit_of_rejected_rows_of_its_own(traffic: LoadEnv, tmp_path: Path) -> None:
    traffic.compiled = visits_star(tmp_path / "strict", visits_csv={"reject_limit": 0.0})
    put(traffic, "2023/01/a.json", [visit(1, "2023-01-05"), visit(2, "2023-01-05", "x", "many")])
    put(traffic, "2023/01/a.csv", [visit(number, "2023-01-06") for number in range(3, 9)])
    traffic.load(JANUARY)
    put(traffic, "2023/02/a.json", [visit(number, "2023-02-05") for number in range(11, 90)])
    put(traffic, "2023/02/a.csv", [visit(90, "2023-02-06"), visit(91, "2023-02-06", "x", "few")])
    with pytest.raises(CheckFailedError) as caught:
        traffic.load(FEBRUARY)
    assert "rejected_rows on visits: visits_csv: 1 of 2 rows were rejected (50.00%; the limit is 0%)" in str(
        caught.value
    )
    assert sorted(traffic.table("visits", "id")) == [(1,), *((number,) for number in range(3, 9))]
    held = traffic.state("held_rejected_rows", "source, object_key, line")
    assert held == [("visits_csv", "visits/2023/02/a.csv", 3)]


def test_a_source_without_objects_is_not_mentioned_in_the_results(traffic: LoadEnv) -> None:
    put(traffic, "2023/01/a.json", [visit(1, "2023-01-05"), visit(2, "2023-01-05")])
    [check] = [item for item in traffic.load(JANUARY).checks if item.name == "rejected_rows"]
    assert check.message == "0 of 2 rows were rejected (0.00%)"


@pytest.mark.parametrize("added", ["2023/01/b.csv", "2023/01/b.json"])
def test_an_object_that_is_added_by_one_source_is_all_that_is_read(
    traffic: LoadEnv, tmp_path: Path, added: str
) -> None:
    put(traffic, "2023/01/a.json", [visit(number, "2023-01-05", f"p{number % 2}") for number in range(40)])
    put(traffic, "2023/01/a.csv", [visit(number, "2023-01-06", f"p{number % 2}") for number in range(40, 80)])
    traffic.load(JANUARY)
    put(traffic, added, [visit(100, "2023-01-07", "p0", 9), visit(101, "2023-01-07", "new", "odd")])
    report = traffic.load(JANUARY)
    assert (report.is_addition, report.objects, report.read, report.rejected) == (True, 1, 2, 1)
    [check] = [item for item in report.checks if item.name == "rejected_rows"]
    assert check.numbers["rows_read"] == 82
    built = create_load_env(tmp_path / "built", compiled=traffic.compiled)
    built.bucket_url = traffic.bucket_url
    built.load(JANUARY)
    for table in ("visits", "pages"):
        assert sorted(traffic.table(table), key=str) == sorted(built.table(table), key=str)
    assert traffic.state("objects", COUNTS) == built.state("objects", COUNTS)


def test_a_month_is_due_when_an_object_of_either_source_changes_or_goes(traffic: LoadEnv) -> None:
    for name in ("2023/01/a.json", "2023/01/a.csv"):
        put(traffic, name, [visit(len(name), "2023-01-05")])
    traffic.load(JANUARY)
    for name in ("2023/01/a.json", "2023/01/a.csv"):
        put(traffic, name, [visit(len(name), "2023-01-05", "other"), visit(7 * len(name), "2023-01-05")])
        assert traffic.changed() == [JANUARY]
        traffic.load(JANUARY)
        assert traffic.changed() == []
    traffic.delete_key("visits/2023/01/a.csv")
    assert traffic.changed() == [JANUARY]
    traffic.load(JANUARY)
    assert {source for (source,) in traffic.state("objects", "source")} == {"visits_json"}
    assert traffic.plan().selection.ignored == ()


def test_unreadable_files_of_both_sources_hold_their_months_at_once(traffic: LoadEnv) -> None:
    put(traffic, "2023/01/a.csv", [visit(1, "2023-01-05")])  # its month may be in the next month's files, too
    traffic.put_key("visits/2023/02/a.csv", b"no,such\n1,2\n")
    traffic.put_key("visits/2023/03/a.json", b"PAR1 not lines PAR1")
    put(traffic, "2023/05/a.json", [visit(5, "2023-05-05")])
    with pytest.raises(CheckFailedError, match="2 of 5 months were published") as caught:
        traffic.load(JANUARY, "2023-05")
    assert "2023/02/a.csv" in str(caught.value)
    assert "2023/03/a.json" in str(caught.value)
    assert traffic.table("visits", "id") == [(5,)]


def test_an_object_that_two_sources_of_a_table_include_is_refused_as_its_rows_would_be_loaded_twice(
    traffic: LoadEnv, tmp_path: Path
) -> None:
    both = {"files": [{"pattern": "{year}/{month}/*.csv"}]}
    traffic.compiled = visits_star(tmp_path / "overlapping", visits_json={**both, "format": "csv"})
    put(traffic, "2023/01/a.csv", [visit(1, "2023-01-05")])
    message = (
        "visits/2023/01/a.csv is included by visits_csv and by visits_json, which both feed visits: narrow"
    )
    with pytest.raises(PipelineError, match=message):
        traffic.load(JANUARY)
