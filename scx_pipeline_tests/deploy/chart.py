"""A model of the official Helm chart: its keys, and the instance and launcher settings that it writes from the values.

The chart itself is not part of the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

HELM = Path(__file__).parents[2] / "deploy" / "helm"
KINDS = {"str": str, "int": int, "bool": bool}
OTHERS = "..."  # the Kubernetes type of all other keys of a mapping


def read(name: str) -> list[Any]:
    """Read the documents of a file of deploy/helm."""
    return list(yaml.safe_load_all((HELM / name).read_text("utf-8")))


VALUES = read("values.yaml")[0]
CODE = VALUES["dagster-user-deployments"]["deployments"][0]
LAUNCHER = VALUES["runLauncher"]["config"]["k8sRunLauncher"]


def known_keys() -> Any:
    return yaml.safe_load(Path(__file__).with_name("chart_keys.yaml").read_text("utf-8"))


def mistakes(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """Yield where a value differs from a shape of chart_keys.yaml."""
    if isinstance(shape, str):
        yield from _leaf(value, shape, where)
    elif not isinstance(value, type(shape)):
        yield f"{where}: {value!r} is not a {type(shape).__name__}"
    elif isinstance(shape, list):
        for at, item in enumerate(value):
            yield from mistakes(item, shape[0], f"{where}[{at}]")
    else:
        others = {}
        for key, item in value.items():
            if key in shape:
                yield from mistakes(item, shape[key], f"{where}.{key}")
            else:
                others[key] = item
        if OTHERS in shape:
            yield from _of_kubernetes(others, shape[OTHERS], where)
        else:
            yield from (f"{where}.{key}: no such key" for key in others)


def _leaf(value: Any, shape: str, where: str) -> Iterator[str]:
    if shape in KINDS:
        if type(value) is not KINDS[shape]:
            yield f"{where}: {value!r} is not a {shape}"
    elif shape.startswith(("V1", "list[", "dict(")):
        yield from _of_kubernetes(value, shape, where)
    elif shape != "anything" and value not in shape.split("|"):
        yield f"{where}: {value!r} is not one of {shape}"


def _of_kubernetes(value: Any, kind: str, where: str) -> Iterator[str]:
    """Yield where a value differs from a type of Kubernetes' API, at any depth."""
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        for at, item in enumerate(value if isinstance(value, list) else [value]):
            yield from _of_kubernetes(item, listed[1], f"{where}[{at}]")
    elif mapped := re.fullmatch(r"dict[(\[]str, (.+)[)\]]", kind):
        for key, item in value.items():
            yield from _of_kubernetes(item, mapped[1], f"{where}.{key}")
    elif kind.startswith("V1"):
        yield from _of_model(value, getattr(client, kind), where)
    elif kind in KINDS and type(value) is not KINDS[kind]:
        yield f"{where}: {value!r} is not a {kind}"


def _of_model(value: Any, model: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is not a {model.__name__}"
        return
    names = {theirs: ours for ours, theirs in model.attribute_map.items()}
    for key, item in value.items():
        if key in names:
            yield from _of_kubernetes(item, model.openapi_types[names[key]], f"{where}.{key}")
        else:
            yield f"{where}.{key}: {model.__name__} has no such key"


def instance(values: Any) -> dict[str, Any]:
    """Return the dagster.yaml that the chart writes."""
    daemon, logs = values["dagsterDaemon"], values["computeLogManager"]["config"]["s3ComputeLogManager"]
    storage = {"postgres_db": _database(values["postgresql"])}
    return {
        "run_storage": _class("dagster_postgres.run_storage", "PostgresRunStorage", storage),
        "event_log_storage": _class("dagster_postgres.event_log", "PostgresEventLogStorage", storage),
        "schedule_storage": _class("dagster_postgres.schedule_storage", "PostgresScheduleStorage", storage),
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        "run_launcher": _class("dagster_k8s", "K8sRunLauncher", launcher(values)),
        "run_coordinator": daemon["runCoordinator"]["config"]["customRunCoordinator"],
        "compute_logs": _class(
            "dagster_aws.s3.compute_log_manager", "S3ComputeLogManager", {**_snake(logs), "verify": True}
        ),
        **{name: _snake(daemon[_camel(name)]) for name in _OF_DAEMON},
        "retention": _without_enabled(_snake(values["retention"])),
        "telemetry": values["telemetry"],
        **values["additionalInstanceConfig"],
    }


_OF_DAEMON = ("run_monitoring", "run_retries", "sensors", "schedules")


def launcher(values: Any) -> dict[str, Any]:
    """Return the launcher settings that the chart writes, for a release named scx in the namespace scx."""
    section = values["runLauncher"]["config"]["k8sRunLauncher"]
    kubernetes_keys = {"resources", "security_context", "volumes", "volume_mounts", "labels"}
    given = {_underscored(key): value for key, value in section.items()}
    run = {_underscored(key): value for key, value in given.pop("run_k8s_config").items()}
    assert kubernetes_keys <= set(given)
    return {
        **given,
        "run_k8s_config": run,
        "job_namespace": "scx",
        "service_account_name": values["serviceAccount"]["name"],
        "dagster_home": values["global"]["dagsterHome"],
        "instance_config_map": "scx-dagster-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
    }


def _database(section: Any) -> dict[str, Any]:
    return {
        "username": section["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": section["postgresqlHost"],
        "db_name": section["postgresqlDatabase"],
        "port": section["service"]["port"],
        "params": section["postgresqlParams"],
        "scheme": section["postgresqlScheme"],
    }


def _class(module: str, name: str, config: Any) -> dict[str, Any]:
    return {"module": module, "class": name, "config": config}


def _without_enabled(section: dict[str, Any]) -> dict[str, Any]:
    assert section.pop("enabled")
    return section


def _snake(section: Any) -> Any:
    if isinstance(section, dict):
        return {_underscored(key): _snake(value) for key, value in section.items()}
    return section


def _underscored(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", key)


def _camel(key: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), key)
