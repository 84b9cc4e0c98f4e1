"""Applications and clusters of a stack: stopped, paused or resumed, and waited for, by answers of botocore's Stubber.

The Stubber checks requests and answers against AWS's models of the services; stacks are not tested here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber
from moto.emrserverless.models import emrserverless_backends

from scx_pipeline.cloud import services
from scx_pipeline.cloud.services import Application, change_cluster
from scx_pipeline.cloud.stacks import CloudError, Stacks
from scx_pipeline_tests.cloud.cloud_command import NOW, PLACES, Cloud, stack_names

EMR = "emr-serverless"
ROLE = "arn:aws:iam::123456789012:role/scx"


def stub_client(service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Yield a stub of the service's client; every response that is added to it must be used."""
    client = boto3.client(service)
    with monkeypatch.context() as patch, Stubber(client) as stubber:
        patch.setattr(services, "create_client", lambda name, region: client)
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def emr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    yield from stub_client("emr-serverless", monkeypatch)


# Applications


def expect_runs(emr: Stubber, *runs: tuple[str, str]) -> None:
    facts = {
        "applicationId": "00abc", "arn": "arn:aws:emr-serverless:eu-west-1:123456789012:/applications/00abc/jobruns/00run",
        "createdBy": ROLE, "createdAt": NOW, "updatedAt": NOW, "executionRole": ROLE, "stateDetails": "as it says",
        "releaseLabel": "emr-7.12.0",
    }  # fmt: skip
    answer = [{"id": identity, "state": state, "name": "scx 2021-01", **facts} for identity, state in runs]
    active = ["SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING"]
    emr.add_response("list_job_runs", {"jobRuns": answer}, {"applicationId": "00abc", "states": active})


def expect_state(emr: Stubber, state: str) -> None:
    answer = {
        "applicationId": "00abc", "arn": "arn:aws:emr-serverless:eu-west-1:123456789012:/applications/00abc",
        "state": state, "releaseLabel": "emr-7.12.0", "type": "Spark", "createdAt": NOW, "updatedAt": NOW,
    }  # fmt: skip
    emr.add_response("get_application", {"application": answer}, {"applicationId": "00abc"})


def application(messages: list[str]) -> Application:
    return Application("00abc", Stacks(None, messages.append))


@pytest.mark.parametrize("state", ["CREATED", "STOPPED", "TERMINATED"])
def test_stop_application_at_rest_changes_nothing(emr: Stubber, state: str) -> None:
    expect_runs(emr)
    expect_runs(emr)
    expect_state(emr, state)
    application(messages := []).stop()
    assert messages == [f"application 00abc is {state}"]


def test_stop_application_stops_a_started_one_and_waits(emr: Stubber) -> None:
    expect_runs(emr)
    expect_runs(emr)
    for state in ("STARTING", "STARTED"):
        expect_state(emr, state)
    emr.add_response("stop_application", {}, {"applicationId": "00abc"})
    for state in ("STOPPING", "STOPPED"):
        expect_state(emr, state)
    application(messages := []).stop()
    assert messages == ["application 00abc is STOPPED"]


def test_stop_application_with_job_runs_is_refused_and_changes_nothing(emr: Stubber) -> None:
    expect_runs(emr, ("00run", "RUNNING"))
    with pytest.raises(CloudError, match=r"not ended \(00run RUNNING\).*--force`; nothing was changed"):
        application([]).stop()


def test_stop_application_with_cancel_cancels_job_runs_and_waits_for_them(emr: Stubber) -> None:
    expect_runs(emr, ("00run", "RUNNING"), ("00over", "RUNNING"))
    asked = {"applicationId": "00abc", "jobRunId": "00run"}
    emr.add_response("cancel_job_run", asked, asked)
    emr.add_client_error("cancel_job_run", "ValidationException", "It is in a terminal state.")
    expect_runs(emr, ("00run", "CANCELLING"))
    expect_runs(emr)
    expect_state(emr, "STOPPED")
    application(messages := []).stop(cancel=True)
    assert messages == [
        "cancelling the job run 00run",
        "cancelling the job run 00over",
        "application 00abc is STOPPED",
    ]


def test_stop_application_that_aws_refuses_is_reported_in_one_message(emr: Stubber) -> None:
    expect_runs(emr)
    expect_runs(emr)
    expect_state(emr, "STARTED")
    emr.add_client_error("stop_application", "ValidationException", "Jobs are running.")
    with pytest.raises(CloudError, match="cannot stop the application 00abc: Jobs are running."):
        application([]).stop()


@pytest.mark.parametrize(("arguments", "is_left"), [((), True), (("--force",), False)])
def test_destroy_with_a_job_run_needs_force(cloud: Cloud, arguments: tuple[str, ...], is_left: bool) -> None:
    cloud("create", EMR, *PLACES, "--yes")
    client = boto3.client(EMR)
    [made] = client.list_applications()["applications"]
    client.start_job_run(applicationId=made["id"], clientToken="1", executionRoleArn=ROLE, name="scx 2021-01")
    [run] = emrserverless_backends["123456789012"]["eu-west-1"].job_runs[made["id"]]
    run.state = "RUNNING"
    assert re.search(rf"job run +{run.id} +RUNNING", cloud("status", EMR).stdout)
    done = cloud("destroy", EMR, *arguments, "--yes")
    assert isinstance(done.exception, CloudError) is is_left
    assert (stack_names() == ["scx-emr-serverless"]) is is_left


# Clusters


def expect_clusters(stubber: Stubber, *states: str) -> None:
    for state in states:
        answer = {"Clusters": [{"ClusterIdentifier": "scx", "ClusterStatus": state}]}
        stubber.add_response("describe_clusters", answer, {"ClusterIdentifier": "scx"})


@pytest.fixture
def redshift(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    yield from stub_client("redshift", monkeypatch)


def test_pause_cluster_waits_until_it_is_paused(redshift: Stubber) -> None:
    expect_clusters(redshift, "available")
    redshift.add_response("pause_cluster", {}, {"ClusterIdentifier": "scx"})
    expect_clusters(redshift, "available", "pausing", "paused")
    messages: list[str] = []
    change_cluster(Stacks(None, messages.append), "scx", "pause")
    assert messages == ["cluster scx is paused"]


def test_resume_cluster_in_another_state_is_refused(redshift: Stubber) -> None:
    expect_clusters(redshift, "modifying", "modifying")
    with pytest.raises(CloudError, match="cannot resume the cluster scx while it is modifying"):
        change_cluster(Stacks(None, print), "scx", "resume")
