"""The checks that follow from a table's declaration, and their descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline_tests.support.lake.visits_star import visits_star


@pytest.fixture(scope="module")
def declared() -> dict[str, dict[str, str]]:
    """Return the descriptions of all checks of the project's stars, by table and by name."""
    found: dict[str, dict[str, str]] = {}
    for name in ("scx", "songplays", "sensor_readings"):
        for check in declared_checks(load_star(stars_folder() / name).star):
            found.setdefault(f"{name}.{check.table}", {})[check.name] = check.description
    return found


def test_sources_with_declared_counts_have_checks_of_rows_per_file_and_files_per_day(
    declared: dict[str, dict[str, str]],
) -> None:
    descriptions = declared["sensor_readings.data_sample"]
    assert descriptions["rows_per_file"] == "Warns of a file that does not have 1,914 rows."
    assert (
        descriptions["files_per_day"]
        == "Warns of a day that does not have 1,440 files, from the first day to the last."
    )
    assert not {"rows_per_file", "files_per_day"} & declared["scx.staging_cleansed_logs"].keys()


def test_the_row_count_rule_depends_on_what_the_table_is_built_from(
    declared: dict[str, dict[str, str]],
) -> None:
    rules = {table: checks["row_count"] for table, checks in declared.items()}
    staging_rule = "The loaded months have as many rows as were counted as loaded."
    assert {table for table, rule in rules.items() if rule == staging_rule} == {
        "scx.staging_cleansed_logs",
        "songplays.staging_events",
        "songplays.staging_songs",
        "sensor_readings.data_sample",
    }
    assert (
        rules["scx.auto_classification_logs"] == "Every month has as many rows as in staging_cleansed_logs."
    )
    assert rules["scx.users"] == "A month has at least 1 row if the table's inputs have rows."
    assert rules["songplays.songplays"] == ("Warns of a month without rows if the table's inputs have rows.")


def test_a_check_that_can_only_warn_is_declared_so() -> None:
    warning = {
        f"{name}.{check.table}.{check.name}"
        for name in ("scx", "songplays", "sensor_readings")
        for check in declared_checks(load_star(stars_folder() / name).star)
        if check.severity == "warn"
    }
    assert warning == {
        "scx.staging_cleansed_logs.declared_fields",
        *(f"songplays.{table}.declared_fields" for table in ("staging_events", "staging_songs")),
        *(f"songplays.{table}.row_count" for table in ("songplays", "users", "time")),
        *(
            f"sensor_readings.data_sample.{rule}"
            for rule in ("declared_fields", "rows_per_file", "files_per_day")
        ),
    }


def test_a_rule_of_one_of_several_sources_is_named_after_it(tmp_path: Path) -> None:
    star = visits_star(
        tmp_path, visits_csv={"reject_limit": 0.1, "warn_above": 0.05, "rows_per_file": 1_000}
    ).star
    rules = {check.name: check.description for check in declared_checks(star) if check.table == "visits"}
    assert rules["rejected_rows"] == (
        "visits_csv: At most 10% of a month's rows are rejected. Warns above 5%. "
        "visits_json: At most 50% of a month's rows are rejected."
    )
    assert rules["rows_per_file"] == "visits_csv: Warns of a file that does not have 1,000 rows."
