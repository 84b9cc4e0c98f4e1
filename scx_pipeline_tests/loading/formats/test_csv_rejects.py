"""Rejected rows of CSV files: all are counted, and stored up to a length, a size and a number.

Which rows are rejected is not tested here.
"""

from __future__ import annotations

import pytest

from scx_pipeline.errors import CheckFailedError
from scx_pipeline.history import ingest_result
from scx_pipeline.parsing.csv import csv_parser
from scx_pipeline_tests.support.small_star import NUMBERS, TEXTS, StarFactory


def test_rejected_rows_are_stored_with_their_complete_record(csv_table: StarFactory) -> None:
    made = csv_table({"id": "integer", "v": "varchar(65535)", "m": "integer", "n": "integer"})
    made.load(x_csv=f"id,v,m,n\n1,{'x' * 20_000},bad,5\n2,{'y' * 70_000},3,5\n".encode())
    long = "'" + "y" * 80 + "' is longer than 65535 bytes"
    assert [row[1:4] for row in made.rejected()] == [(2, "m", "'bad' is not an integer"), (3, "v", long)]
    assert [len(row[4]) for row in made.rejected()] == [10_000, 10_000]


@pytest.mark.parametrize(
    "bad", ["short", "x,1", '"a"b,1', "1,2,3"], ids=["short", "values", "quotes", "long"]
)
def test_the_first_of_many_bad_rows_are_stored_and_all_are_counted(bad: str, csv_table: StarFactory) -> None:
    made = csv_table(NUMBERS, max_stored_rejects=50)
    report = made.load(x_csv=("id,n\n" + f"1,2\n{bad}\n" * 3000).encode(), y_csv=b"id,n\nbad,1\n")
    assert (report.read, report.loaded, report.rejected) == (6001, 3000, 3001)
    rejected = made.rejected()
    assert [row[1] for row in rejected] == [*range(3, 103, 2), 2]
    assert rejected[0][4] == bad
    [check] = [check for check in report.checks if check.name == "rejected_rows"]
    assert check.message.startswith("3,001 of 6,001 rows were rejected")
    assert check.message.endswith("and 2,998 more")


def test_raw_texts_are_stored_up_to_the_maximum_size(
    csv_table: StarFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_result, "MAX_STORED_CHARACTERS", 1000)
    made = csv_table(NUMBERS)
    report = made.load(x_csv=b"id,n\n" + b"y" * 99 + b"\n" * 1 + (b"x" * 99 + b"\n") * 99)
    assert report.rejected == 100
    assert len(made.rejected()) == 11


def test_rejected_rows_of_all_files_are_stored_up_to_the_maximum_number(
    csv_table: StarFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_result, "MAX_STORED_ROWS", 5)
    made = csv_table(NUMBERS)
    report = made.load(a_csv=b"id,n\n" + b"x\n" * 3, b_csv=b"id,n\n" + b"x\n" * 4)
    assert (report.read, report.rejected, len(made.rejected())) == (7, 7, 5)


def test_reading_stops_once_the_share_of_bad_rows_exceeds_the_limit(
    csv_table: StarFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_parser, "MAX_SHORT_RECORDS", 10)
    made = csv_table(NUMBERS, reject_limit=0.05, max_stored_rejects=20)
    with pytest.raises(
        CheckFailedError, match=r"rejected_rows on t: .* rows were rejected \(.*\), so reading stopped early"
    ) as caught:
        made.load(x_csv=b"id,n\n" + b"1,2\n" * 1000 + b"short\n" * 200_000)
    report = caught.value.report
    assert 10_000 < report.rejected < 30_000  # type: ignore[attr-defined]
    assert report.read < 40_000  # type: ignore[attr-defined]
    assert report.read == 1000 + report.rejected  # type: ignore[attr-defined]


def test_a_stray_quote_never_stops_the_reading_of_a_file_with_a_small_share_of_bad_rows(
    csv_table: StarFactory,
) -> None:
    made = csv_table(TEXTS, reject_limit=0.05, max_stored_rejects=20)
    # The quote's parity hides all records behind it from the count.
    content = b'id,v\n1,5" pipe\n' + b"short\n" * 30 + b"1,2\n" * 20_000
    report = made.load(x_csv=content)
    assert (report.read, report.loaded, report.rejected) == (20_031, 20_001, 30)
