"""Which folders of a bucket are listed for a source, above all for one at the bucket's root.

No bucket is opened.
"""

from __future__ import annotations

import pytest

from scx_pipeline.planning.key_patterns import listed_folders, match_key
from scx_pipeline.planning.selection import select_objects
from scx_pipeline_tests.planning.objects import BY_MONTH, SONGS, info, source


@pytest.mark.parametrize(
    ("patterns", "folders"),
    [
        (["jobs.csv*"], [("", False)]),
        (["*.csv", "jobs.csv"], [("", False)]),
        (["jobs/all.csv*"], [("jobs/", False)]),
        (["jobs/{year}/{month}/**.csv*"], [("jobs/", True)]),
        (["all.csv*", "jobs/all.csv*", "jobs/{year}/{month}/*.csv"], [("", False), ("jobs/", True)]),
        (["jobs/2021/{month}-{year}.csv"], [("jobs/2021/", False)]),
        (["jobs/{year}/all.csv", "jobs/{year}/old/{month}.csv"], [("jobs/", True)]),
        (["**.csv"], [("", True)]),
        (["all.csv", "{year}/{month}/*"], [("", True)]),
    ],
)
def test_at_the_root_only_the_folders_that_the_patterns_spell_out_are_listed(
    patterns: list[str], folders: list[tuple[str, bool]]
) -> None:
    assert sorted(listed_folders(source(*patterns))) == folders


def test_below_a_prefix_everything_is_listed_as_what_no_pattern_matches_is_reported() -> None:
    assert listed_folders(source("all.csv", prefix="jobs/")) == [("jobs/", True)]


@pytest.mark.parametrize("key", ["jobs", "other/2021/04/a.csv", "2021/04/a.csv", "jobs2/2021/04/a.csv"])
def test_a_key_that_is_not_below_the_prefix_does_not_match(key: str) -> None:
    assert match_key(source(BY_MONTH, "**", prefix="jobs/"), key) is None


def test_an_object_below_the_prefix_of_another_source_is_not_of_the_source_at_the_root() -> None:
    root, below = source("**.json", name="root"), source(BY_MONTH, prefix="logs/", name="logs")
    found = [info("a.json"), info("logs/2021/04/a.json"), info("logs/a.json")]
    selection = select_objects([root, below], {"root": found, "logs": found[1:]})
    assert [(item.source, item.info.key) for item in selection.objects] == [
        ("root", "a.json"),
        ("logs", "logs/2021/04/a.json"),
    ]
    assert selection.ignored == (("logs", "logs/a.json"),), "once, and of the source that it belongs to"


def test_an_object_that_another_source_includes_is_not_reported_as_ignored() -> None:
    logs, songs = source("*.csv"), SONGS.model_copy(update={"files": source("*.json").files})
    found = [info("a.csv"), info("b.json"), info("c.txt")]
    selection = select_objects([logs, songs], {"logs": found, "songs": found})
    assert [(item.source, item.info.key) for item in selection.objects] == [
        ("logs", "a.csv"),
        ("songs", "b.json"),
    ]
    assert selection.ignored == (("logs", "c.txt"),)
