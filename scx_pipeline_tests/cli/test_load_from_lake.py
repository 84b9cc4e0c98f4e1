"""`scx load --from lake`: output, JSON, exit codes and error messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.support.scx_command import Scx


@pytest.fixture
def built(scx: Scx, bucket: Path) -> Path:
    """Return an SCX_HOME with a small bucket, its lake and an empty warehouse."""
    result = scx("lake", "build", "scx")
    assert result.code == 0, result.err
    return bucket.parent


def test_load_from_the_lake_prints_a_report_and_leaves_nothing_due(scx: Scx, built: Path) -> None:
    [first, *others] = json.loads(scx("load", "scx", "--from", "lake", "--month", "2021-02", "--json").out)
    assert (others, first["published"], first["months"]) == ([], True, ["2021-02", "2021-02"])
    assert first["rows_from"] == (built / "lake" / "scx").as_uri()
    result = scx("load", "scx", "--from", "lake")
    assert result.code == 0, result.err
    assert "scx 2020-12…2021-01: published" in result.out
    assert "scx 2021-03: published" in result.out
    assert (
        f"loaded from {(built / 'lake' / 'scx').as_uri()}, which was built from these objects" in result.out
    )
    assert "public.auto_classification_logs" in result.out
    again = scx("load", "scx", "--from", "lake")
    assert (again.code, again.out) == (0, "scx: nothing to load: all months are up to date with the lake\n")
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []
    assert "2020-12…2021-03: published" in scx("load", "scx", "--from", "lake", "--all").out
    status = json.loads(scx("status", "scx", "--json").out)
    assert sum(item["rows"]["staging_cleansed_logs"] for item in status["months"]) == 300
    assert len(json.loads(scx("rejected", "scx", "--json").out)) == 6


def test_changed_loads_only_the_months_that_the_lake_has_published_since(scx: Scx, built: Path) -> None:
    assert scx("load", "scx", "--from", "lake").code == 0
    first = next((built / "bucket" / "auto_classify_jobs" / "2021" / "02").iterdir())
    first.write_bytes(first.read_bytes() + b"\n")
    assert json.loads(scx("load", "scx", "--from", "lake", "--changed", "--json").out) == []
    assert scx("lake", "build", "scx").code == 0
    loads = json.loads(scx("load", "scx", "--from", "lake", "--changed", "--json").out)
    assert [(load["months"], load["published"]) for load in loads] == [(["2021-01", "2021-02"], True)]
    assert json.loads(scx("load", "scx", "--from", "lake", "--changed", "--json").out) == []


def test_load_from_the_lake_does_not_need_the_bucket(scx: Scx, built: Path) -> None:
    (built / "bucket").rename(built / "elsewhere")
    result = scx("load", "scx", "--from", "lake", "--lake", (built / "lake").as_uri())
    assert result.code == 0, result.err


USER_ERRORS = {
    (
        "--to",
        "2021-02",
    ): "--from lake does not go with --to: name a month with --month, or load all months of the lake",
    ("--month", "2021-02", "--all"): "choose one of --month, --from/--to, --changed and --all",
    ("--month", "2021-13"): "'2021-13' is not a month: write it as YYYY-MM",
    ("--month", "2021-07"): "run `scx lake build scx --month 2021-07` first",
    ("--lake", "lake"): "SCX_LAKE_URL (or --lake) is 'lake': write file:///folder or s3://bucket/prefix",
    (
        "--lake",
        "file:///nowhere/at/all",
    ): "file:///nowhere/at/all has no data of scx yet: run `scx lake build scx`",
}


def test_a_user_error_in_a_load_from_the_lake_prints_one_line_and_starts_no_run(
    scx: Scx, built: Path
) -> None:
    for arguments, expected in USER_ERRORS.items():
        result = scx("load", "scx", "--from", "lake", *arguments)
        assert (result.code, result.out) == (1, ""), arguments
        [line] = result.err.splitlines()
        assert expected in line
    assert not (built / "dev.duckdb").exists()


def test_load_refuses_a_lake_url_without_from_lake(scx: Scx, built: Path) -> None:
    result = scx("load", "scx", "--lake", (built / "lake").as_uri())
    assert result.code == 1
    assert "--lake is only used with --from lake: add --from lake, or leave --lake out" in result.err


def test_load_still_accepts_months_in_from(scx: Scx, built: Path) -> None:
    assert scx("load", "scx", "--from", "2021-01", "--to", "2021-02").code == 0
    result = scx("load", "scx", "--from", "lakes", "--to", "2021-02")
    assert "'lakes' is not a month: write it as YYYY-MM" in result.err
