"""Progress messages of a load: files, rows, megabytes, rate and remaining time."""

from __future__ import annotations

from scx_pipeline.loading.ingest.progress import ProgressReporter


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def reporter(files: int, size: int) -> tuple[ProgressReporter, Clock, list[str]]:
    clock, messages = Clock(), list[str]()
    return ProgressReporter(files, size, messages.append, clock), clock, messages


def test_a_long_load_reports_its_rate_and_the_remaining_time() -> None:
    progress, clock, messages = reporter(100, 500_000_000)
    clock.now += 10
    progress.update(20, 1_000_000, 100_000_000)
    assert messages == [
        "read 20 of 100 files, 1,000,000 rows, 100 of 500 MB; 10.0 MB/s, 100,000 rows/s, 40 s left"
    ]


def test_a_long_remaining_time_is_reported_in_minutes_and_hours() -> None:
    progress, clock, messages = reporter(100, 1_000_000_000)
    clock.now += 20
    progress.update(10, 1, 100_000_000)
    clock.now += 3580
    progress.update(20, 1, 200_000_000)
    assert [message.split(", ")[-1] for message in messages] == ["3 min 0 s left", "4 h 0 min left"]


def test_progress_is_reported_at_intervals_and_always_at_the_end() -> None:
    progress, clock, messages = reporter(5, 50)
    for files in range(1, 6):
        clock.now += 0.9
        progress.update(files, files, files * 10)
    assert [message.split(" of ")[0] for message in messages] == ["read 3", "read 5"]


def test_a_load_that_ends_at_once_has_no_rate() -> None:
    progress, _, messages = reporter(1, 5_000_000)
    progress.update(1, 7, 5_000_000)
    assert messages == ["read 1 of 1 files, 7 rows, 5 of 5 MB"]


def test_the_last_message_has_no_remaining_time() -> None:
    progress, clock, messages = reporter(2, 8_000_000)
    clock.now += 4
    progress.update(2, 80, 8_000_000)
    assert messages == ["read 2 of 2 files, 80 rows, 8 of 8 MB; 2.0 MB/s, 20 rows/s"]


def test_empty_files_have_no_rate() -> None:
    progress, clock, messages = reporter(2, 0)
    clock.now += 4
    progress.update(2, 0, 0)
    assert messages == ["read 2 of 2 files, 0 rows, 0 of 0 MB"]
