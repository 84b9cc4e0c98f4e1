"""Every command of `scx`: what it prints, its JSON, its exit code, and what it says to a mistake.
The rows themselves are compared in pipeline/."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import typer

from scx_pipeline.cli.main import app
from scx_pipeline.declarations import star_folder
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.errors import DeclarationError
from scx_pipeline_tests.cli.conftest import Scx


def _commands(group: typer.core.TyperGroup, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, typer.core.TyperGroup):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name)


COMMANDS = list(_commands(typer.main.get_command(app)))  # type: ignore[arg-type]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(scx: Scx, words: tuple[str, ...]) -> None:
    told = scx(*words, "--help")
    assert told.code == 0
    assert f"Usage: scx {' '.join(words)}" in told.out
    assert f"scx {' '.join(words)}" in told.out.split("Example:")[1]


def test_a_group_lists_its_commands(scx: Scx) -> None:
    assert all(
        word in scx("cloud", "--help").out for word in ("create", "status", "pause", "resume", "destroy")
    )


def test_generate_reports_what_a_right_load_must_find(scx: Scx, home: Path) -> None:
    told = scx(
        "generate", "scx", "--to", "2021-02", "--months", "2", "--jobs", "50", "--bad-rows", "3", "--json"
    )
    report = json.loads(told.out)
    assert (report["jobs"], report["bad_rows"], report["objects"]) == (50, 3, 2)
    assert sum(report["jobs_by_month"].values()) == 50
    assert len(list((home / "bucket").rglob("*.csv"))) == 2


def test_plan_load_status_rejected_and_analyze_tell_one_story(scx: Scx, bucket: Path) -> None:
    planned = json.loads(scx("plan", "scx", "--json").out)
    assert [item["month"] for item in planned["due"]] == ["2020-12", "2021-01", "2021-02", "2021-03"]
    loaded = scx("load", "scx", "--json")
    assert loaded.code == 0, loaded.err
    (outcome,) = json.loads(loaded.out)
    assert outcome["published"]
    assert sum(outcome["rows"]["auto_classification_logs"].values()) == 300
    assert (outcome["rows_read"], outcome["rows_rejected"], outcome["rows_deduplicated"]) == (310, 6, 4)
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []
    status = json.loads(scx("status", "scx", "--json").out)
    assert sum(item["rows"]["staging_cleansed_logs"] for item in status["months"]) == 300
    assert {check["check"] for check in status["checks"] if not check["passed"]} == {"rejected_rows"}
    rejected = json.loads(scx("rejected", "scx", "--json").out)
    assert len(rejected) == 6
    shown = scx("rejected", "scx", "--limit", "2").out
    assert "scx: 6 stored rejected rows" in shown
    assert "4 more are stored; to see them all: `scx rejected scx --limit 6`" in shown
    assert all(
        row["file"].endswith(".csv") and row["line"] > 1 and row["reason"] and row["raw"] for row in rejected
    )
    answers = json.loads(scx("analyze", "scx", "--json").out)
    assert sum(row["jobs"] for row in answers["ground_profile_by_month"]) == 300


def test_rejected_says_why_rows_that_were_counted_are_not_stored(scx: Scx, bucket: Path, home: Path) -> None:
    assert scx("load", "scx").code == 0
    assert "only counted" not in scx("rejected", "scx").out
    with duckdb.connect(home / "dev.duckdb") as con:
        con.execute("DELETE FROM scx_pipeline.rejected_rows WHERE line % 2 = 0 OR line > 5")
        [(kept,)] = con.sql("SELECT COUNT(*) FROM scx_pipeline.rejected_rows").fetchall()
    told = " ".join(scx("rejected", "scx").out.split())
    assert f"scx: {kept} stored rejected rows" in told
    assert (
        f"{6 - kept} more were only counted: their file had more than max_stored_rejects, the load reached its limit for"
        " stored rows, or they are older than SCX_KEEP_REJECTED_DAYS" in told
    )


def test_plan_names_the_first_objects_it_ignores_and_counts_the_others(scx: Scx, bucket: Path) -> None:
    file = next(bucket.rglob("*2021-02.csv"))
    for number in range(6):
        file.with_name(f"[red]{number}.txt").write_text("x")
    file.with_name(f"{file.name}.md5").write_text("x")
    told = scx("plan", "scx").out
    shown = [line for line in told.splitlines() if line.startswith("ignored: ")]
    assert len(shown) == 5
    assert all(
        line.endswith(" (matches no pattern of its source, or is a sidecar file)") and "/[red]" in line
        for line in shown
    )
    assert "and 2 more: --json shows all" in told
    assert len(json.loads(scx("plan", "scx", "--json").out)["ignored"]) == 7
    file.with_name("[red]5.txt").unlink()
    file.with_name("[red]4.txt").unlink()
    assert "--json shows all" not in scx("plan", "scx").out


def test_plan_of_all_stars_shows_those_that_can_be_planned_and_fails_for_the_others(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = scx("plan")
    assert (told.code, told.err) == (0, "")
    assert "scx: 4 months are due" in told.out
    assert "songplays: 0 months are due; the bucket has no objects under " in told.out

    def load(folder: Path) -> CompiledStar:
        if folder.name in ("songplays", "sensor_readings"):
            raise DeclarationError("defs.yaml, line 7: no such role [bold]")
        return load_star(folder)

    monkeypatch.setattr(star_folder, "load_star", load)
    told = scx("plan")
    assert told.code == 1
    assert "scx: 4 months are due" in told.out
    assert "no such role" not in told.out
    message = "error: sensor_readings, songplays: defs.yaml, line 7: no such role [bold]"
    assert told.err.splitlines() == [message]
    told = scx("plan", "--json")
    assert (told.code, told.err.splitlines()) == (1, [message])
    found = json.loads(told.out)
    assert len(found["stars"]["scx"]["due"]) == 4
    assert found["stars"]["songplays"] == {"error": "defs.yaml, line 7: no such role [bold]"}
    assert found["leftovers_of_removed_stars"] == []


def test_plan_of_all_stars_fails_where_nothing_can_be_looked_at(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://me@127.0.0.1:9/dev")
    told = scx("plan", "--json")
    assert told.code == 1
    found = json.loads(told.out)
    assert all("127.0.0.1:9" in item["error"] for item in found["stars"].values())
    assert found["leftovers_of_removed_stars"] is None
    [line] = told.err.splitlines()
    assert line.startswith("error: scx, sensor_readings, songplays: ")
    monkeypatch.delenv("SCX_WAREHOUSE_URL")
    shutil.rmtree(bucket / "auto_classify_jobs")
    told = scx("plan")
    assert told.code == 1
    assert "has no objects of any star: set SCX_BUCKET_URL" in told.err


def test_load_prints_the_report_of_what_it_published(scx: Scx, bucket: Path) -> None:
    told = scx("load", "scx", "--from", "2021-01", "--to", "2021-03")
    assert told.code == 0
    assert "scx 2021-01…2021-03: published" in told.out
    assert "public.auto_classification_logs" in told.out
    assert "310 rows read: 6 rejected, 4 deduplicated" in told.out
    assert "nothing to load" in scx("load", "scx", "--changed").out or "2020-12" in scx("status", "scx").out


def test_analyze_draws_a_chart(scx: Scx, bucket: Path) -> None:
    scx("load", "scx", "--all")
    told = scx("analyze", "scx", "ground_profile_by_month")
    assert told.code == 0
    assert "█" in told.out
    assert "202102" in told.out


def test_a_load_that_is_not_published_exits_with_1_and_changes_nothing(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx", "--all").code == 0
    before = scx("status", "scx", "--json").out
    file = next(bucket.rglob("*2021-02.csv"))
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join([lines[0], *("not,a,row\n" for _ in range(20)), *lines[1:]]), "utf-8")
    told = scx("load", "scx", "--month", "2021-02")
    assert told.code == 1
    assert "was not published, nothing was changed" in told.err
    assert "rejected_rows" in told.err
    assert scx("status", "scx", "--json").out == before


def test_doctor_finds_a_loaded_home_well(scx: Scx, bucket: Path) -> None:
    findings = json.loads(scx("doctor", "--json").out)
    assert all(item["well"] for item in findings), findings
    assert {"bucket", "warehouse", "stars", "DAGSTER_HOME"} <= {item["name"] for item in findings}


def test_doctor_gives_advice_and_exits_with_1_when_something_is_wrong(scx: Scx, home: Path) -> None:
    told = scx("doctor")
    assert told.code == 1
    assert "scx generate scx" in told.out


def test_doctor_says_nothing_of_tables_in_a_warehouse_that_it_cannot_reach(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://me@127.0.0.1:9/dev")
    told = scx("doctor", "--json")
    assert told.code == 1
    wells = {item["name"]: item["well"] for item in json.loads(told.out)}
    assert wells["warehouse"] is False
    assert "tables" not in wells


MISTAKES = {
    ("load", "sxc"): "did you mean scx?",
    ("load", "scx", "--month", "2021-13"): "'2021-13' is not a month: write it as YYYY-MM",
    ("load", "scx", "--month", "2019-12"): "2019-12 is no month of scx",
    ("load", "scx", "--from", "2021-01"): "--from and --to go together",
    ("load", "scx", "--month", "2021-01", "--all"): "choose one of",
    ("load", "scx", "--from", "2021-02", "--to", "2021-01"): "the span ends (2021-01) before it begins",
    ("analyze", "scx", "nope"): "it has: ground_profile_of_busiest_user",
    ("generate", "scx", "--jobs", "0"): "jobs",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_gets_one_clear_message_and_no_traceback(
    scx: Scx, bucket: Path, arguments: tuple[str, ...]
) -> None:
    told = scx(*arguments)
    assert told.code == 1
    assert MISTAKES[arguments] in told.err
    assert "Traceback" not in told.err + told.out
    if arguments[0] == "analyze":
        return
    assert not (bucket.parent / "dev.duckdb").exists() or scx("status", "scx").code == 1


def test_an_empty_bucket_says_how_to_fill_it(scx: Scx, bucket: Path) -> None:
    shutil.rmtree(bucket / "auto_classify_jobs")
    told = scx("load", "scx")
    assert told.code == 1
    assert "has no objects under auto_classify_jobs/" in told.err


def test_a_malformed_setting_is_named(scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_MEMORY_LIMIT", "lots")
    told = scx("load", "scx")
    assert told.code == 1
    assert "SCX_MEMORY_LIMIT" in told.err


def test_a_password_is_never_shown(scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://me:s3cr%23t-word@127.0.0.1:9/dev")
    for arguments in (("load", "scx", "--all"), ("plan", "scx"), ("status", "scx"), ("doctor",)):
        told = scx(*arguments)
        assert told.code == 1
        assert "s3cr" not in told.out + told.err
        assert "127.0.0.1:9/dev" in told.out + told.err


def test_the_process_of_a_load_ends_with_its_report_and_no_noise(bucket: Path) -> None:
    """The libraries' own complaints about an interpreter's end are none of the user's business."""
    script = Path(sys.executable).with_name("scx")
    ended = subprocess.run([script, "load", "scx", "--all", "--json"], capture_output=True, text=True)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)[0]["published"] is True
    assert {line.partition(":")[0] for line in ended.stderr.splitlines()} <= {"warning"}


@pytest.mark.parametrize(("arguments", "code"), [(["status", "scx"], 1), (["nonsense"], 2), (["--help"], 0)])
def test_the_process_ends_with_the_command_s_code(home: Path, arguments: list[str], code: int) -> None:
    script = Path(sys.executable).with_name("scx")
    ended = subprocess.run([script, *arguments], capture_output=True, text=True)
    assert ended.returncode == code
    assert ended.stdout or ended.stderr


@pytest.mark.parametrize("engine", ["postgresql", "redshift", "duckdb"])
def test_the_committed_roles_are_what_the_command_prints(scx: Scx, engine: str) -> None:
    """After a star was added: scx roles --engine … > deploy/roles/….sql"""
    path = Path(__file__).parents[2] / "deploy" / "roles" / f"{engine}.sql"
    assert scx("roles", "--engine", engine).out == path.read_text("utf-8")


def test_roles_are_those_of_the_warehouse_and_of_the_names_given(
    scx: Scx, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scx("roles").out.startswith("-- DuckDB has no roles")
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "redshift://scx:pl4nted@127.0.0.1:1/dev")
    told = scx("roles", "--loader", "IAMR:loader", "--analyst", 'an"alyst', "--database", "other")
    assert 'CREATE USER "IAMR:loader" PASSWORD DISABLE;' in told.out
    assert 'GRANT TEMP ON DATABASE "other" TO "IAMR:loader";' in told.out
    assert 'TO "an""alyst";' in told.out
    assert "pl4nted" not in told.out
