"""Spark jobs on EMR Serverless, through Dagster Pipes: the request, how it is followed, and what its failures mean.
What is asked of both kinds of EMR is in `spark_job`; the application itself is made by `cluster.spark`."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
from dagster_aws.pipes import PipesEMRServerlessClient

from scx_pipeline import aws
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.spark.code_archive import open_code
from scx_pipeline.orchestration.spark.pipes import KeptMessages
from scx_pipeline.orchestration.spark.spark_job import (
    LOOK,
    Job,
    attempt_of,
    in_one_line,
    settings_text,
    tag_text,
)
from scx_pipeline.orchestration.spark.spark_messages import S3Messages, await_answer

LOG_GROUP = (
    "/aws/emr-serverless"  # of CloudWatch, which the role of `scx cloud create emr-serverless` may write
)
LONGEST = 12 * 60  # minutes that a job may take, after which AWS ends it
OVER = ("SUCCESS", "FAILED", "CANCELLED", "CANCELLING")
OLDEST = (7, 1)  # of EMR's releases, the first with a Python that this project runs on
# Half of an executor's memory is for Python, where rows are parsed and written; of a driver's, most is Spark's.
SIZES = {
    "spark.executor.cores": "4",
    "spark.executor.memory": "9g",
    "spark.executor.memoryOverhead": "7g",
    "spark.driver.cores": "4",
    "spark.driver.memory": "11g",
    "spark.driver.memoryOverhead": "5g",
}
_QUOTA = (
    "raise the quota `Max concurrent vCPUs per account` of EMR Serverless in AWS's Service Quotas, or the application's max_vcpu, "
    "or have it take less (SCX_SPARK_CONF=spark.dynamicAllocation.maxExecutors=2)"
)
_ROLE = "see SCX_SPARK_ROLE, and let this user or role pass it (iam:PassRole): docs/emr.md"
_START = "start it (aws emr-serverless start-application), or have it start by itself"
# What is in AWS's words → what to do: of a refusal, and of how a job run ended. The first that fits counts.
_REFUSALS = (
    ("PassRole", _ROLE),
    ("execution role", _ROLE),
    ("Quota", _QUOTA),
    ("vCPU", _QUOTA),
    ("ResourceNotFound", "see SCX_SPARK_APPLICATION, and AWS_REGION; `scx cloud status emr-serverless` shows it"),
    ("not in STARTED", _START),
)  # fmt: skip
_ENDINGS = (
    ("Quota", _QUOTA),
    ("quota", _QUOTA),
    ("capacity", _QUOTA),
    ("vCPU", _QUOTA),
    ("AccessDenied", "let the role (SCX_SPARK_ROLE) do it: docs/emr.md lists its rights"),
    ("not authorized", "let the role (SCX_SPARK_ROLE) do it: docs/emr.md lists its rights"),
    ("OutOfMemory", "give it more memory: SCX_SPARK_CONF=spark.executor.memoryOverhead=11g, or spark.driver.memory"),
    ("137", "it was killed, as for want of memory: SCX_SPARK_CONF=spark.driver.memoryOverhead=9g, or more"),
    ("No module named", "the archive does not fit these workers: run `scx lake package` for their Python and processor"),
    ("python3", "EMR's image has another Python: `scx lake package --python`, or a release from emr-7.1.0 on"),
    ("timed out", "build fewer months at a time: --from and --to"),
)  # fmt: skip
translate_errors = partial(aws.translate_errors, kind=LakeError, advice=_REFUSALS)


@dataclass(frozen=True)
class EMRServerless:
    """An application, and the role of its jobs."""

    application: str
    role: str
    code: str
    conf: Mapping[str, str]

    def run(self, context: dg.AssetExecutionContext, build_request: BuildRequest) -> BuildResult:
        """Have a job done. Raises LakeError where it cannot start, or ends without an answer."""
        place, client = open_code(self.code), aws.client("emr-serverless", LakeError)
        architecture = self._architecture(client)
        code = place.find([architecture])
        job = Job(build_request, attempt_of(context), code, client.meta.region_name, self.conf)
        messages = KeptMessages(S3Messages(place, job.attempt, aws.client("s3", LakeError)))
        pipes = _Client(client, job, messages)
        request = request_of(job, self.application, self.role)
        return await_answer(
            lambda: pipes.run(context=context, start_job_run_params=request, extras=build_request.as_json()),
            messages,
        )

    def examine(self) -> str:
        """How the application stands. Raises LakeError where no job can be started."""
        client = aws.client("emr-serverless", LakeError)
        code = open_code(self.code).find([self._architecture(client)])
        return f"application {self.application} answers, and jobs run from {code.archive}"

    def _architecture(self, client: Any) -> str:
        """The processor of the application's workers. Raises LakeError where jobs cannot run on it."""
        what = f"the EMR Serverless application {self.application} (SCX_SPARK_APPLICATION)"
        with translate_errors(f"see {what}"):
            application = client.get_application(applicationId=self.application)["application"]
        reason = unfit(application)
        if reason:
            raise LakeError(f"{what} {reason}; nothing was changed")
        return "arm64" if application.get("architecture") == "ARM64" else "x86_64"


def unfit(application: Mapping[str, Any]) -> str | None:
    """Why no job can run on an application that AWS describes so, and what to do; None where one can."""
    state, release = application["state"], application.get("releaseLabel", "")
    if application.get("type", "Spark").lower() != "spark":
        return f"is one of {application['type']}: make one of Spark (scx cloud create emr-serverless)"
    if state == "TERMINATED":
        return "was deleted: make another (scx cloud create emr-serverless), and set SCX_SPARK_APPLICATION"
    if state != "STARTED" and not application.get("autoStartConfiguration", {}).get("enabled", True):
        return f"is {state}: {_START}"
    found = re.match(r"emr-(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) < OLDEST and "imageConfiguration" not in application:
        return f"is of {release}, which has no Python 3.11: take emr-{OLDEST[0]}.{OLDEST[1]}.0 or newer"
    return None


def request_of(job: Job, application: str, role: str) -> dict[str, Any]:
    """What StartJobRun is asked, but for what Pipes tells the driver."""
    streams = ["STDERR", "STDOUT"]
    conf = {
        "spark.archives": job.archive,
        **SIZES,
        **job.environment("spark.emr-serverless.driverEnv", {}),
        **job.conf,
    }
    return {
        "applicationId": application,
        "executionRoleArn": role,
        "clientToken": job.token,
        "name": job.name,
        "tags": job.tags,
        "executionTimeoutMinutes": LONGEST,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": job.code.entry,
                "sparkSubmitParameters": " ".join(settings_text(conf)),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {
                "cloudWatchLoggingConfiguration": {
                    "enabled": True,
                    "logGroupName": LOG_GROUP,
                    "logTypes": {"SPARK_DRIVER": streams},
                }
            }
        },
    }


def failure(run: Mapping[str, Any]) -> str:
    """What a job run that ended badly tells, in one line."""
    reason = in_one_line(run.get("stateDetails"))
    advice = next((f": {advice}" for sign, advice in _ENDINGS if sign in reason), "")
    return (
        f"the job run {run['jobRunId']} of EMR Serverless is {run['state']}: {reason}{advice}; its log is in CloudWatch, {LOG_GROUP}, "
        f"/applications/{run['applicationId']}/jobs/{run['jobRunId']}; `scx lake status` tells what stands"
    )


class _Client(PipesEMRServerlessClient):
    """Dagster's, with what it does not do: AWS's refusals in one line, states as they change, and messages by S3.

    Its own way of waiting also writes the address of Spark's page into the log, with which anybody may open it for an hour.
    """

    def __init__(self, client: Any, job: Job, messages: KeptMessages) -> None:
        super().__init__(client=client, message_reader=messages, poll_interval=LOOK)
        self.job = job

    def _enrich_start_params(self, context: Any, session: Any, params: Any) -> Any:
        enriched = super()._enrich_start_params(context, session, params)
        return {**enriched, "tags": {name: tag_text(value) for name, value in enriched["tags"].items()}}

    def _start(self, context: Any, params: Any) -> Any:
        with translate_errors(f"start a job on the EMR Serverless application {params['applicationId']}"):
            response = self.client.start_job_run(**params)
        context.log.info(f"EMR Serverless: the job run {response['jobRunId']} is started")
        return response

    def _wait_for_completion(self, context: Any, start_response: Any) -> Any:
        run, state = start_response["jobRunId"], None
        asked = {"applicationId": start_response["applicationId"], "jobRunId": run}
        while state not in OVER:
            if state is not None:
                time.sleep(self.poll_interval)
            with translate_errors(f"see the job run {run}, which may still be at work"):
                response = self.client.get_job_run(**asked)
            if response["jobRun"]["state"] != state:
                state = response["jobRun"]["state"]
                context.log.info(f"EMR Serverless: the job run {run} is {state}")
        if state != "SUCCESS":
            raise LakeError(failure(response["jobRun"]))
        return response

    def _read_messages(self, context: Any, session: Any, response: Any) -> None:
        """Nothing to do: they come by S3 while the job runs."""

    def _terminate(self, context: Any, start_response: Any) -> None:
        with translate_errors(f"cancel the job run {start_response['jobRunId']}, which is still at work"):
            super()._terminate(context, start_response)
