"""What `scx load` says of declarations that do not fit the bucket: one line, once, with the place and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.cli.conftest import Scx
from scx_pipeline_tests.support.scx_command import CommandResult
from scx_pipeline_tests.support.stars import StarCopy

Copies = dict[str, StarCopy]


def only_error(result: CommandResult) -> str:
    """Return the one line that a failed command printed as its error."""
    assert result.code == 1
    [line] = result.err.splitlines()
    return line


@pytest.fixture
def music(scx: Scx, home: Path) -> Path:
    """Return the bucket of an SCX_HOME with a few days of music events and their songs."""
    result = scx("generate", "songplays", "--to", "2018-11", "--months", "1", "--events", "200")
    assert result.code == 0, result.err
    return home / "bucket"


# Patterns


def test_load_names_the_patterns_that_match_nothing_and_an_object(
    scx: Scx, copies: Copies, bucket: Path
) -> None:
    star = copies["scx"]
    star.replace('prefix: ""', "prefix: auto_classify_jobs/")
    star.replace("        - pattern: auto_classify_jobs/auto_classify_jobs_concatenated.csv*\n", "")
    line = (
        star.replace('pattern: "auto_classify_jobs/{year}/{month}/**.csv*"', 'pattern: "{year}-{month}.csv"')
        - 1
    )
    star.replace("pattern: auto_classify_jobs_concatenated.csv*", "pattern: jobs.csv")
    files = [path for path in bucket.rglob("*") if path.is_file()]
    first = min(str(path.relative_to(bucket)) for path in files)
    expected = (
        f"error: {star.path('defs.yaml')}, line {line - 1}: none of the {len(files)} objects under auto_classify_jobs/ matches the files "
        f"of the source auto_classify_jobs (jobs.csv, {{year}}-{{month}}.csv), for example {first}: correct the patterns; nothing was changed"
    )
    assert only_error(scx("load", "scx")) == expected
    assert only_error(scx("plan", "scx")) == expected
    assert not (bucket.parent / "dev.duckdb").exists()


def test_an_empty_prefix_is_still_reported_as_such(scx: Scx, copies: Copies, bucket: Path) -> None:
    copies["scx"].replace('prefix: ""', "prefix: jobs/")
    assert "has no objects under jobs/" in only_error(scx("load", "scx"))


def test_a_pattern_of_one_source_that_matches_nothing_is_a_warning(
    scx: Scx, copies: Copies, music: Path
) -> None:
    copies["songplays"].replace('pattern: "**/*.json*"', 'pattern: "*.xml"')
    for command in ("plan", "load"):
        result = scx(command, "songplays")
        assert result.code == 0
        assert (
            result.err.count("objects under song_data/ matches the files of the source song_data (*.xml)")
            == 1
        )


# Keys


def test_load_says_where_a_key_that_is_not_unique_is_declared_and_what_to_do(
    scx: Scx, copies: Copies, bucket: Path
) -> None:
    star = copies["scx"]
    line = star.replace("key: [job_id]", "key: [project_id]")
    error = only_error(scx("load", "scx"))
    assert error.count("unique_project_id on staging_cleansed_logs") == 1
    assert error.endswith(
        f"; if these rows are right, declare another key for staging_cleansed_logs ({star.path('defs.yaml')}, line {line}); "
        "otherwise remove one of them from the objects"
    )


def test_without_sequence_by_it_is_named_as_a_remedy(scx: Scx, copies: Copies, bucket: Path) -> None:
    star = copies["scx"]
    star.replace("      sequence_by: [updated_at]\n", "")
    error = only_error(scx("load", "scx", "--month", "2021-02"))
    assert (
        "declare another key for staging_cleansed_logs, or sequence_by, by which the latest row is kept ("
        in error
    )


def test_of_a_derived_table_the_sql_file_is_named(scx: Scx, copies: Copies, bucket: Path) -> None:
    star = copies["scx"]
    text = star.path("defs.yaml").read_text("utf-8").splitlines()
    number = max(n for n, line in enumerate(text) if line == "      key: [job_id]")
    star.write("defs.yaml", "\n".join([*text[:number], "      key: [user_id]", *text[number + 1 :]]))
    error = only_error(scx("load", "scx"))
    assert error.endswith(
        f"; correct {star.path('sql/auto_classification_logs.sql')}, or declare another key for auto_classification_logs "
        f"({star.path('defs.yaml')}, line {number + 1})"
    )


# Formats


@pytest.mark.parametrize("declared", ["json_lines", "json"])
def test_a_format_by_which_no_row_can_be_read_is_named_with_its_line(
    scx: Scx, copies: Copies, bucket: Path, declared: str
) -> None:
    star = copies["scx"]
    line = star.replace("format: csv", f"format: {declared}")
    error = only_error(scx("load", "scx", "--month", "2021-02"))
    assert error.startswith(
        "error: scx 2021-02 was not published, nothing was changed: rejected_rows on staging_cleansed_logs: "
    )
    assert error.endswith(
        f"; no row can be read: correct `format: {declared}` or the columns of the source auto_classify_jobs "
        f"({star.path('defs.yaml')}, line {line})"
    )


def test_a_file_that_is_not_parquet_is_named_with_the_remedy(scx: Scx, copies: Copies, bucket: Path) -> None:
    copies["scx"].replace("format: csv", "format: parquet")
    error = only_error(scx("load", "scx", "--month", "2021-02"))
    assert error.endswith(
        ".csv cannot be read: it is not Parquet; correct the source's format or patterns, upload it again, or set on_invalid_file: "
        "reject for the source"
    )


def test_json_lines_that_are_declared_as_parquet_are_named(scx: Scx, copies: Copies, music: Path) -> None:
    copies["songplays"].replace("format: json_lines", "format: parquet")
    result = scx("load", "songplays", "--month", "2018-11")
    [error] = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert "-events.json cannot be read: it is not Parquet; correct the source's format" in error
