"""deploy/helm: known keys, an instance and a launcher that Dagster accepts, no secrets, no drift from dagster.yaml.

It is not tested in a cluster; the chart itself renders the values where helm can fetch it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dagster import DagsterRun
from dagster._cli.api import grpc_command
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.config import dagster_instance_config
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job
from kubernetes import client
from pydantic import SecretStr

from scx_pipeline.cli.main import app
from scx_pipeline.settings import Settings
from scx_pipeline_tests.deploy import chart
from tools.local_services.compose import ROOT

PARTS = ("code", "webserver", "daemon", "run")
VALUES = chart.read("values.yaml")[0]
CODE = VALUES["dagster-user-deployments"]["deployments"][0]
LAUNCHER = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
STRICT = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "privileged": False,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture
def values() -> Any:
    """Return a copy that a test may change, without the shared objects of YAML's aliases."""
    return json.loads(json.dumps(VALUES))


def pods() -> dict[str, tuple[Any, Any, Any, Any]]:
    """Return, for each kind of pod, labels, the security of pod and container, and its volumes and mounts."""
    spec = LAUNCHER["runK8sConfig"]["podSpecConfig"]
    parts = {"code": CODE, "webserver": VALUES["dagsterWebserver"], "daemon": VALUES["dagsterDaemon"]}
    found = {
        name: (section["labels"], section["podSecurityContext"], section["securityContext"], section)
        for name, section in parts.items()
    }
    return found | {
        "run": (LAUNCHER["labels"], spec["securityContext"], LAUNCHER["securityContext"], LAUNCHER)
    }


def variables() -> Iterator[dict[str, Any]]:
    """Yield every variable of every container."""
    run = LAUNCHER["runK8sConfig"]["containerConfig"]
    for holder in (
        CODE,
        *CODE["initContainers"],
        run,
        VALUES["dagsterWebserver"],
        VALUES["dagsterDaemon"],
    ):
        yield from holder["env"]


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
    ours = load_instance(tmp_path / "ours", yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8")))
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


@pytest.fixture
def run_pod(tmp_path: Path) -> Any:
    """Return the pod that Dagster's launcher requests for a run of the code server's image."""
    nowhere = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://192.0.2.1"}}],
        "users": [{"name": "x", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(nowhere), "utf-8")
    config = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), chart.launcher(VALUES))
    here = {"load_incluster_config": False, "kubeconfig_file": str(tmp_path / "kubeconfig")}
    launcher = K8sRunLauncher(**{**config.value, **here})
    context = launcher.get_container_context_for_run(DagsterRun(job_name="scx"))
    job: DagsterK8sJobConfig = context.get_k8s_job_config("the-image", launcher)
    pod = construct_dagster_k8s_job(job, ["dagster"], "run", context.run_k8s_config)
    return client.ApiClient().sanitize_for_serialization(pod)["spec"]


def test_a_run_has_the_image_variables_and_permissions_of_the_code_server(run_pod: Any) -> None:
    spec = run_pod["template"]["spec"]
    [container] = spec["containers"]
    assert container["image"] == "the-image"
    assert "command" not in container
    names = {item["name"]: item for item in container["env"]}
    assert [names[item["name"]] for item in CODE["env"]] == CODE["env"]
    assert names["DAGSTER_PG_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "scx-dagster-database"
    assert spec["serviceAccountName"] == VALUES["dagster-user-deployments"]["serviceAccount"]["name"]
    assert spec["securityContext"] == CODE["podSecurityContext"]
    assert container["securityContext"] == STRICT
    assert container["resources"] == LAUNCHER["resources"]
    assert {item["name"] for item in container["volumeMounts"]} == {item["name"] for item in spec["volumes"]}
    assert run_pod["backoffLimit"] == 0
    assert run_pod["template"]["metadata"]["labels"]["scx-part"] == "run"


def test_every_pod_runs_unprivileged_and_writes_only_to_its_two_folders() -> None:
    assert set(pods()) == set(PARTS)
    for name, (labels, pod, container, section) in pods().items():
        assert labels == {"scx-part": name}
        assert container == STRICT
        assert pod["runAsNonRoot"]
        assert pod["runAsUser"] == pod["fsGroup"] == 10001
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {item["mountPath"] for item in section["volumeMounts"] if not item.get("readOnly")} == {
            "/tmp",
            "/var/lib/scx",
        }
        assert {item["name"] for item in section["volumeMounts"]} == {
            item["name"] for item in section["volumes"]
        }
        assert section["resources"]["limits"]["memory"]
    assert [item["securityContext"] for item in CODE["initContainers"]] == [STRICT]


def test_ui_and_daemon_use_a_service_account_without_bucket_access() -> None:
    code = VALUES["dagster-user-deployments"]
    roles = [section["serviceAccount"]["annotations"] for section in (VALUES, code)]
    assert roles[0] != roles[1]
    assert VALUES["rbacEnabled"]
    assert not code["rbacEnabled"]
    given = {item["name"] for part in ("dagsterWebserver", "dagsterDaemon") for item in VALUES[part]["env"]}
    assert given == {"AWS_REGION", "AWS_DEFAULT_REGION"}


def test_every_variable_is_a_setting_and_every_secret_is_a_reference() -> None:
    secret = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    assert secret
    for item in variables():
        name = item["name"]
        if name.startswith("AWS_"):
            assert name in {"AWS_REGION", "AWS_DEFAULT_REGION"}
            continue
        setting = name.removeprefix("SCX_").lower()
        assert setting in Settings.model_fields
        assert ("secretKeyRef" in item.get("valueFrom", {})) == (setting in secret)


def test_plain_variables_are_valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for item in CODE["env"]:
        if "value" in item:
            monkeypatch.setenv(item["name"], item["value"])
    found = Settings()
    assert found.sensors == "running"
    assert found.bucket == "s3://scx-raw"


def test_the_secrets_example_names_every_secret_without_its_value() -> None:
    named = {
        (item["valueFrom"]["secretKeyRef"]["name"], item["valueFrom"]["secretKeyRef"]["key"])
        for item in variables()
        if "valueFrom" in item
    }
    named.add((VALUES["global"]["postgresqlSecretName"], "postgresql-password"))
    kept = set()
    for document in chart.read("secrets.example.yaml"):
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        assert (document["apiVersion"], document["kind"]) == ("external-secrets.io/v1", "ExternalSecret")
        assert document["metadata"] == document["spec"]["target"]
        for item in document["spec"]["data"]:
            assert set(item) == {"secretKey", "remoteRef"}
            assert set(item["remoteRef"]) == {"key", "property"}
            kept.add((document["metadata"]["name"], item["secretKey"]))
    assert kept == named


def policies() -> Iterator[Any]:
    for document in chart.read("network-policy.yaml"):
        assert (document.pop("apiVersion"), document.pop("kind")) == ("networking.k8s.io/v1", "NetworkPolicy")
        yield document


def matched(selector: Any) -> set[str]:
    """Return the parts that a pod selector matches."""
    if "matchLabels" in selector:
        return {selector["matchLabels"]["scx-part"]} & set(PARTS)
    [wanted] = selector["matchExpressions"]
    assert wanted["key"] == "scx-part"
    return set(PARTS) if wanted["operator"] == "Exists" else set(wanted["values"]) & set(PARTS)


def test_network_policies_are_valid_kubernetes_objects() -> None:
    shape = {"metadata": {"name": "str"}, "spec": "V1NetworkPolicySpec"}
    assert [mistake for policy in policies() for mistake in chart.mistakes(policy, shape)] == []


def test_network_policies_allow_only_the_listed_connections() -> None:
    first, *others = policies()
    assert matched(first["spec"]["podSelector"]) == set(PARTS)
    assert set(first["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert not {"ingress", "egress"} & set(first["spec"])
    entries = {}
    for policy in others:
        for rule in policy["spec"].get("ingress", []):
            assert rule["from"]
            for part in matched(policy["spec"]["podSelector"]):
                entries[part] = [item["port"] for item in rule["ports"]]
    assert entries == {"code": [CODE["port"]], "webserver": [VALUES["dagsterWebserver"]["service"]["port"]]}
    assert all(rule["ports"] for policy in others for rule in policy["spec"].get("egress", []))


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
