"""Spark jobs on EMR Serverless, through Dagster Pipes: starting a job, following it, reading its result, explaining its failure.

The request of a job and the creation of the application do not belong here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
from dagster_aws.pipes import PipesEMRServerlessClient, PipesS3MessageReader
from dagster_pipes import PipesParams

from scx_pipeline import aws
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.spark.code_archive import MESSAGES, SETTING, CodeFolder, open_code
from scx_pipeline.orchestration.spark.emr_serverless_job import (
    LOG_GROUP,
    Job,
    start_job_run_request,
    tag_text,
)
from scx_pipeline.orchestration.spark.pipes import MessageRecorder

STATE_POLL_SECONDS = 5.0
MESSAGE_POLL_SECONDS = 3.0  # a job writes messages every ten seconds
FINAL_STATES = ("SUCCESS", "FAILED", "CANCELLED", "CANCELLING")
OLDEST_RELEASE = (7, 1)  # the first EMR release with a Python that this project runs on
_QUOTA = (
    "raise the quota `Max concurrent vCPUs per account` of EMR Serverless in AWS's Service Quotas, raise the application's max_vcpu, "
    "or lower what a job uses (SCX_SPARK_CONF=spark.dynamicAllocation.maxExecutors=2)"
)
_ROLE = "check SCX_SPARK_ROLE, and let this user or role pass it (iam:PassRole): docs/emr.md"
_START = "start it (aws emr-serverless start-application), or enable its automatic start"
_RIGHTS = "give the role (SCX_SPARK_ROLE) the rights that docs/emr.md lists"
# Text in AWS's message → what to do, for a refused request and for a failed job run. The first match counts.
_REQUEST_ADVICE = (
    ("PassRole", _ROLE),
    ("execution role", _ROLE),
    ("Quota", _QUOTA),
    ("vCPU", _QUOTA),
    ("ResourceNotFound", "check SCX_SPARK_APPLICATION and AWS_REGION; `scx cloud status emr-serverless` shows what exists"),
    ("not in STARTED", _START),
)  # fmt: skip
_FAILURE_ADVICE = (
    ("Quota", _QUOTA),
    ("quota", _QUOTA),
    ("capacity", _QUOTA),
    ("vCPU", _QUOTA),
    ("AccessDenied", _RIGHTS),
    ("not authorized", _RIGHTS),
    ("OutOfMemory", "give it more memory: SCX_SPARK_CONF=spark.executor.memoryOverhead=11g, or spark.driver.memory"),
    ("137", "it was killed, probably for lack of memory: SCX_SPARK_CONF=spark.driver.memoryOverhead=9g, or more"),
    ("No module named", "the archive does not match these workers: run `scx lake package` for their Python and processor"),
    ("python3", "EMR's image has another Python: use `scx lake package --python`, or release emr-7.1.0 or newer"),
    ("timed out", "build fewer months at a time: --from and --to"),
)  # fmt: skip
translate_errors = partial(aws.translate_aws_errors, kind=LakeError, advice=_REQUEST_ADVICE)


@dataclass(frozen=True)
class EMRServerless:
    """An application, the role of its jobs, and where the jobs' code is."""

    application: str
    role: str
    code: str
    conf: Mapping[str, str]

    def run(self, context: dg.AssetExecutionContext, request: BuildRequest) -> BuildResult:
        """Run a job and wait for its result.

        Raises:
            LakeError: If the job cannot start, or ends without a result.
        """
        folder, client = open_code(self.code), aws.create_client("emr-serverless", LakeError)
        code = folder.find([self._architecture(client)])
        job = Job(request, _attempt(context), code, client.meta.region_name, self.conf)
        messages = MessageRecorder(_S3Messages(folder, job.attempt, aws.create_client("s3", LakeError)))
        job_run: Any = start_job_run_request(job, self.application, self.role)
        failed = None
        try:
            _Client(client, messages).run(
                context=context, start_job_run_params=job_run, extras=request.as_json()
            )
        except LakeError as error:
            failed = error
        result = messages.result()  # a result explains a failure better than AWS's message does
        if result is None:
            raise failed or LakeError(
                f"the Spark job succeeded, but its result was not found below {SETTING}: let this user or role list and read it, and "
                "the job's role write its messages (docs/emr.md); `scx lake status` shows what was built"
            )
        return result

    def examine(self) -> str:
        """Describe what jobs would run on, without starting one.

        Raises:
            LakeError: If a job could not be started.
        """
        client = aws.create_client("emr-serverless", LakeError)
        code = open_code(self.code).find([self._architecture(client)])
        return f"application {self.application} answers, and jobs run from {code.archive}"

    def _architecture(self, client: Any) -> str:
        """Return the processor architecture of the application's workers. Raises LakeError if the application cannot run jobs."""
        what = f"the EMR Serverless application {self.application} (SCX_SPARK_APPLICATION)"
        with translate_errors(f"describe {what}"):
            application = client.get_application(applicationId=self.application)["application"]
        reason = unusable_reason(application)
        if reason:
            raise LakeError(f"{what} {reason}; nothing was changed")
        return "arm64" if application.get("architecture") == "ARM64" else "x86_64"


def unusable_reason(application: Mapping[str, Any]) -> str | None:
    """Explain why an application cannot run jobs, and what to do.

    Args:
        application: The response of GetApplication.

    Returns:
        A predicate to follow the application's name, or None if it can run jobs.
    """
    state, release = application["state"], application.get("releaseLabel", "")
    if application.get("type", "Spark").lower() != "spark":
        return f"is of type {application['type']}: create one of type Spark (scx cloud create emr-serverless)"
    if state == "TERMINATED":
        return "was deleted: create another (scx cloud create emr-serverless), and set SCX_SPARK_APPLICATION"
    if state != "STARTED" and not application.get("autoStartConfiguration", {}).get("enabled", True):
        return f"is {state}: {_START}"
    found = re.match(r"emr-(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) < OLDEST_RELEASE and "imageConfiguration" not in application:
        oldest = "emr-{}.{}.0".format(*OLDEST_RELEASE)
        return f"has release {release}, which has no Python 3.11: use {oldest} or newer"
    return None


def failure_message(run: Mapping[str, Any]) -> str:
    """Explain in one line why a job run failed.

    Args:
        run: The response of GetJobRun.
    """
    details = " ".join((run.get("stateDetails") or "").split())[:400].rstrip(" .") or "AWS gave no reason"
    advice = next((f": {advice}" for sign, advice in _FAILURE_ADVICE if sign in details), "")
    return (
        f"the job run {run['jobRunId']} of EMR Serverless is {run['state']}: {details}{advice}; its log is in CloudWatch, {LOG_GROUP}, "
        f"/applications/{run['applicationId']}/jobs/{run['jobRunId']}; `scx lake status` shows what was built"
    )


def _attempt(context: dg.AssetExecutionContext) -> str:
    """Return a unique name for this attempt of the step, usable as a folder."""
    return f"{context.run_id}/{context.op_execution_context.op.name}-{context.retry_number}"


class _S3Messages(PipesS3MessageReader):
    """Dagster's reader with a fixed prefix instead of a random one: AWS accepts a repeated request only if it is identical."""

    def __init__(self, folder: CodeFolder, attempt: str, client: Any) -> None:
        super().__init__(bucket=folder.bucket, client=client, interval=MESSAGE_POLL_SECONDS)
        self.prefix = folder.key(f"{MESSAGES}/{attempt}")

    @contextmanager
    def get_params(self) -> Iterator[PipesParams]:
        with super().get_params() as params:
            yield {**params, "key_prefix": self.prefix}


class _Client(PipesEMRServerlessClient):
    """Dagster's client, with AWS's errors in one line, a log line per change of state, and messages read from S3.

    Dagster's own wait logs a link to Spark's page, which lets anyone who reads the log open that page for an hour.
    """

    def __init__(self, client: Any, messages: MessageRecorder) -> None:
        super().__init__(client=client, message_reader=messages, poll_interval=STATE_POLL_SECONDS)

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
        key = {"applicationId": start_response["applicationId"], "jobRunId": run}
        while state not in FINAL_STATES:
            if state is not None:
                time.sleep(self.poll_interval)
            with translate_errors(f"get the state of job run {run}, which may still be running"):
                response = self.client.get_job_run(**key)
            if response["jobRun"]["state"] != state:
                state = response["jobRun"]["state"]
                context.log.info(f"EMR Serverless: the job run {run} is {state}")
        if state != "SUCCESS":
            raise LakeError(failure_message(response["jobRun"]))
        return response

    def _read_messages(self, context: Any, session: Any, response: Any) -> None:
        """Do nothing: messages arrive through S3 while the job runs."""

    def _terminate(self, context: Any, start_response: Any) -> None:
        with translate_errors(f"cancel job run {start_response['jobRunId']}, which is still running"):
            super()._terminate(context, start_response)
