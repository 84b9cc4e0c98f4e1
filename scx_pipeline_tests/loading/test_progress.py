"""How far a load says it is: files, rows, megabytes, how fast, and how long it will take.
Who shows it is tested with the command and the assets."""

from __future__ import annotations

from scx_pipeline.loading.progress import ProgressReporter


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pace(files: int, size: int) -> tuple[ProgressReporter, Clock, list[str]]:
    clock, told = Clock(), list[str]()
    return ProgressReporter(files, size, told.append, clock), clock, told


def test_a_long_load_tells_its_rate_and_the_time_left() -> None:
    load, clock, told = pace(100, 500_000_000)
    clock.now += 10
    load.at(20, 1_000_000, 100_000_000)
    assert told == [
        "read 20 of 100 files, 1,000,000 rows, 100 of 500 MB; 10.0 MB/s, 100,000 rows/s, 40 s left"
    ]


def test_the_time_left_is_told_in_minutes_and_hours_where_it_takes_them() -> None:
    load, clock, told = pace(100, 1_000_000_000)
    clock.now += 20
    load.at(10, 1, 100_000_000)
    clock.now += 3580
    load.at(20, 1, 200_000_000)
    assert [message.split(", ")[-1] for message in told] == ["3 min 0 s left", "4 h 0 min left"]


def test_it_is_told_now_and_then_only_and_always_at_the_end() -> None:
    load, clock, told = pace(5, 50)
    for files in range(1, 6):
        clock.now += 0.9
        load.at(files, files, files * 10)
    assert [message.split(" of ")[0] for message in told] == ["read 3", "read 5"]


def test_what_is_read_at_once_has_no_rate() -> None:
    load, _, told = pace(1, 5_000_000)
    load.at(1, 7, 5_000_000)
    assert told == ["read 1 of 1 files, 7 rows, 5 of 5 MB"]


def test_the_end_has_no_time_left() -> None:
    load, clock, told = pace(2, 8_000_000)
    clock.now += 4
    load.at(2, 80, 8_000_000)
    assert told == ["read 2 of 2 files, 80 rows, 8 of 8 MB; 2.0 MB/s, 20 rows/s"]


def test_empty_files_have_no_rate_to_reckon_with() -> None:
    load, clock, told = pace(2, 0)
    clock.now += 4
    load.at(2, 0, 0)
    assert told == ["read 2 of 2 files, 0 rows, 0 of 0 MB"]
