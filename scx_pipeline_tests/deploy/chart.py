"""The Helm values and what the official chart makes of them, in our words: keys, Dagster's instance, the launcher's settings.
The chart itself is not here; what is asked of the values is in test_helm.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

HELM = Path(__file__).parents[2] / "deploy" / "helm"
KINDS = {"text": str, "str": str, "number": int, "int": int, "truth": bool, "bool": bool}
OTHERS = "..."  # what else a mapping may hold, as a type of Kubernetes'


def read(name: str) -> list[Any]:
    """The documents of a file of deploy/helm."""
    return list(yaml.safe_load_all((HELM / name).read_text("utf-8")))


def known_keys() -> Any:
    return yaml.safe_load(Path(__file__).with_name("chart_keys.yaml").read_text("utf-8"))


def mistakes(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """What of a value is not as a shape of chart_keys.yaml says."""
    if isinstance(shape, str):
        yield from _leaf(value, shape, where)
    elif not isinstance(value, type(shape)):
        yield f"{where}: {value!r} is no {type(shape).__name__}"
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
            yield f"{where}: {value!r} is no {shape}"
    elif shape.startswith(("V1", "list[", "dict(")):
        yield from _of_kubernetes(value, shape, where)
    elif shape != "anything" and value not in shape.split("|"):
        yield f"{where}: {value!r} is none of {shape}"


def _of_kubernetes(value: Any, kind: str, where: str) -> Iterator[str]:
    """What of a value is not as a type of Kubernetes' API has it, down to the last key."""
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        for at, item in enumerate(value if isinstance(value, list) else [value]):
            yield from _of_kubernetes(item, listed[1], f"{where}[{at}]")
    elif mapped := re.fullmatch(r"dict[(\[]str, (.+)[)\]]", kind):
        for key, item in value.items():
            yield from _of_kubernetes(item, mapped[1], f"{where}.{key}")
    elif kind.startswith("V1"):
        yield from _of_model(value, getattr(client, kind), where)
    elif kind in KINDS and type(value) is not KINDS[kind]:
        yield f"{where}: {value!r} is no {kind}"


def _of_model(value: Any, model: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no {model.__name__}"
        return
    names = {theirs: ours for ours, theirs in model.attribute_map.items()}
    for key, item in value.items():
        if key in names:
            yield from _of_kubernetes(item, model.openapi_types[names[key]], f"{where}.{key}")
        else:
            yield f"{where}.{key}: {model.__name__} has no such key"


def instance(values: Any) -> dict[str, Any]:
    """The dagster.yaml that the chart writes."""
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
    """The settings of the launcher that the chart writes, for a release named scx in the namespace scx."""
    said = values["runLauncher"]["config"]["k8sRunLauncher"]
    whole = {"resources", "security_context", "volumes", "volume_mounts", "labels"}  # are Kubernetes' own
    given = {_underscored(key): value for key, value in said.items()}
    run = {_underscored(key): value for key, value in given.pop("run_k8s_config").items()}
    assert whole <= set(given)
    return {
        **given,
        "run_k8s_config": run,
        "job_namespace": "scx",
        "service_account_name": values["serviceAccount"]["name"],
        "dagster_home": values["global"]["dagsterHome"],
        "instance_config_map": "scx-dagster-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
    }


def _database(said: Any) -> dict[str, Any]:
    return {
        "username": said["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": said["postgresqlHost"],
        "db_name": said["postgresqlDatabase"],
        "port": said["service"]["port"],
        "params": said["postgresqlParams"],
        "scheme": said["postgresqlScheme"],
    }


def _class(module: str, name: str, config: Any) -> dict[str, Any]:
    return {"module": module, "class": name, "config": config}


def _without_enabled(said: dict[str, Any]) -> dict[str, Any]:
    assert said.pop("enabled")
    return said


def _snake(said: Any) -> Any:
    if isinstance(said, dict):
        return {_underscored(key): _snake(value) for key, value in said.items()}
    return said


def _underscored(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", key)


def _camel(key: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), key)
