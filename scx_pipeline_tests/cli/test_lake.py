"""`scx lake`: what it prints, its JSON, its exit code, and what it says to a mistake.
What is in the files is tested in pipeline/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scx_pipeline_tests.cli.conftest import Scx


@pytest.fixture
def loaded(scx: Scx, bucket: Path) -> Path:
    """An SCX_HOME with a small star that is loaded."""
    assert scx("load", "scx", "--all").code == 0
    return bucket.parent


def test_unload_tells_what_it_wrote_of_each_table(scx: Scx, loaded: Path) -> None:
    told = scx("lake", "unload", "scx")
    assert told.code == 0, told.err
    lines = [line.split() for line in told.out.splitlines()]
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


def test_unload_as_json_is_for_a_script(scx: Scx, loaded: Path) -> None:
    told = scx("lake", "unload", "scx", "--month", "2021-02", "--lake", (loaded / "other").as_uri(), "--json")
    report = json.loads(told.out)
    assert report["url"] == (loaded / "other" / "scx").as_uri()
    tables = {table["table"]: table for table in report["tables"]}
    assert tables["users"]["months"] is None
    assert tables["time"]["months"] == ["2021-02"]
    files = [file for name in tables for file in (loaded / "other" / "scx" / name).rglob("*.parquet")]
    assert sum(table["files"] for table in tables.values()) == len(files)
    assert sum(table["bytes"] for table in tables.values()) == sum(file.stat().st_size for file in files)
    assert not (loaded / "lake").exists()


def test_the_lake_is_where_the_setting_says(scx: Scx, loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_LAKE_URL", (loaded / "set").as_uri())
    assert scx("lake", "unload", "scx", "--from", "2021-01", "--to", "2021-02").code == 0
    found = {
        path.parent.relative_to(loaded).as_posix() for path in (loaded / "set").rglob("time/**/*.parquet")
    }
    assert found == {f"set/scx/time/year=2021/month={number}" for number in (1, 2)}
    assert not list((loaded / "set").rglob("_writing/*"))


MISTAKES = {
    ("sxc",): "did you mean scx?",
    ("scx", "--month", "2021-13"): "'2021-13' is not a month: write it as YYYY-MM",
    ("scx", "--from", "2021-01"): "--from and --to go together",
    ("scx", "--month", "2021-01", "--to", "2021-02"): "choose one of --month and --from/--to",
    ("scx", "--month", "2019-12"): "2019-12 is no month of scx",
    (
        "scx",
        "--lake",
        "lake",
    ): "SCX_LAKE_URL (or --lake) is 'lake': write file:///folder or s3://bucket/prefix",
    ("scx",): "is empty: run `scx load`",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_gets_one_clear_message_and_no_traceback(
    scx: Scx, home: Path, arguments: tuple[str, ...]
) -> None:
    told = scx("lake", "unload", *arguments)
    assert told.code == 1
    assert MISTAKES[arguments] in told.err
    assert "Traceback" not in told.err + told.out
    assert not list(home.rglob("*.parquet"))


# Building


def test_build_makes_what_is_due_and_then_nothing(scx: Scx, bucket: Path) -> None:
    told = scx("lake", "build", "scx", "--month", "2021-02")
    assert told.code == 0, told.err
    assert "scx 2021-02: published" in told.out
    told = scx("lake", "build", "scx", "--json")
    report = json.loads(told.out)
    assert all(run["published"] for run in report)
    assert sum(sum(run["rows"]["auto_classification_logs"].values()) for run in report) >= 200
    assert (
        scx("lake", "build", "scx").out
        == "scx: nothing to build, every month of the lake stands as its objects are\n"
    )
    assert json.loads(scx("lake", "build", "scx", "--json").out) == []
    assert scx("lake", "verify", "scx").code == 0
    assert scx("load", "scx", "--from", "lake").code == 0


def test_a_build_that_fails_says_so_in_one_line_and_by_its_exit_code(scx: Scx, bucket: Path) -> None:
    (bucket / "auto_classify_jobs" / "2021" / "02" / "bad.csv").write_text("job_id,job_id\n1,2\n")
    told = scx("lake", "build", "scx", "--month", "2021-02")
    assert told.code == 1
    assert "auto_classify_jobs/2021/02/bad.csv" in told.err
    assert "Traceback" not in told.err + told.out


BUILD_MISTAKES = {
    ("sxc",): "did you mean scx?",
    ("scx", "--month", "2021-01", "--all"): "choose one of --month, --from/--to, --changed and --all",
    (
        "scx",
        "--lake",
        "ftp://x",
    ): "SCX_LAKE_URL (or --lake) is 'ftp://x': write file:///folder or s3://bucket/prefix",
    ("scx",): "upload some, or run `scx generate scx`",
}


@pytest.mark.parametrize("arguments", BUILD_MISTAKES, ids=" ".join)
def test_a_mistake_with_build_gets_one_clear_message(
    scx: Scx, home: Path, arguments: tuple[str, ...]
) -> None:
    (home / "bucket").mkdir(parents=True)
    told = scx("lake", "build", *arguments)
    assert told.code == 1
    assert BUILD_MISTAKES[arguments] in told.err
    assert "Traceback" not in told.err + told.out


def test_spark_without_java_is_one_line(scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_SPARK", "local")
    monkeypatch.setenv("JAVA_HOME", str(bucket / "nowhere"))
    told = scx("lake", "build", "scx", "--month", "2021-02")
    assert told.code == 1
    assert "Spark needs Java" in told.err
    assert "Traceback" not in told.err + told.out
