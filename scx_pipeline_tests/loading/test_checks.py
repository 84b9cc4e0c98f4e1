"""Which checks a table has because of what is declared about it, and what is said of each.
That each of them can fail is in loading/test_blocking_checks.py, what is said then of counts in test_accounts.py."""

from __future__ import annotations

import pytest

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.loading.checks import declared_checks


@pytest.fixture(scope="module")
def declared() -> dict[str, dict[str, str]]:
    """What is said of each check, by its name, by its table, of all stars of the project."""
    found: dict[str, dict[str, str]] = {}
    for name in ("scx", "songplays", "sensor_readings"):
        for check in declared_checks(load_star(stars_folder() / name).star):
            found.setdefault(f"{name}.{check.table}", {})[check.name] = check.description
    return found


def test_files_have_checks_of_their_rows_and_number_where_these_are_declared(
    declared: dict[str, dict[str, str]],
) -> None:
    told = declared["sensor_readings.data_sample"]
    assert told["rows_per_file"] == "Warns of a file that has not 1,914 rows."
    assert told["files_per_day"] == "Warns of a day that has not 1,440 files, from the first to the last."
    assert not {"rows_per_file", "files_per_day"} & declared["scx.staging_cleansed_logs"].keys()


def test_how_many_rows_a_table_must_have_is_told_by_what_it_is_made_from(
    declared: dict[str, dict[str, str]],
) -> None:
    told = {table: checks["row_count"] for table, checks in declared.items()}
    slice_rule = "The slice holds as many rows as the accounting says were loaded."
    assert {table for table, rule in told.items() if rule == slice_rule} == {
        "scx.staging_cleansed_logs",
        "songplays.staging_events",
        "songplays.staging_songs",
        "sensor_readings.data_sample",
    }
    assert told["scx.auto_classification_logs"] == "Every month has as many rows as in staging_cleansed_logs."
    assert told["scx.users"] == "A month has 1 rows or more, if what the table is made from has any."
    assert told["songplays.songplays"] == (
        "Warns of a month without rows, if what the table is made from has some."
    )
