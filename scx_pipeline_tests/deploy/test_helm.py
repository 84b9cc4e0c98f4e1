"""deploy/helm: known keys, an instance and a launcher that Dagster accepts, no drift from dagster.yaml.

It is not tested in a cluster; the chart itself renders the values where helm can fetch it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dagster._cli.api import grpc_command
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.config import dagster_instance_config
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher

from scx_pipeline.cli.main import app
from scx_pipeline_tests.deploy import chart
from scx_pipeline_tests.deploy.chart import CODE, VALUES
from tools.local_services.compose import ROOT


@pytest.fixture
def values() -> Any:
    """Return a copy that a test may change, without the shared objects of YAML's aliases."""
    return json.loads(json.dumps(VALUES))


def test_every_key_exists_in_the_chart() -> None:
    assert list(chart.mistakes(VALUES, chart.known_keys())) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["dagsterDaemon", "runRetrys"], {}),
        (["dagsterWebserver", "service", "port"], "3000"),
        (["runLauncher", "type"], "DefaultRunLauncher"),
        (["dagsterDaemon", "securityContext", "readonlyRootFilesystem"], True),
        (["dagsterDaemon", "livenessProbe", "exec", "command"], [1]),
        (["dagsterWebserver", "startupProbe", "httpGet", "prot"], 3000),
        (["runLauncher", "config", "k8sRunLauncher", "runK8sConfig", "podSpecConfig", "serviceAcount"], "x"),
    ],
    ids=lambda item: item[-1] if isinstance(item, list) else "",
)
def test_an_unknown_key_or_value_is_reported(values: Any, path: list[str], value: Any) -> None:
    holder = values
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    [mistake] = chart.mistakes(values, chart.known_keys())
    assert ".".join(path) in mistake


def load_instance(home: Path, config: Any) -> Any:
    """Return how Dagster reads a dagster.yaml; Dagster refuses unknown keys."""
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(config), "utf-8")
    found, custom = dagster_instance_config(str(home))
    assert custom is None
    return found


def test_the_instance_equals_dagster_yaml_except_for_the_launcher(tmp_path: Path) -> None:
    ours = load_instance(
        tmp_path / "ours", yaml.safe_load((ROOT / "deploy" / "dagster" / "dagster.yaml").read_text("utf-8"))
    )
    theirs = load_instance(tmp_path / "theirs", chart.instance(VALUES))
    same = {"run_retries", "sensors", "schedules", "concurrency", "retention", "telemetry", "nux"}
    assert {name: theirs[name] for name in same} == {name: ours[name] for name in same}
    assert theirs["local_artifact_storage"] == ours["local_artifact_storage"]
    # The launcher must not resume a run: loads start again. And a pod starts later than a process.
    own = {"max_resume_run_attempts": 0, "free_slots_after_run_end_seconds": 0, "start_timeout_seconds": 300}
    assert theirs["run_monitoring"] == ours["run_monitoring"] | own
    coordinator = theirs["run_coordinator"]
    data = ConfigurableClassData(
        coordinator["module"], coordinator["class"], yaml.safe_dump(coordinator["config"])
    )
    queue = data.rehydrate(as_type=QueuedRunCoordinator)
    assert queue.dequeue_interval_seconds == ours["run_queue"]["dequeue_interval_seconds"]
    theirs["compute_logs"]["config"]["bucket"] = ours["compute_logs"]["config"]["bucket"]
    assert theirs["compute_logs"]["config"].pop("verify")
    assert theirs["compute_logs"] == ours["compute_logs"]
    database = ours["storage"]["postgres"]["postgres_db"]
    assert theirs["run_storage"]["config"]["postgres_db"]["scheme"] == database["scheme"]
    known = {*same, "local_artifact_storage", "run_monitoring", "run_queue", "compute_logs", "storage"}
    assert {name for name, section in ours.items() if section} == {*known, "run_launcher"}


def test_the_launcher_accepts_its_settings(values: Any) -> None:
    schema = resolve_to_config_type(K8sRunLauncher.config_type())
    assert process_config(schema, chart.launcher(VALUES)).success
    values["runLauncher"]["config"]["k8sRunLauncher"]["memory"] = "1Gi"
    assert not process_config(schema, chart.launcher(values)).success


def test_the_arguments_of_the_code_server_exist_in_dagster() -> None:
    arguments = ["--host", "0.0.0.0", "--port", str(CODE["port"]), *CODE["dagsterApiGrpcArgs"]]
    found = grpc_command.make_context("grpc", arguments).params
    assert (found["module_name"], found["location_name"]) == ("scx_pipeline.definitions", "scx_pipeline")
    program, command = CODE["initContainers"][0]["args"]
    assert program == "scx"
    assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_chart_and_image_versions_match_the_project() -> None:
    image = CODE["image"]
    assert VALUES["dagsterWebserver"]["image"] == VALUES["dagsterDaemon"]["image"] == image
    assert CODE["initContainers"][0]["image"] == f"{image['repository']}:{image['tag']}"
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
    assert compose["x-ours"]["image"] == f"scx_pipeline:{image['tag']}"
    assert compose["services"]["postgres"]["image"] == f"postgres:{VALUES['postgresql']['image']['tag']}"
    for path in ("deploy/helm/values.yaml", "deploy/README.md"):
        assert version("dagster") in (ROOT / path).read_text("utf-8")


def test_helm_renders_the_chart_with_the_values(tmp_path: Path) -> None:
    if not shutil.which("helm"):
        pytest.skip("needs helm (https://helm.sh/docs/intro/install) and access to Dagster's charts")
    where = ["dagster", "--repo", "https://dagster-io.github.io/helm", "--version", version("dagster")]
    pulled = subprocess.run(
        ["helm", "pull", *where, "--destination", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if pulled.returncode:
        pytest.skip(f"helm cannot reach Dagster's charts: {pulled.stderr.strip().splitlines()[-1]}")
    [archive] = tmp_path.glob("*.tgz")
    command = ["helm", "template", "scx", str(archive), "--values", str(chart.HELM / "values.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = {
        (item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(done.stdout) if item
    }
    config = written["ConfigMap", "scx-dagster-instance"]["data"]["dagster.yaml"]
    rendered, ours = (
        load_instance(tmp_path / name, section)
        for name, section in (("rendered", yaml.safe_load(config)), ("ours", chart.instance(VALUES)))
    )
    for key, section in ours.items():
        if "class" in section:  # the chart may add its defaults to these settings
            assert rendered[key]["class"] == section["class"]
            assert section.get("config", {}).items() <= rendered[key].get("config", {}).items()
        else:
            assert rendered[key] == section
