"""The request of an EMR cluster for one job: a file of RunJobFlow's parameters, checked by AWS's own model, and the job's step.
How the cluster is started and followed is in `emr`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from scx_pipeline.errors import SettingsError
from scx_pipeline.orchestration.spark.spark_job import Job, settings_text, tag_text

NEEDED = ("ReleaseLabel", "JobFlowRole", "ServiceRole")  # beside what AWS's model needs
# What a cluster that lives for one job cannot have, and why.
REFUSED = {
    "Steps": "the job is its only step",
    "Instances.KeepJobFlowAliveWhenNoSteps": "the cluster ends with its job",
    "Instances.TerminationProtected": "the cluster ends with its job",
    "StepConcurrencyLevel": "the job is its only step",
}


def read_cluster(file: Path) -> dict[str, Any]:
    """The parameters of a YAML file. Raises SettingsError naming the file and the key."""
    import yaml

    where = f"SCX_SPARK_CLUSTER={file}"
    try:
        loaded = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"{where} cannot be read: {reason}; docs/emr.md has an example") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{where} is no YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(loaded, dict):
        raise SettingsError(
            f"{where}: write the parameters of RunJobFlow, such as `ReleaseLabel: emr-7.12.0`"
        )
    for mistake in _mistakes(loaded):
        raise SettingsError(f"{where}: {mistake}")
    return loaded


def _mistakes(request: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a request, a line each."""
    yield from map(_in_our_words, _by_model(request))
    for name in NEEDED:
        if not request.get(name):
            yield f"{name} is missing; docs/emr.md has an example"
    for name, why in REFUSED.items():
        outer, _, inner = name.rpartition(".")
        if (request[outer] if outer else request).get(inner):
            yield f"{name} is to be left out: {why}"
    if len(_processors(request)) > 1:
        yield "Instances has some of Graviton and some of x86, and the job's archive is for one of them"
    if not any(item.get("Name") == "Spark" for item in request.get("Applications", [{"Name": "Spark"}])):
        yield "Applications has no Spark"


def _by_model(request: Mapping[str, Any]) -> list[str]:
    """What botocore has against a request, by its model of EMR; AWS is not asked."""
    from botocore.loaders import BucketLoader
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    model = ServiceModel(BucketLoader().load_service_model("emr", "service-2"))
    report = ParamValidator().validate(dict(request), model.operation_model("RunJobFlow").input_shape)
    return str(report.generate_report()).splitlines() if report.has_errors() else []


def _in_our_words(line: str) -> str:
    """A line of botocore's, with the one key that may be meant in the place of all that there are."""
    unknown = re.fullmatch(r'Unknown parameter in (.+): "(.+)", must be one of: (.+)', line)
    if unknown:
        close = get_close_matches(unknown[2], unknown[3].split(", "), 1)
        hint = f"did you mean {close[0]}?" if close else "RunJobFlow has no such parameter"
        return f"{_path(unknown[1])}{unknown[2]} is unknown: {hint}"
    missing = re.fullmatch(r'Missing required parameter in (.+): "(.+)"', line)
    if missing:
        return f"{_path(missing[1])}{missing[2]} is missing; docs/emr.md has an example"
    return line[:300]


def _path(outer: str) -> str:
    return "" if outer == "input" else f"{outer}."


def _processors(request: Mapping[str, Any]) -> set[str]:
    return {"arm64" if _is_graviton(name) else "x86_64" for name in _instance_types(request["Instances"])}


def _instance_types(found: Any) -> Iterator[str]:
    """The types of all instances, wherever they are named."""
    for name, value in found.items() if isinstance(found, dict) else ():
        if name in ("MasterInstanceType", "SlaveInstanceType", "InstanceType"):
            yield str(value)
        for item in value if isinstance(value, list) else [value]:
            yield from _instance_types(item)


def _is_graviton(instance_type: str) -> bool:
    """By its name: a g behind the generation's number, as of m7g, c6gn, and not of g5."""
    family = re.match(r"[a-z]+\d+([a-z]*)", instance_type)
    return family is not None and "g" in family[1]


def architecture_of(request: Mapping[str, Any]) -> str:
    """The processor of the cluster's instances."""
    return next(iter(_processors(request)), "x86_64")


def flow_of(job: Job, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """What RunJobFlow is asked, but for what Pipes tells the driver (see `with_environment`)."""
    request = deepcopy(dict(cluster))
    request.setdefault("Applications", [{"Name": "Spark"}])
    request["Instances"]["KeepJobFlowAliveWhenNoSteps"] = False
    request["Tags"] = with_tags(request.get("Tags", []), job.tags)
    request["Steps"] = [
        {
            "Name": job.name,
            "ActionOnFailure": "TERMINATE_CLUSTER",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": []},
        }
    ]
    return request


def with_tags(tags: list[dict[str, str]], more: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as EMR takes them, with some more."""
    kept = [item for item in tags if item.get("Key") not in more]
    return [*kept, *({"Key": name, "Value": tag_text(value)} for name, value in more.items())]


def step_arguments(job: Job, pipes: Mapping[str, str]) -> list[str]:
    """What spark-submit is given on the cluster."""
    conf = {
        "spark.archives": job.archive,
        "spark.yarn.maxAppAttempts": "1",  # a job that answered that a check failed is not to be run again
        **job.environment("spark.yarn.appMasterEnv", pipes),
        **job.conf,
    }
    return ["spark-submit", "--deploy-mode", "cluster", *settings_text(conf), job.code.entry]
