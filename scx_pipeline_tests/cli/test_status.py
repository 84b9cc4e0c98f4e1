"""`scx status` of all stars and of one: what is loaded, what is due, the last load, and the last failed run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scx_pipeline.declarations import star_folder
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.errors import DeclarationError
from scx_pipeline_tests.support.load_env import CONCATENATED
from scx_pipeline_tests.support.scx_command import Scx

BAD_FILE = "auto_classify_jobs/2021/03/bad.csv"


def line_of(star: str, output: str) -> str:
    """Return the star's line of the table, with single spaces."""
    [line] = [line for line in output.splitlines() if line.startswith(f"{star} ")]
    return " ".join(line.split())


def test_status_of_all_stars_shows_what_is_due_before_anything_is_loaded(scx: Scx, bucket: Path) -> None:
    result = scx("status")
    assert (result.code, result.err) == (0, "")
    assert line_of("scx", result.out) == "scx none 4: 2020-12…2021-03 0"
    assert line_of("songplays", result.out) == "songplays none no objects 0"
    assert json.loads(scx("status", "--json").out)["stars"]["scx"] == {
        "months": None,
        "gaps": [],
        "due": ["2020-12", "2021-01", "2021-02", "2021-03"],
        "unpartitioned_due": None,
        "due_error": None,
        "held": {},
        "rows": {"auto_classification_logs": 0},
        "last_load": None,
        "failed_run": None,
    }


def test_status_of_all_stars_shows_months_gaps_rows_and_the_last_load(scx: Scx, bucket: Path) -> None:
    for month in ("2021-01", "2021-03"):
        assert scx("load", "scx", "--month", month).code == 0
    found = json.loads(scx("status", "--json").out)["stars"]["scx"]
    assert found["months"] == {"first": "2021-01", "last": "2021-03", "count": 2}
    assert (found["gaps"], found["due"]) == (["2021-02"], ["2020-12", "2021-02"])
    load, rows = found["last_load"], found["rows"]["auto_classification_logs"]
    assert 0 < load["rows_loaded"] < rows < 300
    assert load["rows_rejected"] > 0
    line = line_of("scx", scx("status").out)
    assert line.startswith(
        f"scx 2021-01…2021-03 (2) 2021-02 2: 2020-12, 2021-02 {rows} {load['finished_at'][:16]}"
    )
    assert line.endswith(f" s {load['rows_loaded']} {load['rows_rejected']}")
    assert scx("load", "scx").code == 0
    assert "2020-12…2021-03 (4) none none 300" in line_of("scx", scx("status").out)


def test_status_of_all_stars_says_that_the_bucket_cannot_be_listed(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    shutil.rmtree(bucket)
    result = scx("status")
    assert (result.code, result.err) == (0, "")
    assert "2020-12…2021-03 (4) none bucket not listed 300" in line_of("scx", result.out)
    assert result.out.count(f"the bucket {bucket} is not a folder") == 1
    found = json.loads(scx("status", "--json").out)["stars"]["scx"]
    assert found["due"] is None
    assert "is not a folder" in found["due_error"]


def test_status_shows_the_last_failed_run_until_a_load_succeeds(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    assert "failed" not in scx("status").out + scx("status", "scx").out
    (bucket / BAD_FILE).write_text("job_id\n1\n")
    failed = scx("load", "scx")
    assert failed.code == 1
    message = failed.err.splitlines()[0].removeprefix("error: ")
    for arguments in (["status"], ["status", "scx"]):
        *_, held, line = scx(*arguments).out.splitlines()
        assert held == f"scx: 2021-02, 2021-03 are held: {message}"
        assert line.startswith("scx: load of 2021-02…2021-03 failed on 20")
        assert line.endswith(" UTC, because months are held")
    run = json.loads(scx("status", "scx", "--json").out)["failed_run"]
    assert (run["work"], run["months"], run["message"]) == ("load", ["2021-02", "2021-03"], message)
    assert json.loads(scx("status", "--json").out)["stars"]["scx"]["failed_run"] == run
    (bucket / BAD_FILE).unlink()
    assert scx("load", "scx", "--month", "2021-03").code == 0
    shown = scx("status").out + scx("status", "scx").out
    assert "failed" not in shown
    assert "held" not in shown, "February was held too, and its objects are again those that are loaded"


def test_status_of_a_star_whose_first_load_failed_shows_the_failed_run(scx: Scx, bucket: Path) -> None:
    (bucket / CONCATENATED).write_text("job_id\n1\n")  # may have rows of any month
    assert scx("load", "scx", "--from", "2020-12", "--to", "2021-03").code == 1
    result = scx("status", "scx")
    assert result.code == 0
    assert "scx: nothing is loaded yet; `scx load scx` loads it" in result.out
    assert "scx: 2020-12, 2021-01, 2021-02, 2021-03 are held: " in result.out
    assert "scx: load of 2020-12…2021-03 failed on " in result.out
    (bucket.parent / "dev.duckdb").unlink()
    result = scx("status", "scx")
    assert result.code == 1
    assert "scx: load of 2020-12…2021-03 failed on " in result.out
    assert "is empty: run `scx load`" in result.err


def test_status_of_a_star_that_was_never_loaded_is_one_line(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    result = scx("status", "songplays")
    assert (result.code, result.out) == (
        0,
        "songplays: nothing is loaded yet; `scx load songplays` loads it\n",
    )
    assert json.loads(scx("status", "songplays", "--json").out)["months"] == []


def test_status_of_all_stars_shows_valid_stars_and_fails_for_invalid_stars(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(folder: Path) -> CompiledStar:
        if folder.name == "songplays":
            raise DeclarationError("defs.yaml, line 7: no such role [bold]")
        return load_star(folder)

    monkeypatch.setattr(star_folder, "load_star", load)
    result = scx("status")
    assert result.code == 1
    assert line_of("scx", result.out)
    assert result.err == "error: songplays: defs.yaml, line 7: no such role [bold]\n"
    result = scx("status", "--json")
    assert result.code == 1
    assert json.loads(result.out)["stars"]["songplays"] == {"error": "defs.yaml, line 7: no such role [bold]"}


def test_status_fails_if_the_warehouse_does_not_answer(
    scx: Scx, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://me@127.0.0.1:9/dev")
    result = scx("status")
    assert (result.code, result.out) == (1, "")
    assert "127.0.0.1:9" in result.err


def test_status_without_a_dagster_instance_does_not_import_dagster(bucket: Path) -> None:
    code = (
        "import sys; from scx_pipeline.cli.main import app\n"
        "try: app(['status'])\nexcept SystemExit as end: print(end.code, 'dagster' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "0 False"
    assert not (bucket.parent / "dagster").exists()


def test_status_reports_that_failed_runs_cannot_be_read(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    (bucket.parent / "dagster" / "dagster.yaml").write_text("no_such_key: {}\n")
    result = scx("status")
    assert result.code == 0
    assert "2020-12…2021-03 (4)" in result.out
    assert f"failed runs cannot be read from DAGSTER_HOME {bucket.parent / 'dagster'}: " in result.out
