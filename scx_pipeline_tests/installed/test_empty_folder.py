"""`scx demo` and `scx ui` from the installed wheel in an empty folder: the UI serves the stars and stops quietly."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from scx_pipeline_tests.installed.conftest import Installation
from scx_pipeline_tests.support.servers.ports import LOOPBACK, free_ports

SECONDS = 120
JOBS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } jobs { name } } } } }"


def query(address: str) -> dict[str, set[str]]:
    """Return the names of the jobs of each code location; none until the UI serves them."""
    body = json.dumps({"query": JOBS}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            nodes = json.load(response)["data"]["repositoriesOrError"].get("nodes", [])
    except OSError:
        return {}
    return {node["location"]["name"]: {job["name"] for job in node["jobs"]} for node in nodes}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "scx_pipeline.cli.main", "ui", *arguments]


def test_ui_prints_its_address_serves_the_stars_and_stops_quietly(
    installation: Installation, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    address = f"http://{LOOPBACK}:{port}"
    with subprocess.Popen(
        command("--port", str(port)), cwd=tmp_path, env=installation.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == f"{address} (in a few seconds; Ctrl-C stops it)\n"
            deadline = time.monotonic() + SECONDS
            while not (found := query(address)) and time.monotonic() < deadline:
                time.sleep(0.5)
            assert {"scx", "songplays", "sensor_readings", "maintain"} <= found["scx_pipeline"]
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
    assert process.returncode == 0
    # A busy machine may need longer to stop than the supervisor waits.
    assert re.sub(r".*/dagster did not end within 6 seconds: killed\n", "", rest) == ""
    assert (tmp_path / ".scx" / "dagster" / "dagster.yaml").is_file()


def test_ui_reports_a_mistake_in_a_star_in_one_line(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "stars" / "shop").mkdir(parents=True)
    (tmp_path / "stars" / "shop" / "defs.yaml").write_text("attributes: {nam: shop}\n")
    done = subprocess.run(
        command(), cwd=tmp_path, env=installation.environment | {"SCX_STARS": "stars"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {tmp_path}/stars/shop/defs.yaml, line 1: unknown key 'nam'; did you mean 'name'?\n"
    )


def test_demo_loads_the_samples_in_an_empty_folder(installation: Installation, tmp_path: Path) -> None:
    printed = installation.run("python", "-m", "scx_pipeline.cli.main", "demo", folder=tmp_path)
    assert "public.auto_classification_logs" in printed
    assert (tmp_path / ".scx" / "dev.duckdb").is_file()
