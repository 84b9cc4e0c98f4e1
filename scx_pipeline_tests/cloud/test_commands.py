"""`scx cloud` as a user types it, on moto: create, status, url, update, pause and resume.

Failures, interruptions and the deletion of a stack are not tested here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scx_pipeline.cloud.stacks import CloudError
from scx_pipeline.errors import SettingsError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline_tests.cloud.cloud_command import (
    MOTO_TEMPLATES,
    PLACES,
    SECRET,
    TEMPLATES,
    Cloud,
    stack_names,
    stack_of,
)
from scx_pipeline_tests.cloud.resources import CREATED


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("AWS was asked")

    with monkeypatch.context() as patch:
        patch.setattr("botocore.client.BaseClient._make_api_call", refuse)
        yield


# Create


@pytest.mark.usefixtures("no_aws")
@pytest.mark.parametrize("template", TEMPLATES)
def test_create_dry_run_shows_parameters_resources_and_price_and_sends_no_request(
    cloud: Cloud, template: str
) -> None:
    done = cloud("create", template, *PLACES, "--dry-run")
    assert done.exit_code == 0, done.output
    assert re.search(r"LakePrefix +stars/", done.stdout)
    assert re.search(r"PipelinePolicy +AWS::IAM::ManagedPolicy", done.stdout)
    assert re.search(r"(SubnetGroup|LakePolicy|JobLogsPolicy) .*, if Has", done.stdout)
    assert re.search("price: .*about .* an hour", done.stdout)


@pytest.mark.usefixtures("no_aws")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bucket", "logs"), "Bucket is 'logs': write s3://bucket"),
        (("--bucket", "s3://logs", "--name", "No Name"), "Name is 'No Name'"),
        (("--bucket", "s3://logs", "-p", "BaseCapacty=8"), "did you mean BaseCapacity?"),
        ((), "needs the parameter Bucket"),
    ],
)
def test_create_refuses_a_wrong_parameter_before_any_request(
    cloud: Cloud, arguments: tuple[str, ...], message: str
) -> None:
    done = cloud("create", "redshift-serverless", *arguments)
    assert isinstance(done.exception, SettingsError)
    assert message in str(done.exception)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("answer", ["no\n", ""])
def test_create_without_confirmation_shows_the_price_and_creates_nothing(
    cloud: Cloud, template: str, answer: str
) -> None:
    done = cloud("create", template, *PLACES, answer=answer)
    assert done.exit_code == 1
    assert f"Type the name scx to create scx-{template}" in done.stdout
    assert "price: " in done.stdout
    assert stack_names() == []


@pytest.mark.parametrize("template", MOTO_TEMPLATES)
def test_a_stack_is_created_shown_and_destroyed(cloud: Cloud, template: str) -> None:
    done = cloud("create", template, *PLACES, answer="scx\n")
    assert done.exit_code == 0, done.output
    assert stack_of(f"scx-{template}")["Tags"] == [{"Key": "scx_pipeline", "Value": "scx"}]
    assert f"scx-{template} (AWS::CloudFormation::Stack): CREATE_COMPLETE" in done.stderr
    shown = cloud("status", template)
    assert re.search(rf"scx-{template}: CREATE_COMPLETE\n(.*\n)+price: ", shown.stdout)
    assert re.search("(available|STARTED)", shown.stdout)
    settings = [line for line in done.stdout.splitlines() if line.startswith("export ")]
    assert cloud("url", template).stdout.splitlines() == settings
    gone = cloud("destroy", template, answer="scx\n")
    assert gone.exit_code == 0, gone.output
    assert f"scx-{template}: to be deleted" in gone.stdout
    assert stack_names() == []
    assert CREATED == {}
    assert boto3.client("iam").list_roles()["Roles"] == []


def test_a_serverless_stack_is_created_shown_and_destroyed(cloud: Cloud, secret: Stubber) -> None:
    done = cloud("create", "redshift-serverless", *PLACES, "--yes")
    host = "scx.123456789012.eu-west-1.redshift-serverless.amazonaws.com:5439/dev"
    url = f"redshift://{host}?staging=s3://scx-logs/_scx_pipeline/&secret={SECRET}"
    assert f"export SCX_WAREHOUSE_URL='{url}'" in done.stdout.splitlines()
    assert open_warehouse(url, Limits()).url == f"redshift://{host}"
    assert re.search("Workgroup .*CREATE_COMPLETE", cloud("status", "redshift-serverless").stdout)
    assert cloud("url", "redshift-serverless").stdout == f"export SCX_WAREHOUSE_URL='{url}'\n"
    secret.assert_no_pending_responses()
    cloud("destroy", "redshift-serverless", "--yes")
    assert (stack_names(), CREATED) == ([], {})


def test_create_provisioned_prints_a_url_without_a_password_that_names_the_role(cloud: Cloud) -> None:
    done = cloud("create", "redshift-provisioned", *PLACES, "--yes")
    [url] = re.findall(r"^export SCX_WAREHOUSE_URL='(.*)'$", done.stdout, re.MULTILINE)
    assert re.fullmatch(
        r"redshift://scx\.\w+\.eu-west-1\.redshift\.amazonaws\.com:5439/dev"
        r"\?secret=arn:aws:secretsmanager:eu-west-1:123456789012:secret:redshift!scx-scx_admin"
        r"&staging=s3://scx-logs/_scx_pipeline/&iam_role=arn:aws:iam::123456789012:role/scx-redshift-provisioned-Role-\w+",
        url,
    )
    assert open_warehouse(url, Limits()).url == url.partition("?")[0]


def test_create_spark_from_a_file_prints_the_settings(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "emr.yaml"
    file.write_text("Bucket: s3://scx-logs\nLake: s3://elsewhere\nCode: s3://scx-code/spark\nMaxVcpu: 8\n")
    done = cloud(
        "create",
        "emr-serverless",
        "-f",
        str(file),
        "--lake",
        "s3://scx-lake/stars",
        "--name",
        "lake",
        "--yes",
    )
    assert done.exit_code == 0, done.output
    [application] = re.findall(r"^export SCX_SPARK_APPLICATION='(\w+)'$", done.stdout, re.MULTILINE)
    [role] = re.findall(r"^export SCX_SPARK_ROLE='(.+)'$", done.stdout, re.MULTILINE)
    assert role.startswith("arn:aws:iam::123456789012:role/lake-emr-serverless-Role-")
    *_, spark, first, second, code, policy = done.stdout.splitlines()
    assert (spark, code) == (
        "export SCX_SPARK='emr-serverless'",
        "export SCX_SPARK_CODE='s3://scx-code/spark/'",
    )
    assert (application in first, role in second) == (True, True)
    assert policy.startswith("policy for the pipeline: arn:aws:iam::123456789012:policy/lake-emr-serverless-")
    assert CREATED["AWS::EMRServerless::Application"]["MaximumCapacity"]["Cpu"] == "8 vCPU"
    assert stack_of("lake-emr-serverless")["Tags"] == [{"Key": "scx_pipeline", "Value": "lake"}]


def test_create_in_another_region_creates_there(cloud: Cloud) -> None:
    cloud("create", "emr-serverless", *PLACES, "--region", "us-west-2", "--yes")
    assert stack_names() == []
    assert "STARTED" in cloud("status", "emr-serverless", "--region", "us-west-2").stdout


# Create again


def test_create_again_without_changes_changes_nothing(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    before = boto3.client("redshift").describe_clusters()["Clusters"]
    done = cloud("create", "redshift-provisioned", *PLACES, "--yes")
    assert done.exit_code == 0, done.output
    assert boto3.client("redshift").describe_clusters()["Clusters"] == before
    changes = done.stdout.partition("changes of scx-redshift-provisioned\n")[2]
    # moto describes a list as Python writes it.
    assert set(re.findall(r"^(\w+)  ", changes, re.MULTILINE)) <= {
        "parameter",
        "SubnetIds",
        "SecurityGroupIds",
    }


def test_create_again_with_other_parameters_shows_and_makes_the_changes(
    cloud: Cloud, secret: Stubber
) -> None:
    cloud("create", "redshift-serverless", *PLACES, "--yes")
    done = cloud("create", "redshift-serverless", *PLACES, "-p", "BaseCapacity=16", answer="scx\n")
    assert done.exit_code == 0, done.output
    changes = done.stdout.partition("changes of scx-redshift-serverless\n")[2]
    assert re.match(r"parameter +now +then *\nBaseCapacity +8 +16 *\n", changes)
    assert CREATED["AWS::RedshiftServerless::Workgroup"]["BaseCapacity"] == 16
    assert stack_of("scx-redshift-serverless")["StackStatus"] == "UPDATE_COMPLETE"


def test_create_again_without_confirmation_changes_nothing(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    done = cloud("create", "redshift-provisioned", *PLACES, "-p", "Nodes=2", answer="other\n")
    assert isinstance(done.exception, SettingsError)
    assert stack_of("scx-redshift-provisioned")["StackStatus"] == "CREATE_COMPLETE"


def test_create_again_of_a_started_application_stops_it_first(cloud: Cloud) -> None:
    cloud("create", "emr-serverless", *PLACES, "--yes")
    done = cloud("create", "emr-serverless", *PLACES, "-p", "IdleMinutes=5", "--yes")
    assert done.exit_code == 0, done.output
    assert "is STOPPED" in done.stderr
    # moto updates a resource for a parameter that it names by Ref, not by Sub.
    asked = CREATED["AWS::EMRServerless::Application"]
    assert asked["AutoStopConfiguration"]["IdleTimeoutMinutes"] == 5


# Status, pause and resume


def test_status_json_has_stack_resources_and_job_runs(cloud: Cloud) -> None:
    cloud("create", "emr-serverless", *PLACES, "--yes")
    found: dict[str, Any] = json.loads(cloud("status", "emr-serverless", "--json").stdout)
    assert (found["stack"]["name"], found["stack"]["status"]) == ("scx-emr-serverless", "CREATE_COMPLETE")
    states = {item["type"]: item["status"] for item in found["resources"]}
    assert states["AWS::EMRServerless::Application"] == "STARTED"
    assert states["AWS::IAM::Role"] == "CREATE_COMPLETE"
    assert found["job_runs"] == []


@pytest.mark.parametrize("command", ["status", "url"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_commands_without_a_stack_say_so(cloud: Cloud, command: str, template: str) -> None:
    done = cloud(command, template)
    assert isinstance(done.exception, CloudError)
    assert f"there is no stack scx-{template}: run `scx cloud create {template}`" in str(done.exception)


def test_commands_with_another_name_or_region_find_no_stack(cloud: Cloud) -> None:
    cloud("create", "emr-serverless", *PLACES, "--yes")
    for other in (("--name", "other"), ("--region", "us-east-1")):
        assert "there is no stack" in str(cloud("status", "emr-serverless", *other).exception)
        assert "nothing to delete" in cloud("destroy", "emr-serverless", *other, "--yes").stdout
    assert stack_names() == ["scx-emr-serverless"]


def test_a_cluster_is_paused_and_resumed_repeatedly(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    for command, state in (("pause", "paused"), ("resume", "available")):
        for _ in range(2):
            done = cloud(command, "redshift-provisioned")
            assert (done.exit_code, f"cluster scx is {state}" in done.stderr) == (0, True)
            assert state in cloud("status", "redshift-provisioned").stdout


def test_pause_without_a_cluster_is_refused(cloud: Cloud) -> None:
    done = cloud("pause", "redshift-provisioned")
    assert "there is no stack scx-redshift-provisioned" in str(done.exception)


@pytest.mark.usefixtures("no_aws")
@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("redshift-serverless", "costs nothing for compute while no queries"),
        ("emr-serverless", "stops automatically"),
    ],
)
def test_pause_and_resume_of_services_without_idle_costs_are_refused(
    cloud: Cloud, template: str, reason: str
) -> None:
    for command in ("pause", "resume"):
        done = cloud(command, template)
        assert isinstance(done.exception, CloudError)
        assert reason in str(done.exception)
