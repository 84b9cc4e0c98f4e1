"""Spark jobs on EMR, through Dagster Pipes: a cluster that is made for one job, how it is followed, and what its failures mean.
The request of the cluster is in `emr_cluster`; what is asked of both kinds of EMR, in `spark_job`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.pipes import PipesEMRClient

from scx_pipeline import aws
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.spark.code_archive import open_code
from scx_pipeline.orchestration.spark.emr_cluster import (
    architecture_of,
    flow_of,
    read_cluster,
    step_arguments,
    with_tags,
)
from scx_pipeline.orchestration.spark.pipes import KeptMessages
from scx_pipeline.orchestration.spark.spark_job import Job, attempt_of, in_one_line
from scx_pipeline.orchestration.spark.spark_messages import S3Messages, await_answer

LOOK = (
    15.0  # seconds between two looks: a cluster takes minutes to come, and AWS bounds how often it is asked
)
ENDED = ("FAILED", "CANCELLED", "INTERRUPTED")
GONE = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
# What is in AWS's words → what to do: of a refusal, or of how a cluster ended. The first that fits counts.
_ADVICE = (
    ("PassRole", "let this user or role pass JobFlowRole and ServiceRole (iam:PassRole): docs/emr.md"),
    ("ServiceRole", "see ServiceRole in the file of SCX_SPARK_CLUSTER"),
    ("InstanceProfile", "see JobFlowRole in the file of SCX_SPARK_CLUSTER"),
    ("nstance profile", "see JobFlowRole in the file of SCX_SPARK_CLUSTER"),
    (
        "quota",
        "raise the account's quota of these instances in AWS's Service Quotas, or take fewer or others",
    ),
    ("apacity", "take other instance types or another zone, or several of them by InstanceFleets"),
    ("elease label", "take another ReleaseLabel; AWS's guide to EMR lists them"),
    ("ootstrap", "see the logs of its bootstrap actions below LogUri"),
)
_OF_ROLE = ("AccessDenied", "let the role (JobFlowRole) do it: docs/emr.md lists its rights")
translate_errors = partial(aws.translate_errors, kind=LakeError, advice=_ADVICE)


@dataclass(frozen=True)
class EMR:
    """A cluster that is made for each job, as a file describes it."""

    cluster: str
    code: str
    conf: Mapping[str, str]

    def run(self, context: dg.AssetExecutionContext, order: BuildRequest) -> BuildResult:
        """Have a job done. Raises LakeError where it cannot start, or ends without an answer."""
        cluster, place = read_cluster(Path(self.cluster)), open_code(self.code)
        client, code = aws.client("emr", LakeError), place.find([architecture_of(cluster)])
        job = Job(order, attempt_of(context), code, client.meta.region_name, self.conf)
        messages = KeptMessages(S3Messages(place, job.attempt, aws.client("s3", LakeError)))
        pipes = _Client(client, job, messages)
        request: Any = flow_of(job, cluster)
        return await_answer(
            lambda: pipes.run(context=context, run_job_flow_params=request, extras=order.as_json()), messages
        )

    def examine(self) -> str:
        """What jobs would run on. Raises PipelineError where the file or the code is not fit; AWS is not asked for a cluster."""
        cluster = read_cluster(Path(self.cluster))
        code = open_code(self.code).find([architecture_of(cluster)])
        return f"{self.cluster} is a request of {cluster['ReleaseLabel']}, and jobs run from {code.archive}"


def failure(cluster: Mapping[str, Any], step: Mapping[str, Any]) -> str:
    """What a cluster whose step did not end well tells, in one line."""
    status, ending = cluster["Status"], step["Status"]
    details = ending.get("FailureDetails", {})
    words = [details.get("Reason"), details.get("Message")]
    words = words if any(words) else [ending.get("StateChangeReason", {}).get("Message")]
    if ending["State"] != "FAILED":  # the cluster ended before the step began, or under it
        words = [status.get("StateChangeReason", {}).get("Message")]
    reason = in_one_line(": ".join(word for word in words if word))
    advice = next((f": {advice}" for sign, advice in (*_ADVICE, _OF_ROLE) if sign in reason), "")
    log = details.get("LogFile") or cluster.get("LogUri", "no LogUri is set")
    return (
        f"the step of the EMR cluster {cluster['Id']} is {ending['State']}, the cluster {status['State']}: {reason}{advice}; its log: "
        f"{log}; `scx lake status` tells what stands"
    )


class _Client(PipesEMRClient):
    """Dagster's, but for what does not hold of a job of ours.

    Its own way of waiting gives up after half an hour, and where a cluster is up for less than half a minute; and it loses the
    driver's environment where the request has settings of Spark's own.
    """

    def __init__(self, client: Any, job: Job, messages: KeptMessages) -> None:
        super().__init__(messages, client)
        self.job = job

    def _enrich_params(self, session: Any, params: Any) -> Any:
        [step] = params["Steps"]
        step["HadoopJarStep"]["Args"] = step_arguments(self.job, session.get_bootstrap_env_vars())
        return {**params, "Tags": with_tags(params["Tags"], session.default_remote_invocation_info)}

    def _start(self, context: Any, session: Any, params: Any) -> Any:
        with translate_errors(f"start an EMR cluster ({params['Name']})"):
            response = self.client.run_job_flow(**params)
        context.log.info(f"EMR: the cluster {response['JobFlowId']} is being made")
        return response

    def _add_log_readers(self, context: Any, response: Any) -> None:
        """Nothing to do: what matters of the log comes as messages."""

    def _wait_for_completion(self, context: Any, response: Any) -> Any:
        said = ""
        while True:
            cluster, step = self._look(response["JobFlowId"])
            states = step["Status"]["State"], cluster["Status"]["State"]
            if states[0] == "COMPLETED":
                return {"Cluster": cluster}  # which ends by itself
            if states[0] in ENDED or states[1] in GONE:
                raise LakeError(failure(cluster, step))
            now = f"EMR: the cluster {cluster['Id']} is {states[1]}, its step {states[0]}"
            if now != said:
                context.log.info(now)
                said = now
            time.sleep(LOOK)

    def _look(self, identity: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What AWS says of the cluster and of its only step."""
        with translate_errors(f"see the EMR cluster {identity}, which may still be at work"):
            cluster = self.client.describe_cluster(ClusterId=identity)["Cluster"]
            [step] = self.client.list_steps(ClusterId=identity)["Steps"]
        return dict(cluster), dict(step)

    def _read_application_logs(self, context: Any, session: Any, response: Any) -> None:
        """Nothing to do: what matters of the log comes as messages."""

    def _terminate(self, context: Any, start_response: Any) -> None:
        with translate_errors(f"end the EMR cluster {start_response['JobFlowId']}, which is still at work"):
            super()._terminate(context, start_response)
