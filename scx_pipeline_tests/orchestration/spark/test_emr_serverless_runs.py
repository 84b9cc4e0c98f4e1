"""Runs of the lake on EMR Serverless whose job cannot start, fails or is cancelled. AWS is simulated, S3 is real.

Jobs are not executed here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import obstore
import pytest
from dagster._core.pipes import utils as pipes
from dagster_pipes import decode_param

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.lake.spark.code_archive import names_of, open_code
from scx_pipeline.lake.spark.package import WorkerPlatform
from scx_pipeline.orchestration.execute import RunOutcome
from scx_pipeline.orchestration.spark import emr_serverless
from scx_pipeline.settings import Settings
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline_tests.orchestration.assets.test_lake_assets import build
from scx_pipeline_tests.orchestration.spark.test_emr_serverless_job import conf_of
from scx_pipeline_tests.support.load_env import MARCH, LoadEnv
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv
from scx_pipeline_tests.support.servers.aws import APPLICATION, ROLE, Service, play, refusal

NOW = datetime(2026, 11, 26, tzinfo=UTC)
ARN = f"arn:aws:emr-serverless:us-east-1:123456789012:/applications/{APPLICATION}"
RUN = {"applicationId": APPLICATION, "jobRunId": "00run", "arn": f"{ARN}/jobruns/00run"}
FACTS = {
    "createdBy": "arn:aws:iam::123456789012:user/anna", "createdAt": NOW, "updatedAt": NOW, "executionRole": ROLE,
    "releaseLabel": "emr-7.12.0", "jobDriver": {"sparkSubmit": {"entryPoint": "s3://code/job.py"}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emr_serverless, "STATE_POLL_SECONDS", 0.0)
    monkeypatch.setattr(pipes, "WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", -1)


@pytest.fixture
def aws_env(dagster_env: DagsterEnv, s3_bucket: str) -> DagsterEnv:
    """A Dagster environment with bucket, lake and code in S3, whose lake is built by EMR Serverless."""
    settings = {
        "bucket_url": f"{s3_bucket}/logs",
        "lake_url": f"{s3_bucket}/lake",
        "spark": "emr-serverless",
        "spark_application": APPLICATION,
        "spark_role": ROLE,
        "spark_code": f"{s3_bucket}/code",
    }
    dagster_env.settings = Settings.model_validate({**dagster_env.settings.model_dump(), **settings})
    dagster_env.load_env = LoadEnv(f"{s3_bucket}/logs", dagster_env.load_env.warehouse_url)
    for name in names_of(WorkerPlatform()):
        obstore.put(open_s3(s3_bucket.removeprefix("s3://"), "code"), name, b"")
    return dagster_env


def answering(**facts: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda params: facts


def application(**facts: Any) -> dict[str, Any]:
    known = {
        "applicationId": APPLICATION, "arn": ARN, "releaseLabel": "emr-7.12.0", "type": "Spark", "state": "CREATED",
        "createdAt": NOW, "updatedAt": NOW, "architecture": "X86_64", "autoStartConfiguration": {"enabled": True},
    }  # fmt: skip
    return {"application": {**known, **facts}}


def states(*names: str, details: str = "as it says") -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a handler of GetJobRun that returns these states one after the other, and then always the last."""
    left: Iterator[str] = iter(names)

    def look(params: Mapping[str, Any]) -> dict[str, Any]:
        return {"jobRun": {**RUN, **FACTS, "state": next(left, names[-1]), "stateDetails": details}}

    return look


@pytest.fixture
def serverless(monkeypatch: pytest.MonkeyPatch) -> Service:
    """An application that accepts a job, which fails without a result by default."""
    service = Service("emr-serverless")
    service.answers = {
        "GetApplication": answering(**application()),
        "StartJobRun": answering(**RUN),
        "GetJobRun": states("SUBMITTED", "PENDING", "RUNNING", "FAILED", details="ExitCode: 137"),
    }
    play(service, monkeypatch)
    return service


def assert_failed(outcome: RunOutcome, message: str) -> None:
    assert not outcome.success
    error = str(outcome.error)
    assert message in error
    assert "\n" not in error


def test_run_of_a_job_that_fails_logs_each_state_and_ends_with_one_line(
    aws_env: DagsterEnv, serverless: Service
) -> None:
    outcome = build(aws_env, MARCH)
    assert_failed(
        outcome,
        "the job run 00run of EMR Serverless is FAILED: ExitCode: 137: it was killed, probably for lack of memory",
    )
    lines = [line for line in aws_env.messages if line.startswith("EMR Serverless: the job run 00run is ")]
    assert [line.rpartition(" ")[2] for line in lines] == [
        *("started", "SUBMITTED", "PENDING", "RUNNING", "FAILED"),
    ]


def test_run_requests_the_packaged_code_and_the_prefix_of_its_messages(
    aws_env: DagsterEnv, serverless: Service
) -> None:
    outcome = build(aws_env, MARCH)
    [request] = serverless.requests("StartJobRun")
    archive, entry = names_of(WorkerPlatform())
    spark = request["jobDriver"]["sparkSubmit"]
    assert spark["entryPoint"] == f"{aws_env.settings.spark_code}/{entry}"
    conf = conf_of(spark["sparkSubmitParameters"].split(" "))
    assert conf["spark.archives"] == f"{aws_env.settings.spark_code}/{archive}#environment"
    of_pipes = {name: value for name, value in conf.items() if "DAGSTER_PIPES" in name}
    assert {name.rpartition(".")[0] for name in of_pipes} == {"spark.emr-serverless.driverEnv"}
    context, messages = (decode_param(of_pipes[name]) for name in sorted(of_pipes))
    order = BuildRequest.parse(context["data"]["extras"])
    assert (order.lake, str(order.scope), order.run_id) == (aws_env.settings.lake, MARCH, outcome.run_id)
    assert messages["bucket"] == aws_env.settings.spark_code.split("/")[2]
    assert messages["key_prefix"] == f"code/messages/{outcome.run_id}/scx_lake-0"
    assert request["tags"]["dagster/run-id"] == outcome.run_id
    assert (request["tags"]["star"], request["tags"]["months"]) == ("scx", MARCH)


def test_run_of_a_failed_job_with_a_result_shows_the_result_and_not_the_reason_of_aws(
    aws_env: DagsterEnv, serverless: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 60)

    def send_messages(params: Mapping[str, Any]) -> dict[str, Any]:
        [request] = serverless.requests("StartJobRun")
        conf = conf_of(request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"].split(" "))
        where = decode_param(conf["spark.emr-serverless.driverEnv.DAGSTER_PIPES_MESSAGES"])
        payload = BuildResult(None, "2021/03/a.csv, line 2: no job").as_json()
        lines = [
            {"__dagster_pipes_version": "0.1", "method": method, "params": params}
            for method, params in (
                ("opened", {"extras": {}}),
                ("log", {"message": "44 checks in 1 s", "level": "INFO"}),
                ("report_custom_message", {"payload": payload}),
                ("closed", {}),
            )
        ]
        text = "\n".join(json.dumps(line) for line in lines)
        obstore.put(open_s3(where["bucket"], where["key_prefix"]), "1.json", text.encode())
        return states("FAILED", details="ExitCode: 1")(params)

    serverless.answers["GetJobRun"] = send_messages
    outcome = build(aws_env, MARCH)
    assert_failed(outcome, "2021/03/a.csv, line 2: no job")
    assert "00run" not in str(outcome.error)
    assert "44 checks in 1 s" in aws_env.messages


def test_run_of_a_job_that_succeeded_without_a_result_fails_with_advice(
    aws_env: DagsterEnv, serverless: Service
) -> None:
    serverless.answers["GetJobRun"] = states("SUCCESS")
    assert_failed(build(aws_env, MARCH), "succeeded, but its result was not found below SCX_SPARK_CODE")


DENIED = f"User: arn:aws:iam::123456789012:user/anna is not authorized to perform: iam:PassRole on resource: {ROLE}"
REFUSED = {
    "absent": ("GetApplication", "ResourceNotFoundException", "Application 00f1abc does not exist", "check SCX_SPARK_APPLICATION and AWS_REGION"),
    "no right": ("GetApplication", "AccessDeniedException", "no", "let this user or role call it"),
    "role": ("StartJobRun", "AccessDeniedException", DENIED, "check SCX_SPARK_ROLE, and let this user or role pass it (iam:PassRole)"),
    "quota": ("StartJobRun", "ServiceQuotaExceededException", "The account has reached its limit", "raise the quota `Max concurrent vCPUs"),
    "stopped": ("StartJobRun", "ValidationException", "Application is not in STARTED state", "start it (aws emr-serverless start-application)"),
    "gone": ("GetJobRun", "ExpiredTokenException", "The token is old", "get the state of job run 00run, which may still be running: The token is old: log in"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_run_that_aws_refuses_fails_with_one_line_and_advice(
    name: str, aws_env: DagsterEnv, serverless: Service
) -> None:
    operation, code, message, expected = REFUSED[name]
    serverless.answers[operation] = refusal(code, message)
    assert_failed(build(aws_env, MARCH), expected)


def test_run_on_an_application_that_cannot_start_sends_no_request(
    aws_env: DagsterEnv, serverless: Service
) -> None:
    serverless.answers["GetApplication"] = answering(
        **application(state="STOPPED", autoStartConfiguration={"enabled": False})
    )
    assert_failed(build(aws_env, MARCH), "00f1abc (SCX_SPARK_APPLICATION) is STOPPED: start it")
    assert serverless.requests("StartJobRun") == []


def test_run_without_an_archive_for_the_processor_of_the_application_fails_with_advice(
    aws_env: DagsterEnv, serverless: Service
) -> None:
    serverless.answers["GetApplication"] = answering(**application(architecture="ARM64"))
    assert_failed(
        build(aws_env, MARCH),
        "/code has no archive of this version for arm64: run `scx lake package --architecture arm64`; nothing was changed",
    )


def test_find_code_without_the_permission_to_list_says_so(
    aws_env: DagsterEnv, serverless: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(
        LakeError,
        match=r"cannot list s3://.*/code/ \(SCX_SPARK_CODE\): SignatureDoesNotMatch: .*AWS_SECRET_ACCESS_KEY",
    ) as caught:
        open_code(aws_env.settings.spark_code).find()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("act", ["find", "put"])
def test_code_in_a_missing_bucket_is_named(act: str, s3_bucket: str) -> None:
    folder = open_code("s3://scx-nowhere/code")
    with pytest.raises(
        LakeError, match=r"cannot list s3://scx-nowhere/code/ .*: there is no such bucket: check its name"
    ):
        folder.find() if act == "find" else folder.put(WorkerPlatform())


def test_run_that_is_cancelled_cancels_its_job(aws_env: DagsterEnv, serverless: Service) -> None:
    def interrupt(params: Mapping[str, Any]) -> dict[str, Any]:
        raise dg.DagsterExecutionInterruptedError  # as Dagster's handler of SIGINT and SIGTERM does

    serverless.answers["GetJobRun"] = interrupt
    serverless.answers["CancelJobRun"] = answering(applicationId=APPLICATION, jobRunId="00run")
    assert not build(aws_env, MARCH).success
    assert serverless.requests("CancelJobRun") == [{"applicationId": APPLICATION, "jobRunId": "00run"}]


def test_doctor_describes_the_application_or_why_it_cannot_run_jobs(
    aws_env: DagsterEnv, serverless: Service
) -> None:

    from scx_pipeline.services.check_list import report_checks

    found = {finding.name: finding for finding in report_checks(aws_env.settings)}["spark"]
    assert found.passed, found.found
    assert found.found.startswith(
        f"emr-serverless: application {APPLICATION} answers, and jobs run from s3://"
    )
    serverless.answers["GetApplication"] = refusal("ResourceNotFoundException", "Application does not exist")
    found = {finding.name: finding for finding in report_checks(aws_env.settings)}["spark"]
    assert not found.passed
    assert "SCX_SPARK_APPLICATION" in found.found
    assert "spark" not in {
        finding.name for finding in report_checks(aws_env.settings.model_copy(update={"spark": ""}))
    }
