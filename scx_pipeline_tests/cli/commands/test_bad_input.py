"""What `scx load` says of declarations that do not fit the bucket: one line, once, with the place and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.cli.conftest import Scx
from scx_pipeline_tests.support.scx_command import CommandResult
from scx_pipeline_tests.support.stars import StarCopy

Copies = dict[str, StarCopy]


def only_error(result: CommandResult) -> str:
    """Return the one line that a failed command printed."""
    assert (result.code, result.out) == (1, "")
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
    line = star.replace('pattern: "{year}/{month}/**.csv*"', 'pattern: "{year}-{month}.csv"') - 1
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
    copies["scx"].replace("prefix: auto_classify_jobs/", "prefix: jobs/")
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
