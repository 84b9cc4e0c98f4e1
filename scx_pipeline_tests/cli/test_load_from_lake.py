"""`scx load --from lake`: what it prints, its JSON, its exit code, and what it says to a mistake.
What stands in the warehouse afterwards is tested in lake/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.cli.conftest import Scx


@pytest.fixture
def built(scx: Scx, bucket: Path) -> Path:
    """An SCX_HOME with a small bucket, its lake, and nothing in the warehouse."""
    told = scx("lake", "build", "scx")
    assert told.code == 0, told.err
    return bucket.parent


def test_a_load_from_the_lake_is_told_as_any_other_and_leaves_nothing_due(scx: Scx, built: Path) -> None:
    [first, *others] = json.loads(scx("load", "scx", "--from", "lake", "--month", "2021-02", "--json").out)
    assert (others, first["published"], first["months"]) == ([], True, ["2021-02", "2021-02"])
    assert first["rows_from"] == (built / "lake" / "scx").as_uri()
    told = scx("load", "scx", "--from", "lake")
    assert told.code == 0, told.err
    assert "scx 2020-12…2021-01: published" in told.out
    assert "scx 2021-03: published" in told.out
    assert f"out of {(built / 'lake' / 'scx').as_uri()}, whose build read these objects" in told.out
    assert "public.auto_classification_logs" in told.out
    again = scx("load", "scx", "--from", "lake")
    assert (again.code, again.out) == (0, "scx: nothing to load, every month stands as the lake has it\n")
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []
    assert "2020-12…2021-03: published" in scx("load", "scx", "--from", "lake", "--all").out
    status = json.loads(scx("status", "scx", "--json").out)
    assert sum(item["rows"]["staging_cleansed_logs"] for item in status["months"]) == 300
    assert len(json.loads(scx("rejected", "scx", "--json").out)) == 6


def test_the_bucket_is_not_needed(scx: Scx, built: Path) -> None:
    (built / "bucket").rename(built / "elsewhere")
    told = scx("load", "scx", "--from", "lake", "--lake", (built / "lake").as_uri())
    assert told.code == 0, told.err


MISTAKES = {
    (
        "--to",
        "2021-02",
    ): "--from lake goes without --to: name a month with --month, or load all that the lake has",
    ("--month", "2021-02", "--all"): "choose one of --month, --from/--to, --changed and --all",
    ("--month", "2021-13"): "'2021-13' is not a month: write it as YYYY-MM",
    ("--month", "2021-07"): "run `scx lake build scx --month 2021-07` first",
    ("--lake", "lake"): "SCX_LAKE_URL (or --lake) is 'lake': write file:///folder or s3://bucket/prefix",
    (
        "--lake",
        "file:///nowhere/at/all",
    ): "file:///nowhere/at/all has nothing of scx yet: run `scx lake build scx`",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_gets_one_clear_line_and_no_run(scx: Scx, built: Path, arguments: tuple[str, ...]) -> None:
    told = scx("load", "scx", "--from", "lake", *arguments)
    assert (told.code, told.out) == (1, "")
    [line] = told.err.splitlines()
    assert MISTAKES[arguments] in line
    assert not (built / "dev.duckdb").exists()


def test_where_the_lake_is_counts_only_where_rows_come_from_it(scx: Scx, built: Path) -> None:
    told = scx("load", "scx", "--lake", (built / "lake").as_uri())
    assert told.code == 1
    assert "--lake says where --from lake loads from: add --from lake, or leave it out" in told.err


def test_months_go_on_being_named_as_before(scx: Scx, built: Path) -> None:
    assert scx("load", "scx", "--from", "2021-01", "--to", "2021-02").code == 0
    told = scx("load", "scx", "--from", "lakes", "--to", "2021-02")
    assert "'lakes' is not a month: write it as YYYY-MM" in told.err
