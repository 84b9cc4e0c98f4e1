"""What all commands of `scx` share: help, exit codes, and messages without tracebacks or passwords; also doctor and roles.

Reports of plans and loads are not tested here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from scx_pipeline.cli.main import app
from scx_pipeline_tests.support.scx_command import Scx

# Help


def _commands(group: typer.core.TyperGroup, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, typer.core.TyperGroup):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name)


COMMANDS = list(_commands(typer.main.get_command(app)))  # type: ignore[arg-type]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(scx: Scx, words: tuple[str, ...]) -> None:
    result = scx(*words, "--help")
    assert result.code == 0
    assert f"Usage: scx {' '.join(words)}" in result.out
    assert f"scx {' '.join(words)}" in result.out.split("Example:")[1]


def test_help_of_a_group_lists_its_commands(scx: Scx) -> None:
    assert all(
        word in scx("cloud", "--help").out for word in ("create", "status", "pause", "resume", "destroy")
    )


# Errors of the user


MISSPELT_URLS = {
    "SCX_WAREHOUSE_URL": [
        "scx:hunter2@host:5439/dev?staging=s3://bucket/prefix",
        "duckdb://scx:hunter2@host/dev",
        "postgre sql://scx:hunter2@host/dev",
    ],
    "SCX_BUCKET_URL": ["https://scx:hunter2@host/bucket", "scx:hunter2@host/bucket"],
    "SCX_LAKE_URL": ["https://scx:hunter2@host/lake", "scx:hunter2@host/lake"],
}


@pytest.mark.parametrize("command", ["status", "status scx", "plan scx", "doctor", "lake status scx"])
@pytest.mark.parametrize(
    ("setting", "url"), [(name, url) for name, urls in MISSPELT_URLS.items() for url in urls]
)
def test_a_misspelt_url_is_shown_without_its_password(
    setting: str, url: str, command: str, home: Path, scx: Scx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, url)
    result = scx(*command.split())
    assert "hunter2" not in result.out + result.err
    assert "Traceback" not in result.err


def test_a_misspelt_url_is_refused_by_the_command_that_needs_it(
    home: Path, scx: Scx, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting, command in (("WAREHOUSE", "status"), ("BUCKET", "plan"), ("LAKE", "lake status")):
        with monkeypatch.context() as patch:
            patch.setenv(f"SCX_{setting}_URL", MISSPELT_URLS[f"SCX_{setting}_URL"][0])
            result = scx(*command.split(), "scx")
        assert result.code == 1
        assert f"SCX_{setting}_URL" in result.err


USER_ERRORS = {
    ("load", "sxc"): "did you mean scx?",
    ("load", "scx", "--month", "2021-13"): "'2021-13' is not a month: write it as YYYY-MM",
    ("load", "scx", "--month", "2019-12"): "2019-12 is not a month of scx",
    ("load", "scx", "--from", "2021-01"): "--from and --to go together",
    ("load", "scx", "--month", "2021-01", "--all"): "choose one of",
    ("load", "scx", "--from", "2021-02", "--to", "2021-01"): "the range ends (2021-01) before it starts",
    ("analyze", "scx", "nope"): "it has: ground_profile_of_busiest_user",
    ("generate", "scx", "--jobs", "0"): "jobs",
}


@pytest.mark.parametrize("arguments", USER_ERRORS, ids=" ".join)
def test_a_user_error_prints_one_message_and_no_traceback(
    scx: Scx, bucket: Path, arguments: tuple[str, ...]
) -> None:
    result = scx(*arguments)
    assert result.code == 1
    assert USER_ERRORS[arguments] in result.err
    assert "Traceback" not in result.err + result.out
    if arguments[0] == "analyze":
        return
    assert not (bucket.parent / "dev.duckdb").exists() or scx("status", "scx").code == 1


def test_load_names_a_malformed_setting(scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_MEMORY_LIMIT", "lots")
    result = scx("load", "scx")
    assert result.code == 1
    assert "SCX_MEMORY_LIMIT" in result.err


def test_passwords_are_never_printed(scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://me:s3cr%23t-word@127.0.0.1:9/dev")
    for arguments in (("load", "scx", "--all"), ("plan", "scx"), ("status", "scx"), ("doctor",)):
        result = scx(*arguments)
        assert result.code == 1
        assert "s3cr" not in result.out + result.err
        assert "127.0.0.1:9/dev" in result.out + result.err


# Processes


def test_the_process_of_a_load_prints_its_report_and_no_library_messages(bucket: Path) -> None:
    """Libraries print messages of their own when an interpreter ends."""
    script = Path(sys.executable).with_name("scx")
    process = subprocess.run([script, "load", "scx", "--all", "--json"], capture_output=True, text=True)
    assert process.returncode == 0
    assert json.loads(process.stdout)[0]["published"] is True
    assert {line.partition(":")[0] for line in process.stderr.splitlines()} <= {"warning"}


@pytest.mark.parametrize(("arguments", "code"), [(["status", "scx"], 1), (["nonsense"], 2), (["--help"], 0)])
def test_the_process_exits_with_the_commands_code(home: Path, arguments: list[str], code: int) -> None:
    script = Path(sys.executable).with_name("scx")
    process = subprocess.run([script, *arguments], capture_output=True, text=True)
    assert process.returncode == code
    assert process.stdout or process.stderr


def test_console_whose_reader_has_gone_exits_with_1_and_no_noise() -> None:
    command = "from scx_pipeline.cli import main; main.main = lambda: print('a line'); main.console()"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", command], stdout=writer, stderr=subprocess.PIPE, env=environment
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


# Doctor and roles


def test_doctor_passes_every_check_after_a_load(scx: Scx, bucket: Path) -> None:
    outcomes = json.loads(scx("doctor", "--json").out)
    assert all(item["passed"] for item in outcomes), outcomes
    assert {"bucket", "warehouse", "stars", "DAGSTER_HOME"} <= {item["name"] for item in outcomes}


def test_doctor_prints_advice_and_exits_with_1_when_a_check_fails(scx: Scx, home: Path) -> None:
    result = scx("doctor")
    assert result.code == 1
    assert "scx generate scx" in result.out


def test_doctor_skips_the_tables_of_an_unreachable_warehouse(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://me@127.0.0.1:9/dev")
    result = scx("doctor", "--json")
    assert result.code == 1
    passed = {item["name"]: item["passed"] for item in json.loads(result.out)}
    assert passed["warehouse"] is False
    assert "tables" not in passed


@pytest.mark.parametrize("engine", ["postgresql", "redshift", "duckdb"])
def test_committed_role_files_match_the_output_of_roles(scx: Scx, engine: str) -> None:
    """After adding a star, run `scx roles --engine … > deploy/roles/….sql`."""
    path = Path(__file__).parents[2] / "deploy" / "roles" / f"{engine}.sql"
    assert scx("roles", "--engine", engine).out == path.read_text("utf-8")


def test_roles_uses_the_warehouses_engine_and_the_given_names(
    scx: Scx, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scx("roles").out.startswith("-- DuckDB has no roles")
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "redshift://scx:pl4nted@127.0.0.1:1/dev")
    result = scx("roles", "--loader", "IAMR:loader", "--analyst", 'an"alyst', "--database", "other")
    assert 'CREATE USER "IAMR:loader" PASSWORD DISABLE;' in result.out
    assert 'GRANT TEMP ON DATABASE "other" TO "IAMR:loader";' in result.out
    assert 'TO "an""alyst";' in result.out
    assert "pl4nted" not in result.out
