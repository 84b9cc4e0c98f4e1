"""An EMR Serverless application: on moto, which keeps applications and roles, and against AWS's own models for what moto lacks.
What is typed and printed is in test_spark_commands.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scx_pipeline import aws
from scx_pipeline.cluster import spark, spark_application
from scx_pipeline.cluster.aws import ClusterError
from scx_pipeline.cluster.spark_application import LIVE
from scx_pipeline.cluster.spark_plan import SparkPlan, request_of
from scx_pipeline.cluster.spark_policy import job_policy, trust_policy
from scx_pipeline.errors import SettingsError

PLAN = SparkPlan(region="eu-west-1", bucket="s3://scx-logs", lake="s3://scx-lake/stars")
ARN = "arn:aws:emr-serverless:eu-west-1:123456789012:/applications/00abc"
RUN = "arn:aws:emr-serverless:eu-west-1:123456789012:/applications/00abc/jobruns/00run"
ROLE = "arn:aws:iam::123456789012:role/scx-spark-eu-west-1"
NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def said() -> list[str]:
    return []


def emr(region: str = "eu-west-1") -> Any:
    return boto3.client("emr-serverless", region_name=region)


def states(plan: SparkPlan = PLAN) -> dict[str, str | None]:
    return {part.kind: part.state for part in spark.status(plan).parts}


def applications(*wanted: str) -> list[dict[str, Any]]:
    return list(emr().list_applications(states=list(wanted or LIVE))["applications"])


# On moto


def test_create_makes_an_application_and_a_role_that_only_it_may_use(said: list[str]) -> None:
    standing = spark.create(PLAN, said.append)
    [made] = applications()
    assert {part.kind: part.state for part in standing.parts} == {"application": "STARTED", "role": "present"}
    iam = boto3.client("iam")
    assert iam.get_role(RoleName=PLAN.role)["Role"]["AssumeRolePolicyDocument"] == trust_policy(made["arn"])
    found = iam.get_role_policy(RoleName=PLAN.role, PolicyName="build-the-lake")
    assert found["PolicyDocument"] == job_policy(PLAN, made["arn"])
    assert emr().get_application(applicationId=made["id"])["application"]["tags"] == {"scx_pipeline": "scx"}
    assert spark.settings_of(PLAN, standing) == {
        "SCX_SPARK": "emr-serverless",
        "SCX_SPARK_APPLICATION": made["id"],
        "SCX_SPARK_ROLE": ROLE,
        "SCX_SPARK_CODE": "s3://scx-logs/_scx_pipeline/code",
    }


def test_create_again_changes_nothing_but_the_policy(said: list[str]) -> None:
    spark.create(PLAN, said.append)
    before = applications()
    other = PLAN.model_copy(update={"lake": "s3://elsewhere"})
    spark.create(other, said.append)
    assert applications() == before
    found = boto3.client("iam").get_role_policy(RoleName=PLAN.role, PolicyName="build-the-lake")
    assert "arn:aws:s3:::elsewhere/*" in str(found["PolicyDocument"])
    assert any("is STARTED, and keeps its settings" in text for text in said)


def test_create_again_gives_an_application_at_rest_what_is_planned_now(said: list[str]) -> None:
    spark.create(PLAN, said.append)
    [made] = applications()
    emr().stop_application(applicationId=made["id"])
    spark.create(PLAN.model_copy(update={"max_vcpu": 8, "idle_minutes": 5}), said.append)
    found = emr().get_application(applicationId=made["id"])["application"]
    assert found["maximumCapacity"]["cpu"] == "8 vCPU"
    assert found["autoStopConfiguration"]["idleTimeoutMinutes"] == 5


def test_what_was_broken_off_after_the_application_goes_on(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(spark, "ensure_role", interrupted)
        spark.create(PLAN, said.append)
    assert states() == {"application": "STARTED", "role": None}
    with pytest.raises(ClusterError, match="scx is not complete: run `scx cluster spark create`"):
        spark.settings_of(PLAN, spark.status(PLAN))
    spark.create(PLAN, said.append)
    assert states() == {"application": "STARTED", "role": "present"}
    assert len(applications()) == 1


@pytest.mark.parametrize("made", ["application", "role", "both"])
def test_destroy_removes_what_there_is_and_may_be_repeated(made: str, said: list[str]) -> None:
    spark.create(PLAN, said.append)
    if made == "application":
        boto3.client("iam").delete_role_policy(RoleName=PLAN.role, PolicyName="build-the-lake")
        boto3.client("iam").delete_role(RoleName=PLAN.role)
    if made == "role":
        [item] = applications()
        emr().stop_application(applicationId=item["id"])
        emr().delete_application(applicationId=item["id"])
    for _ in range(2):
        spark.destroy(PLAN, said.append)
        assert states() == {"application": None, "role": None}


def test_an_application_made_anew_has_the_role_of_before(said: list[str]) -> None:
    spark.create(PLAN, said.append)
    [first] = applications()
    emr().stop_application(applicationId=first["id"])
    emr().delete_application(applicationId=first["id"])
    spark.create(PLAN, said.append)
    [second] = applications()
    assert second["id"] != first["id"]
    role = boto3.client("iam").get_role(RoleName=PLAN.role)["Role"]
    assert role["AssumeRolePolicyDocument"] == trust_policy(second["arn"])


def test_two_that_were_made_at_the_same_time_are_both_removed(said: list[str]) -> None:
    for _ in range(2):
        asked = {name: value for name, value in request_of(PLAN).items() if value}
        emr().create_application(name="scx", type="SPARK", tags={"scx_pipeline": "scx"}, **asked)
    spark.create(PLAN, said.append)
    assert len(applications()) == 2
    spark.destroy(PLAN, said.append)
    assert applications() == []


def test_what_others_made_is_left_alone(said: list[str]) -> None:
    emr().create_application(name="scx", type="SPARK", releaseLabel="emr-7.12.0", tags={"team": "theirs"})
    for act in (spark.create, spark.cancel_runs, spark.destroy):
        with pytest.raises(ClusterError, match="the application scx stands, but was not made by .*--name"):
            act(PLAN, said.append)
    assert len(applications("STARTED")) == 1


def test_a_role_of_others_is_left_alone(said: list[str]) -> None:
    boto3.client("iam").create_role(RoleName=PLAN.role, AssumeRolePolicyDocument="{}")
    with pytest.raises(ClusterError, match="the role scx-spark-eu-west-1 stands, but was not made by"):
        spark.create(PLAN, said.append)
    assert boto3.client("iam").list_role_policies(RoleName=PLAN.role)["PolicyNames"] == []


def test_one_of_another_name_or_region_is_another(said: list[str]) -> None:
    spark.create(PLAN, said.append)
    for other in (
        PLAN.model_copy(update={"name": "other"}),
        PLAN.model_copy(update={"region": "us-east-1"}),
    ):
        assert states(other) == {"application": None, "role": None}
        spark.destroy(other, said.append)
    assert states() == {"application": "STARTED", "role": "present"}


def test_a_release_that_is_not_known_is_told(said: list[str]) -> None:
    with pytest.raises(
        ClusterError, match="cannot make the application scx: .*emr-9.9.9.*: take another --release"
    ):
        spark.create(PLAN.model_copy(update={"release": "emr-9.9.9"}), said.append)
    assert states() == {"application": None, "role": None}


# Against AWS's models


@dataclass
class Service:
    """What a test expects to be asked, in order; each answer is checked against AWS's model of the service."""

    stubber: Stubber
    said: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=lambda: {"scx_pipeline": "scx"})

    def listed(self, *identities: str) -> None:
        times = {"createdAt": NOW, "updatedAt": NOW, "releaseLabel": "emr-7.12.0", "type": "Spark"}
        found = [
            {"id": item, "name": "scx", "arn": ARN.replace("00abc", item), "state": "CREATED", **times}
            for item in identities
        ]
        others = [{"id": "00other", "name": "other", "arn": ARN, "state": "STARTED", **times}]
        self.takes("list_applications", {"applications": [*others, *found]}, states=list(LIVE))

    def application(self, state: str, identity: str = "00abc", age: int = 0, **facts: Any) -> None:
        at = NOW - timedelta(minutes=age)
        answer = {
            "applicationId": identity, "name": "scx", "arn": ARN.replace("00abc", identity), "state": state,
            "releaseLabel": "emr-7.12.0", "type": "Spark", "createdAt": at, "updatedAt": at, "tags": self.tags,
            "architecture": "X86_64", "maximumCapacity": request_of(PLAN)["maximumCapacity"], **facts,
        }  # fmt: skip
        self.takes("get_application", {"application": answer}, applicationId=identity)

    def found(self, state: str, **facts: Any) -> None:
        self.listed("00abc")
        self.application(state, **facts)

    def runs(self, *runs: tuple[str, str], **asked: Any) -> None:
        facts = {
            "applicationId": "00abc", "arn": RUN, "createdBy": "arn:aws:iam::123456789012:user/anna", "createdAt": NOW,
            "updatedAt": NOW, "executionRole": ROLE, "stateDetails": "as it says", "releaseLabel": "emr-7.12.0",
        }  # fmt: skip
        answer = [
            {"id": identity, "state": state, "name": "scx 2021-01", **facts} for identity, state in runs
        ]
        states = ["SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING"]
        self.takes("list_job_runs", {"jobRuns": answer}, applicationId="00abc", states=states)

    def takes(self, operation: str, answer: dict[str, Any] | None = None, **asked: Any) -> None:
        self.stubber.add_response(operation, answer or {}, asked or None)

    def refuses(self, operation: str, code: str, message: str = "no") -> None:
        self.stubber.add_client_error(operation, code, message)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    client = emr()
    monkeypatch.setattr(spark_application, "client", lambda name, region: client)
    with Stubber(client) as stubber:
        yield Service(stubber)
        stubber.assert_no_pending_responses()


def expect_status(service: Service, state: str = "CREATED") -> None:
    service.found(state)
    service.runs()


def test_create_asks_for_what_is_planned_and_waits_until_it_is_there(service: Service) -> None:
    service.listed()
    asked = {name: value for name, value in request_of(PLAN).items() if name != "initialCapacity"}
    made = {"applicationId": "00abc", "arn": ARN}
    token = {"clientToken": "once"}
    service.stubber.add_response(
        "create_application", made, {"name": "scx", "type": "SPARK", "tags": service.tags, **asked, **token}
    )
    service.stubber.client.meta.events.register(
        "provide-client-params.emr-serverless.CreateApplication", lambda params, **more: {**params, **token}
    )
    for state in ("CREATING", "CREATED", "CREATED"):
        service.application(state)
    expect_status(service)
    standing = spark.create(PLAN, service.said.append)
    assert standing.application == ARN
    assert standing.cost == "nothing, as it is CREATED"
    assert "application scx is ready" in service.said


def test_create_again_takes_workers_that_were_kept_ready_away(service: Service) -> None:
    service.found("STOPPED")
    service.stubber.client.meta.events.register(
        "provide-client-params.emr-serverless.UpdateApplication",
        lambda params, **more: {**params, "clientToken": "once"},
    )
    asked = {**request_of(PLAN), "clientToken": "once"}
    assert asked["initialCapacity"] == {}
    facts = {"applicationId": "00abc", "arn": ARN, "releaseLabel": "emr-7.12.0", "type": "Spark"}
    answer = {**facts, "state": "STOPPED", "createdAt": NOW, "updatedAt": NOW}
    service.takes("update_application", {"application": answer}, applicationId="00abc", **asked)
    service.application("STOPPED")
    service.application("STOPPED")
    expect_status(service, "STOPPED")
    spark.create(PLAN, service.said.append)


def test_one_that_is_gone_while_it_is_being_made_is_told(service: Service) -> None:
    service.listed()
    service.takes("create_application", {"applicationId": "00abc", "arn": ARN})
    service.application("CREATING")
    service.application("TERMINATED")
    with pytest.raises(
        ClusterError, match="the application scx went away in the meantime: run the command again"
    ):
        spark.create(PLAN, service.said.append)


def test_of_two_the_older_one_is_used(service: Service) -> None:
    service.listed("00new", "00abc")
    service.application("STARTED", "00new")
    service.application("STARTED", age=1)
    service.runs()
    assert spark.status(PLAN).application == ARN


def test_status_tells_what_runs_and_what_it_costs_at_most(service: Service) -> None:
    service.found("STARTED")
    service.runs(("00run", "RUNNING"), ("00next", "QUEUED"))
    found = spark.status(PLAN)
    assert [(run.id, run.name, run.state) for run in found.runs] == [
        ("00run", "scx 2021-01", "RUNNING"),
        ("00next", "scx 2021-01", "QUEUED"),
    ]
    assert found.cost.startswith(
        "at most 1.60 US dollars an hour, as 2 job runs are not over (list prices of us-east-1"
    )
    assert dict(found.capacity) == {"cpu": "16 vCPU", "memory": "128 GB", "disk": "200 GB"}


@pytest.mark.parametrize(
    ("state", "warm", "cost"),
    [
        ("STARTED", {}, "nothing, as no job runs"),
        ("STOPPED", {"executors": 3}, "nothing, as it is STOPPED"),
        ("STARTED", {"executors": 3}, "about 1.21 US dollars an hour, for workers kept ready"),
        ("STARTED", {"executors": 1, "disk": 100}, "about 0.62 US dollars an hour, for workers kept ready"),
    ],
)
def test_status_tells_what_idle_workers_cost(
    service: Service, state: str, warm: dict[str, Any], cost: str
) -> None:
    plan = SparkPlan.model_validate({**PLAN.model_dump(), "warm": warm or None})
    service.found(state, initialCapacity=request_of(plan)["initialCapacity"])
    service.runs()
    assert spark.status(PLAN).cost.startswith(cost)


def test_destroy_stops_and_deletes(service: Service) -> None:
    service.found("STARTED")
    service.runs()
    service.application("STARTED")
    service.application("STARTED")
    service.takes("stop_application", applicationId="00abc")
    service.application("STOPPING")
    service.application("STOPPED")
    service.takes("delete_application", applicationId="00abc")
    service.application("STOPPED")
    service.application("TERMINATED")
    service.listed()
    spark.destroy(PLAN, service.said.append)
    assert service.said[-1] == "application scx is gone"


def test_destroy_goes_on_with_one_that_is_being_stopped(service: Service) -> None:
    service.found("STOPPING")
    service.runs()
    service.application("STOPPING")
    service.application("STOPPED")
    service.application("STOPPED")
    service.takes("delete_application", applicationId="00abc")
    service.refuses("get_application", "ResourceNotFoundException")
    service.listed()
    spark.destroy(PLAN, service.said.append)


def test_destroy_refuses_while_job_runs_are_not_over(service: Service) -> None:
    service.found("STARTED")
    service.runs(("00run", "RUNNING"))
    with pytest.raises(ClusterError, match="not over .00run RUNNING.*--force; nothing was changed"):
        spark.destroy(PLAN, service.said.append)
    assert service.said == []


def test_job_runs_are_cancelled_and_waited_for(service: Service) -> None:
    service.found("STARTED")
    service.runs(("00run", "RUNNING"), ("00over", "RUNNING"))
    service.takes("cancel_job_run", {"applicationId": "00abc", "jobRunId": "00run"}, applicationId="00abc", jobRunId="00run")  # fmt: skip
    service.refuses("cancel_job_run", "ValidationException", "It is in a terminal state.")
    service.runs(("00run", "CANCELLING"))
    service.runs()
    spark.cancel_runs(PLAN, service.said.append)
    assert service.said[-1] == "every job run of scx is gone"


def test_a_job_run_that_comes_in_between_is_told_by_aws(service: Service) -> None:
    service.found("STARTED")
    service.runs()
    service.application("STARTED")
    service.application("STARTED")
    service.refuses("stop_application", "ValidationException", "Jobs are running.")
    with pytest.raises(ClusterError, match="cannot stop the application scx: Jobs are running."):
        spark.destroy(PLAN, service.said.append)


QUOTA = "The account has reached the service limit on the maximum vCPU it can use concurrently"
DENIED = (
    "User: arn:aws:iam::123456789012:user/anna is not authorized to perform: emr-serverless:CreateApplication"
)


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        ("ServiceQuotaExceededException", QUOTA, "raise the quota `Max concurrent vCPUs per account`"),
        ("ValidationException", QUOTA, "raise the quota .* or take less"),
        ("ValidationException", "Release label emr-1 is unknown, such a release label is none", "--release"),
        ("AccessDeniedException", DENIED, "emr-serverless:CreateApplication: let this user .*docs/emr.md"),
        ("ExpiredTokenException", "The token is old.", "log in to AWS again"),
    ],
)
def test_a_refusal_is_told_in_one_line_with_what_to_do(
    service: Service, code: str, message: str, told: str
) -> None:
    service.listed()
    service.refuses("create_application", code, message)
    with pytest.raises(ClusterError, match=f"cannot make the application scx: .*{told}") as caught:
        spark.create(PLAN, service.said.append)
    assert "\n" not in str(caught.value)


def test_without_credentials_it_says_how_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import NoCredentialsError

    def refuse(*args: object, **more: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    with pytest.raises(
        ClusterError, match="cannot see the application scx: there are no credentials: log in"
    ):
        spark.status(PLAN)


def test_each_client_has_the_credentials_of_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon lives longer than keys do, and the tests of one process have several stores."""

    def signed() -> str:
        client = aws.client("s3", ClusterError)
        return str(client.generate_presigned_url("list_objects_v2", Params={"Bucket": "logs"}))

    for key in ("AKIAFIRST", "AKIASECOND"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert key in signed()


def test_the_region_is_that_of_the_plan_and_else_of_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert aws.region_of_settings(SettingsError) == "eu-west-1"  # of AWS_DEFAULT_REGION
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert aws.region_of_settings(SettingsError) == "us-west-2"
    assert aws.client("redshift", ClusterError).meta.region_name == "us-west-2"
    assert aws.client("redshift", ClusterError, "us-east-1").meta.region_name == "us-east-1"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for _ in range(2):  # once beside AWS_DEFAULT_REGION, and once without
        with pytest.raises(SettingsError, match="AWS's settings cannot be read: .*nobody"):
            aws.region_of_settings(SettingsError)
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
