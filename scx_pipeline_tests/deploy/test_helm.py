"""What deploy/helm says: keys that the chart has, an instance and a launcher that Dagster takes, no secret, no drift from dagster.yaml.
That a cluster runs it is not proven here; the chart itself is asked where helm can reach it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
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
    """A copy for tests that change it, in which no two places are one, as YAML's aliases are."""
    return json.loads(json.dumps(VALUES))


def pods() -> dict[str, tuple[Any, Any, Any, Any]]:
    """Of each kind of pod: its labels, the security of pod and container, and its volumes and mounts."""
    spec = LAUNCHER["runK8sConfig"]["podSpecConfig"]
    parts = {"code": CODE, "webserver": VALUES["dagsterWebserver"], "daemon": VALUES["dagsterDaemon"]}
    found = {
        name: (said["labels"], said["podSecurityContext"], said["securityContext"], said)
        for name, said in parts.items()
    }
    return found | {
        "run": (LAUNCHER["labels"], spec["securityContext"], LAUNCHER["securityContext"], LAUNCHER)
    }


def variables() -> Iterator[dict[str, Any]]:
    """Every variable that any container gets."""
    run = LAUNCHER["runK8sConfig"]["containerConfig"]
    for holder in (
        CODE,
        *CODE["initContainers"],
        run,
        VALUES["dagsterWebserver"],
        VALUES["dagsterDaemon"],
    ):
        yield from holder["env"]


def test_every_key_is_one_that_the_chart_has() -> None:
    assert list(chart.mistakes(VALUES, chart.known_keys())) == []


@pytest.mark.parametrize(
    ("way", "value"),
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
def test_a_key_or_a_value_that_it_has_not_is_found(values: Any, way: list[str], value: Any) -> None:
    holder = values
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = value
    [mistake] = chart.mistakes(values, chart.known_keys())
    assert ".".join(way) in mistake


def taken(home: Path, config: Any) -> Any:
    """What Dagster makes of a dagster.yaml; it refuses one that it does not know."""
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(config), "utf-8")
    found, custom = dagster_instance_config(str(home))
    assert custom is None
    return found


def test_the_instance_is_that_of_dagster_yaml_but_for_how_runs_are_started(tmp_path: Path) -> None:
    ours = taken(tmp_path / "ours", yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8")))
    theirs = taken(tmp_path / "theirs", chart.instance(VALUES))
    same = {"run_retries", "sensors", "schedules", "concurrency", "retention", "telemetry", "nux"}
    assert {name: theirs[name] for name in same} == {name: ours[name] for name in same}
    assert theirs["local_artifact_storage"] == ours["local_artifact_storage"]
    # A launcher that could go on with a run must not: loads begin anew. And a pod comes later than a process.
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
    assert {name for name, said in ours.items() if said} == {*known, "run_launcher"}


def test_the_launcher_takes_its_settings(values: Any) -> None:
    schema = resolve_to_config_type(K8sRunLauncher.config_type())
    assert process_config(schema, chart.launcher(VALUES)).success
    values["runLauncher"]["config"]["k8sRunLauncher"]["memory"] = "1Gi"
    assert not process_config(schema, chart.launcher(values)).success


@pytest.fixture
def run_pod(tmp_path: Path) -> Any:
    """The pod that Dagster's launcher would ask Kubernetes for, for a run of the code server's image."""
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
    made = construct_dagster_k8s_job(job, ["dagster"], "run", context.run_k8s_config)
    return client.ApiClient().sanitize_for_serialization(made)["spec"]


def test_a_run_has_the_code_servers_image_variables_and_rights_and_no_start_of_its_own(run_pod: Any) -> None:
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


def test_every_pod_runs_as_nobody_in_particular_and_writes_in_its_own_two_folders_alone() -> None:
    assert set(pods()) == set(PARTS)
    for name, (labels, pod, container, said) in pods().items():
        assert labels == {"scx-part": name}
        assert container == STRICT
        assert pod["runAsNonRoot"]
        assert pod["runAsUser"] == pod["fsGroup"] == 10001
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {item["mountPath"] for item in said["volumeMounts"] if not item.get("readOnly")} == {
            "/tmp",
            "/var/lib/scx",
        }
        assert {item["name"] for item in said["volumeMounts"]} == {item["name"] for item in said["volumes"]}
        assert said["resources"]["limits"]["memory"]
    assert [item["securityContext"] for item in CODE["initContainers"]] == [STRICT]


def test_ui_and_daemon_have_another_account_than_what_reads_the_bucket() -> None:
    code = VALUES["dagster-user-deployments"]
    roles = [said["serviceAccount"]["annotations"] for said in (VALUES, code)]
    assert roles[0] != roles[1]
    assert VALUES["rbacEnabled"]
    assert not code["rbacEnabled"]
    given = {item["name"] for part in ("dagsterWebserver", "dagsterDaemon") for item in VALUES[part]["env"]}
    assert given == {"AWS_REGION", "AWS_DEFAULT_REGION"}


def test_every_variable_is_a_setting_and_every_secret_a_reference() -> None:
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


def test_plain_variables_make_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for item in CODE["env"]:
        if "value" in item:
            monkeypatch.setenv(item["name"], item["value"])
    found = Settings()
    assert found.sensors == "running"
    assert found.bucket == "s3://scx-raw"


def test_the_secrets_example_has_every_secret_that_is_named_and_no_value() -> None:
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
    """The parts that a selector of pods means."""
    if "matchLabels" in selector:
        return {selector["matchLabels"]["scx-part"]} & set(PARTS)
    [wanted] = selector["matchExpressions"]
    assert wanted["key"] == "scx-part"
    return set(PARTS) if wanted["operator"] == "Exists" else set(wanted["values"]) & set(PARTS)


def test_network_policies_are_kubernetes_own_kind() -> None:
    shape = {"metadata": {"name": "text"}, "spec": "V1NetworkPolicySpec"}
    assert [mistake for policy in policies() for mistake in chart.mistakes(policy, shape)] == []


def test_the_network_is_closed_but_for_what_is_named() -> None:
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


def test_the_code_server_is_started_with_arguments_that_dagster_has() -> None:
    arguments = ["--host", "0.0.0.0", "--port", str(CODE["port"]), *CODE["dagsterApiGrpcArgs"]]
    found = grpc_command.make_context("grpc", arguments).params
    assert (found["module_name"], found["location_name"]) == ("scx_pipeline.definitions", "scx_pipeline")
    program, command = CODE["initContainers"][0]["args"]
    assert program == "scx"
    assert command in {item.callback.__name__ for item in app.registered_commands if item.callback}


def test_versions_are_those_of_the_project() -> None:
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
        pytest.skip("needs helm (https://helm.sh/docs/intro/install), and Dagster's charts within its reach")
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
    made, ours = (
        taken(tmp_path / name, said)
        for name, said in (("made", yaml.safe_load(config)), ("ours", chart.instance(VALUES)))
    )
    for key, said in ours.items():
        if "class" in said:  # to whose settings the chart may add its defaults
            assert made[key]["class"] == said["class"]
            assert said.get("config", {}).items() <= made[key].get("config", {}).items()
        else:
            assert made[key] == said
