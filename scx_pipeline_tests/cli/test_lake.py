"""`scx lake build` and `scx lake unload`: output, JSON, exit codes and error messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.support.scx_command import Scx


@pytest.fixture
def loaded(scx: Scx, bucket: Path) -> Path:
    """Return an SCX_HOME with a small star that is loaded."""
    assert scx("load", "scx", "--all").code == 0
    return bucket.parent


def test_unload_prints_what_it_wrote_for_each_table(scx: Scx, loaded: Path) -> None:
    result = scx("lake", "unload", "scx")
    assert result.code == 0, result.err
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[0] == [f"{(loaded / 'lake' / 'scx').as_uri()}:", "unloaded"]
    assert lines[1] == ["table", "months", "files", "rows", "MB"]
    assert [line[0] for line in lines[2:]] == [
        "staging_cleansed_logs",
        "users",
        "projects",
        "time",
        "auto_classification_logs",
    ]
    assert lines[-1][:4] == ["auto_classification_logs", "2021-01…2021-03", "(3)", "3"]
    assert "300" in lines[-1]


def test_unload_prints_json_that_matches_the_files(scx: Scx, loaded: Path) -> None:
    result = scx(
        "lake", "unload", "scx", "--month", "2021-02", "--lake", (loaded / "other").as_uri(), "--json"
    )
    report = json.loads(result.out)
    assert report["url"] == (loaded / "other" / "scx").as_uri()
    tables = {table["table"]: table for table in report["tables"]}
    assert tables["users"]["months"] is None
    assert tables["time"]["months"] == ["2021-02"]
    files = [file for name in tables for file in (loaded / "other" / "scx" / name).rglob("*.parquet")]
    assert sum(table["files"] for table in tables.values()) == len(files)
    assert sum(table["bytes"] for table in tables.values()) == sum(file.stat().st_size for file in files)
    assert not (loaded / "lake").exists()


def test_unload_writes_to_the_lake_of_the_setting(
    scx: Scx, loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_LAKE_URL", (loaded / "set").as_uri())
    assert scx("lake", "unload", "scx", "--from", "2021-01", "--to", "2021-02").code == 0
    found = {
        path.parent.relative_to(loaded).as_posix() for path in (loaded / "set").rglob("time/**/*.parquet")
    }
    assert found == {f"set/scx/time/year=2021/month={number}" for number in (1, 2)}
    assert not list((loaded / "set").rglob("_writing/*"))


UNLOAD_ERRORS = {
    ("sxc",): "did you mean scx?",
    ("scx", "--month", "2021-13"): "'2021-13' is not a month: write it as YYYY-MM",
    ("scx", "--from", "2021-01"): "--from and --to go together",
    ("scx", "--month", "2021-01", "--to", "2021-02"): "choose one of --month and --from/--to",
    ("scx", "--month", "2019-12"): "2019-12 is not a month of scx",
    (
        "scx",
        "--lake",
        "lake",
    ): "SCX_LAKE_URL (or --lake) is 'lake': write file:///folder or s3://bucket/prefix",
    ("scx",): "is empty: run `scx load`",
}


@pytest.mark.parametrize("arguments", UNLOAD_ERRORS, ids=" ".join)
def test_a_user_error_in_unload_prints_one_message_and_no_traceback(
    scx: Scx, home: Path, arguments: tuple[str, ...]
) -> None:
    result = scx("lake", "unload", *arguments)
    assert result.code == 1
    assert UNLOAD_ERRORS[arguments] in result.err
    assert "Traceback" not in result.err + result.out
    assert not list(home.rglob("*.parquet"))


def test_build_publishes_due_months_and_then_finds_nothing_due(scx: Scx, bucket: Path) -> None:
    result = scx("lake", "build", "scx", "--month", "2021-02")
    assert result.code == 0, result.err
    assert "scx 2021-02: published" in result.out
    result = scx("lake", "build", "scx", "--json")
    report = json.loads(result.out)
    assert all(run["published"] for run in report)
    assert sum(sum(run["rows"]["auto_classification_logs"].values()) for run in report) >= 200
    assert scx("lake", "build", "scx").out == "scx: nothing to build: all months of the lake are up to date\n"
    assert json.loads(scx("lake", "build", "scx", "--json").out) == []
    assert scx("lake", "verify", "scx").code == 0
    assert scx("load", "scx", "--from", "lake").code == 0


def test_a_failed_build_names_the_file_and_exits_with_1(scx: Scx, bucket: Path) -> None:
    (bucket / "auto_classify_jobs" / "2021" / "02" / "bad.csv").write_text("job_id,job_id\n1,2\n")
    result = scx("lake", "build", "scx", "--month", "2021-02")
    assert result.code == 1
    assert "auto_classify_jobs/2021/02/bad.csv" in result.err
    assert "Traceback" not in result.err + result.out


BUILD_ERRORS = {
    ("sxc",): "did you mean scx?",
    ("scx", "--month", "2021-01", "--all"): "choose one of --month, --from/--to, --changed and --all",
    (
        "scx",
        "--lake",
        "ftp://x",
    ): "SCX_LAKE_URL (or --lake) is 'ftp://x': write file:///folder or s3://bucket/prefix",
    ("scx",): "upload some, or run `scx generate scx`",
}


@pytest.mark.parametrize("arguments", BUILD_ERRORS, ids=" ".join)
def test_a_user_error_in_build_prints_one_message(scx: Scx, home: Path, arguments: tuple[str, ...]) -> None:
    (home / "bucket").mkdir(parents=True)
    result = scx("lake", "build", *arguments)
    assert result.code == 1
    assert BUILD_ERRORS[arguments] in result.err
    assert "Traceback" not in result.err + result.out


def test_a_spark_build_without_java_prints_one_message(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_SPARK", "local")
    monkeypatch.setenv("JAVA_HOME", str(bucket / "nowhere"))
    result = scx("lake", "build", "scx", "--month", "2021-02")
    assert result.code == 1
    assert "Spark needs Java" in result.err
    assert "Traceback" not in result.err + result.out
