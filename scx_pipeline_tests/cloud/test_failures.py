"""What a user sees when AWS refuses, an operation fails or was interrupted, or a stack is not ours.
Answers that moto does not give come from botocore's Stubber, which checks them against AWS's models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber
from moto.cloudformation.models import Event, cloudformation_backends
from moto.emrserverless.models import emrserverless_backends

from scx_pipeline import aws
from scx_pipeline.cloud import services, stacks
from scx_pipeline.cloud.services import Application, change_cluster, pipeline_settings
from scx_pipeline.cloud.stacks import CloudError, Stack, Stacks
from scx_pipeline.cloud.templates import complete_parameters, load_template
from scx_pipeline_tests.cloud.conftest import Cloud, stack_names, stack_of

NAME = "scx-redshift-serverless"
ARN = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{NAME}/1"
NOW = datetime(2026, 11, 26, tzinfo=UTC)
PLACES = ("--bucket", "s3://scx-logs", "--lake", "s3://scx-lake/stars")
TEMPLATE = load_template("redshift-serverless")
VALUES = complete_parameters(TEMPLATE, {"Bucket": "s3://scx-logs"})
EMR = "emr-serverless"
ROLE = "arn:aws:iam::123456789012:role/scx"


class Answers:
    """Answers to requests, in their order; the messages reported so far."""

    def __init__(self, stubber: Stubber) -> None:
        self.stubber, self.messages = stubber, list[str]()
        self.stacks = Stacks(None, self.messages.append)

    def stack(self, status: str, **facts: Any) -> None:
        found = {"StackName": NAME, "StackId": ARN, "StackStatus": status, "CreationTime": NOW}
        tags = {"Tags": [{"Key": "scx_pipeline", "Value": "scx"}]}
        self.stubber.add_response("describe_stacks", {"Stacks": [{**found, **tags, **facts}]})

    def events(self, *events: tuple[str, str, str]) -> None:
        """The events of an operation, the oldest first: logical ID, status, reason."""
        first = (NAME, "CREATE_IN_PROGRESS", "User Initiated")
        found = [
            {
                "EventId": f"{name} {status}", "StackId": ARN, "StackName": NAME, "LogicalResourceId": name,
                "PhysicalResourceId": ARN if name == NAME else name, "ResourceStatus": status,
                "ResourceType": "AWS::CloudFormation::Stack" if name == NAME else f"AWS::RedshiftServerless::{name}",
                "Timestamp": NOW + timedelta(seconds=number), "ResourceStatusReason": reason,
            }
            for number, (name, status, reason) in enumerate((("Old", "CREATE_FAILED", "long ago"), first, *events))
        ]  # fmt: skip
        self.stubber.add_response("describe_stack_events", {"StackEvents": found[::-1]}, {"StackName": ARN})

    def takes(self, operation: str, answer: dict[str, Any] | None = None) -> None:
        self.stubber.add_response(operation, answer or {})

    def refuses(self, operation: str, code: str, message: str) -> None:
        self.stubber.add_client_error(operation, code, message)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    client = boto3.client("cloudformation")
    with monkeypatch.context() as patch, Stubber(client) as stubber:
        patch.setattr(stacks, "create_client", lambda name, region: client)
        yield Answers(stubber)
        stubber.assert_no_pending_responses()


@pytest.fixture
def emr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("emr-serverless")
    with monkeypatch.context() as patch, Stubber(client) as stubber:
        patch.setattr(services, "create_client", lambda name, region: client)
        yield stubber
        stubber.assert_no_pending_responses()


def moto_stack(name: str) -> Any:
    """moto's own stack, to put it into a state that moto never reaches."""
    return next(
        item
        for item in cloudformation_backends["123456789012"]["eu-west-1"].stacks.values()
        if item.name == name
    )


def fail_creation(status: str) -> None:
    stack = moto_stack("scx-redshift-provisioned")
    reason = "The requested node type is not available (Status Code: 400)"
    event = ("Cluster", "scx", "AWS::Redshift::Cluster", "CREATE_FAILED", reason)
    stack.events.append(Event(stack.stack_id, stack.name, *event, None))
    stack.status = status


def test_stack_of_others_is_neither_shown_changed_nor_deleted(cloud: Cloud) -> None:
    body = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    for tag in ({"Key": "team", "Value": "data"}, {"Key": "scx_pipeline", "Value": "another"}):
        client = boto3.client("cloudformation")
        client.create_stack(StackName="scx-redshift-provisioned", TemplateBody=body, Tags=[tag])
        for command in (
            ("create", *PLACES, "--yes"),
            ("status",),
            ("url",),
            ("pause",),
            ("destroy", "--yes"),
        ):
            done = cloud(command[0], "redshift-provisioned", *command[1:])
            assert isinstance(done.exception, CloudError)
            assert (
                "was not created by `scx cloud` (it has no tag scx_pipeline=scx): use another --name"
                in str(done.exception)
            )
        assert stack_of("scx-redshift-provisioned")["StackStatus"] == "CREATE_COMPLETE"
        client.delete_stack(StackName="scx-redshift-provisioned")


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"])
def test_create_after_a_failure_says_why_deletes_and_creates(cloud: Cloud, status: str) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    fail_creation(status)
    before = stack_of("scx-redshift-provisioned")["StackId"]
    done = cloud("create", "redshift-provisioned", *PLACES, answer="scx\nscx\n")
    assert done.exit_code == 0, done.output
    why = "Cluster (AWS::Redshift::Cluster): The requested node type is not available (Status Code: 400)"
    assert f"scx-redshift-provisioned is {status}: {why}" in done.stdout
    assert "to delete scx-redshift-provisioned" in done.stdout
    after = stack_of("scx-redshift-provisioned")
    assert (after["StackStatus"], after["StackId"] == before) == ("CREATE_COMPLETE", False)


def test_create_after_a_failure_not_confirmed_deletes_nothing(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    fail_creation("ROLLBACK_COMPLETE")
    cloud("create", "redshift-provisioned", *PLACES, answer="no\n")
    assert stack_of("scx-redshift-provisioned")["StackStatus"] == "ROLLBACK_COMPLETE"


def test_create_that_fails_names_the_resource_and_the_reason(answers: Answers) -> None:
    cancelled = ("Role", "CREATE_FAILED", "Resource creation cancelled")
    cause = ("Workgroup", "CREATE_FAILED", "No room. (Service: RedshiftServerless)")
    answers.takes("create_stack", {"StackId": ARN})
    answers.stack("CREATE_IN_PROGRESS")
    answers.events(("Workgroup", "CREATE_IN_PROGRESS", ""))
    answers.stack("ROLLBACK_COMPLETE")
    end = (NAME, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed")
    answers.events(("Workgroup", "CREATE_IN_PROGRESS", ""), cause, cancelled, end)
    with pytest.raises(CloudError) as caught:
        answers.stacks.create(NAME, "scx", TEMPLATE, VALUES)
    assert str(caught.value) == (
        f"the stack {NAME} is ROLLBACK_COMPLETE: "
        "Workgroup (AWS::RedshiftServerless::Workgroup): No room. (Service: RedshiftServerless)"
    )


def test_events_reported_once_in_their_order_and_of_this_operation_only(answers: Answers) -> None:
    started, ended = ("Namespace", "CREATE_IN_PROGRESS", ""), ("Namespace", "CREATE_COMPLETE", "")
    answers.takes("create_stack", {"StackId": ARN})
    for status, events in (("CREATE_IN_PROGRESS", [started]), ("CREATE_COMPLETE", [started, ended])):
        answers.stack(status)
        answers.events(*events)
    answers.stacks.create(NAME, "scx", TEMPLATE, VALUES)
    assert answers.messages == [
        f"{NAME} (AWS::CloudFormation::Stack): CREATE_IN_PROGRESS",
        "Namespace (AWS::RedshiftServerless::Namespace): CREATE_IN_PROGRESS",
        "Namespace (AWS::RedshiftServerless::Namespace): CREATE_COMPLETE",
    ]


@pytest.mark.parametrize(("end", "is_left"), [("CREATE_COMPLETE", True), ("DELETE_COMPLETE", False)])
def test_find_settled_waits_for_an_interrupted_operation(answers: Answers, end: str, is_left: bool) -> None:
    answers.stack("CREATE_IN_PROGRESS")  # found by its name
    answers.stack("CREATE_IN_PROGRESS")
    answers.events()
    answers.stack(end)
    answers.events()
    found = answers.stacks.find_settled(NAME, "scx")
    assert (found is not None and found.status == end) is is_left


def test_delete_that_fails_names_the_resource_and_the_reason(answers: Answers) -> None:
    answers.takes("delete_stack")
    answers.stack("DELETE_FAILED")
    answers.events(("PipelinePolicy", "DELETE_FAILED", "Cannot delete a policy attached to entities."))
    with pytest.raises(
        CloudError, match=r"is DELETE_FAILED: PipelinePolicy .*: Cannot delete a policy attached"
    ):
        answers.stacks.delete(Stack(ARN, NAME, "CREATE_COMPLETE", {}, {}, {}))


def test_update_without_changes_returns_the_stack(answers: Answers) -> None:
    stack = Stack(ARN, NAME, "CREATE_COMPLETE", {}, VALUES, {})
    answers.refuses("update_stack", "ValidationError", "No updates are to be performed.")
    assert answers.stacks.update(stack, dict(VALUES), TEMPLATE) == stack


def test_update_that_aws_refuses_is_one_message(answers: Answers) -> None:
    answers.refuses(
        "update_stack", "ValidationError", "Stack is in DELETE_FAILED state and can not be updated."
    )
    with pytest.raises(CloudError, match=f"cannot update the stack {NAME}: Stack is in DELETE_FAILED state"):
        answers.stacks.update(Stack(ARN, NAME, "DELETE_FAILED", {}, {}, {}), {"FinalSnapshot": "false"})


def test_status_in_progress_is_shown_without_waiting(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    moto_stack("scx-redshift-provisioned").status = "UPDATE_IN_PROGRESS"
    assert "scx-redshift-provisioned: UPDATE_IN_PROGRESS" in cloud("status", "redshift-provisioned").stdout


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        (
            "AccessDenied",
            "Not authorized to perform: cloudformation:CreateStack",
            "let this user .*docs/emr.md",
        ),
        ("ExpiredToken", "The security token included in the request is expired", "log in to AWS again"),
        ("LimitExceededException", "Too many stacks.", "check the account's quotas, or request less"),
    ],
)
def test_refusal_of_aws_is_one_line_with_what_to_do(
    answers: Answers, code: str, message: str, advice: str
) -> None:
    answers.refuses("create_stack", code, message)
    with pytest.raises(CloudError, match=f"cannot create the stack {NAME}: {message}: {advice}") as caught:
        answers.stacks.create(NAME, "scx", TEMPLATE, VALUES)
    assert "\n" not in str(caught.value)


def test_missing_credentials_say_how_to_log_in(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    done = cloud("status", "emr-serverless")
    assert isinstance(done.exception, CloudError)
    assert "cannot describe the stack scx-emr-serverless: there are no credentials: log in" in str(
        done.exception
    )


def test_each_client_has_the_credentials_of_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon lives longer than keys do, and the tests of one process have several stores."""

    def signed() -> str:
        client = aws.create_client("s3", CloudError)
        return str(client.generate_presigned_url("list_objects_v2", Params={"Bucket": "logs"}))

    for key in ("AKIAFIRST", "AKIASECOND"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert key in signed()


def test_client_region_is_the_given_one_then_aws_region_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert aws.create_client("redshift", CloudError).meta.region_name == "eu-west-1"  # of AWS_DEFAULT_REGION
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert aws.create_client("redshift", CloudError).meta.region_name == "us-west-2"
    assert aws.create_client("redshift", CloudError, "us-east-1").meta.region_name == "us-east-1"


def test_client_without_a_region_or_with_an_unknown_profile_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(
        CloudError, match="cannot create an AWS client for cloudformation: .*region.*; set AWS_REGION"
    ):
        aws.create_client("cloudformation", CloudError)
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(CloudError, match="cannot create an AWS client for cloudformation: .*absent"):
        aws.create_client("cloudformation", CloudError)


def test_settings_of_a_stack_without_outputs_refused() -> None:
    stack = Stack(ARN, NAME, "ROLLBACK_COMPLETE", {}, VALUES, {})
    with pytest.raises(CloudError, match="is ROLLBACK_COMPLETE and has no outputs: run `scx cloud create`"):
        pipeline_settings(Stacks(None, print), stack)


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


def test_stop_application_started_stops_it_and_waits(emr: Stubber) -> None:
    expect_runs(emr)
    expect_runs(emr)
    for state in ("STARTING", "STARTED"):
        expect_state(emr, state)
    emr.add_response("stop_application", {}, {"applicationId": "00abc"})
    for state in ("STOPPING", "STOPPED"):
        expect_state(emr, state)
    application(messages := []).stop()
    assert messages == ["application 00abc is STOPPED"]


def test_stop_application_with_job_runs_refused_and_nothing_changed(emr: Stubber) -> None:
    expect_runs(emr, ("00run", "RUNNING"))
    with pytest.raises(CloudError, match=r"not ended \(00run RUNNING\).*--force`; nothing was changed"):
        application([]).stop()


def test_stop_application_cancel_cancels_job_runs_and_waits_for_them(emr: Stubber) -> None:
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


def test_stop_application_that_aws_refuses_is_one_message(emr: Stubber) -> None:
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


def expect_clusters(stubber: Stubber, *states: str) -> None:
    for state in states:
        answer = {"Clusters": [{"ClusterIdentifier": "scx", "ClusterStatus": state}]}
        stubber.add_response("describe_clusters", answer, {"ClusterIdentifier": "scx"})


@pytest.fixture
def redshift(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("redshift")
    with monkeypatch.context() as patch, Stubber(client) as stubber:
        patch.setattr(services, "create_client", lambda name, region: client)
        yield stubber
        stubber.assert_no_pending_responses()


def test_pause_cluster_waits_until_it_is_paused(redshift: Stubber) -> None:
    expect_clusters(redshift, "available")
    redshift.add_response("pause_cluster", {}, {"ClusterIdentifier": "scx"})
    expect_clusters(redshift, "available", "pausing", "paused")
    messages: list[str] = []
    change_cluster(Stacks(None, messages.append), "scx", "pause")
    assert messages == ["cluster scx is paused"]


def test_resume_cluster_in_another_state_refused(redshift: Stubber) -> None:
    expect_clusters(redshift, "modifying", "modifying")
    with pytest.raises(CloudError, match="cannot resume the cluster scx while it is modifying"):
        change_cluster(Stacks(None, print), "scx", "resume")
