"""The walk of a new user, from the installed wheel: an own export, `scx new`, the UI, a schedule; the same in a Dagster project."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

from scx_pipeline_tests.installed.conftest import Installation
from scx_pipeline_tests.installed.test_empty_folder import SECONDS, command, query
from scx_pipeline_tests.support.servers.ports import LOOPBACK, free_ports

EXPORT = """\
Bestellungen
Bestellnr.;Kunden-Nr;Ort;Betrag (€);Bestellt am
1;K-1;Köln;1.010,00;05.01.2024 10:00
2;K-2;Zürich;7,50;16.01.2024 11:00
3;K-1;Köln;12,00;17.02.2024 12:00
4;K-2;Zürich;3,20;18.02.2024 09:30
"""


def write_export(folder: Path) -> Path:
    (folder / "exports").mkdir()
    path = folder / "exports" / "orders.csv"
    path.write_bytes(EXPORT.replace("\n", "\r\n").encode("windows-1252"))
    return path


def test_an_own_export_becomes_a_star_in_an_empty_folder_that_the_ui_shows_and_a_schedule_loads(
    installation: Installation, tmp_path: Path
) -> None:
    path = write_export(tmp_path)
    printed = installation.run(
        "python", "-m", "scx_pipeline.cli.main", "new", "orders", "--from", str(path), folder=tmp_path
    )
    assert "4 rows read: 0 rejected" in printed
    declaration = tmp_path / "stars" / "orders" / "defs.yaml"
    declaration.write_text(declaration.read_text("utf-8") + "  schedule: 30 6 * * 1-5\n", "utf-8")
    stars = {"SCX_STARS": "stars"}
    status = json.loads(
        installation.run(
            "python", "-m", "scx_pipeline.cli.main", "status", "--json", folder=tmp_path, **stars
        )
    )
    assert list(status["stars"]) == ["orders"]
    [port] = free_ports(1)
    with subprocess.Popen(
        command("--port", str(port)),
        cwd=tmp_path,
        env=installation.environment | stars,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while not (found := query(f"http://{LOOPBACK}:{port}")) and time.monotonic() < deadline:
                time.sleep(0.5)
            assert {"orders", "maintain"} <= found["scx_pipeline"]
        finally:
            process.send_signal(signal.SIGINT)
    home = {"DAGSTER_HOME": str(tmp_path / ".scx" / "dagster")}
    listing = ("dagster", "schedule", "list", "-m", "scx_pipeline.definitions")
    shown = installation.run(*listing, folder=tmp_path, **stars, **home)
    assert "30 6 * * 1-5" in shown


def test_an_own_export_becomes_a_star_in_a_generated_dagster_project(
    installation: Installation, tmp_path: Path
) -> None:
    path = write_export(tmp_path)
    installation.run("create-dagster", "project", "--no-uv-sync", "own", folder=tmp_path)
    project = tmp_path / "own"
    (project / ".scx" / "bucket").mkdir(parents=True)
    paths = {"PYTHONPATH": f"{project / 'src'}:{installation.site}"}
    scaffold = ("dg", "scaffold", "defs", "scx_pipeline.StarSchema", "orders", "--from-files", str(path))
    installation.run(*scaffold, folder=project, **paths)
    assert "All definitions loaded successfully" in installation.run(
        "dg", "check", "defs", folder=project, **paths
    )
    installation.run("dg", "launch", "--job", "orders", "--partition", "2024-01", folder=project, **paths)
    status = json.loads(installation.run("scx", "status", "--json", folder=project, SCX_STARS="src/own/defs"))
    assert list(status["stars"]) == ["orders"]
