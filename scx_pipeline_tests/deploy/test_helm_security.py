"""deploy/helm: what pods may do, where secrets come from, and which connections are allowed.

No cluster is started; the launcher says which pod it would request for a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterRun
from dagster._config import process_config, resolve_to_config_type
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job
from kubernetes import client
from pydantic import SecretStr

from scx_pipeline.settings import Settings
from scx_pipeline_tests.deploy import chart
from scx_pipeline_tests.deploy.chart import CODE, LAUNCHER, VALUES

PARTS = ("code", "webserver", "daemon", "run")
STRICT = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "privileged": False,
    "capabilities": {"drop": ["ALL"]},
}


# Pods


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


# Variables and secrets


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


# Network


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
