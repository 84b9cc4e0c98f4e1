"""deploy/ecs/template.yaml: accepted by cfn-lint, without secrets, least privilege, no drift from docker-compose.yaml.

It is not tested in AWS.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from scx_pipeline.settings import Settings
from tools.local_services.compose import ROOT

PATH = ROOT / "deploy" / "ecs" / "template.yaml"
PARTS = ("code", "webserver", "daemon")
# Actions that AWS has no finer resource for, and the reason.
WIDE = {"ecr:GetAuthorizationToken": "it applies to the registry, not to a repository"}
# Variables of the compose file that only a local S3 server needs: in AWS, a task has its role instead.
LOCAL_S3 = {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags: !Ref X is {"Ref": X}, !Sub X {"Fn::Sub": X}."""


def _tagged(loader: Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


Loader.add_multi_constructor("!", _tagged)
TEMPLATE = yaml.load(PATH.read_text("utf-8"), Loader)
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))["services"]


def of_type(name: str) -> dict[str, Any]:
    return {
        key: properties["Properties"]
        for key, properties in RESOURCES.items()
        if properties["Type"] == f"AWS::{name}"
    }


def task(part: str) -> Any:
    return RESOURCES[f"{part.title()}Task"]["Properties"]


def container(part: str) -> Any:
    [found] = task(part)["ContainerDefinitions"]
    assert found["Name"] == part
    return found


def plain(items: list[Any]) -> Iterator[Any]:
    """Yield the items of a list, including conditional ones."""
    for item in items:
        if "Fn::If" in item:
            _, then, other = item["Fn::If"]
            assert other == {"Ref": "AWS::NoValue"}
            yield then
        else:
            yield item


def named(items: list[Any], value: str) -> dict[str, Any]:
    return {item["Name"]: item[value] for item in plain(items)}


def statements() -> Iterator[tuple[str, Any]]:
    """Yield each statement of each role's policies, including conditional ones."""
    for role, properties in of_type("IAM::Role").items():
        for policy in plain(properties["Policies"]):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield role, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_cfn_lint_accepts_the_template() -> None:
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(
        [lint, "--include-checks", "I", "--", PATH], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("part", PARTS)
def test_a_service_has_the_command_and_the_health_check_of_the_compose_file(part: str) -> None:
    ours, theirs = container(part), COMPOSE[part]
    assert [*ours.get("EntryPoint", []), *ours["Command"]] == [
        *theirs.get("entrypoint", []),
        *theirs["command"],
    ]
    assert ours["HealthCheck"]["Command"] == theirs["healthcheck"]["test"]
    seconds = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    for name, period in seconds.items():
        number, unit = re.fullmatch(r"(\d+)([sm])", theirs["healthcheck"][name]).groups()  # type: ignore[union-attr]
        assert ours["HealthCheck"][period] == int(number) * {"s": 1, "m": 60}[unit]
    assert ours["HealthCheck"]["Retries"] == theirs["healthcheck"]["retries"]


@pytest.mark.parametrize("part", PARTS)
def test_a_service_has_the_variables_of_the_compose_file(part: str) -> None:
    given = {
        **named(container(part)["Environment"], "Value"),
        **named(container(part)["Secrets"], "ValueFrom"),
    }
    assert set(given) == set(COMPOSE[part]["environment"]) - LOCAL_S3 | {"PGSSLMODE"}


@pytest.mark.parametrize("part", PARTS)
def test_every_secret_is_a_reference_and_every_setting_exists(part: str) -> None:
    secret = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    addresses = {"SCX_CODE_HOST", "SCX_CODE_PORT"}  # deploy/dagster/workspace.yaml reads these
    references = named(container(part)["Secrets"], "ValueFrom")
    for name in named(container(part)["Environment"], "Value"):
        assert "PASSWORD" not in name
        if name.startswith("SCX_") and name not in addresses:
            assert name.removeprefix("SCX_").lower() in set(Settings.model_fields) - secret
    for name, reference in references.items():
        assert name == "DAGSTER_POSTGRES_PASSWORD" or name.removeprefix("SCX_").lower() in secret
        [parameter] = re.findall(r"^\$\{(\w+SecretArn)\}:[\w-]+::$", reference["Fn::Sub"])
        assert parameter in TEMPLATE["Parameters"]


def test_no_parameter_takes_a_secret_itself() -> None:
    for name, properties in TEMPLATE["Parameters"].items():
        assert not re.search("Password|Token$|Secret$|Key", name)
        assert not re.search("password|secret", str(properties.get("Default", "")))
    login = RESOURCES["Listener"]["Properties"]["DefaultActions"][0]["AuthenticateOidcConfig"]
    assert login["ClientSecret"]["Fn::Sub"].startswith("{{resolve:secretsmanager:${OidcSecretArn}:")


def test_the_ui_can_only_be_reached_through_the_login() -> None:
    first, then = RESOURCES["Listener"]["Properties"]["DefaultActions"]
    assert (first["Type"], first["Order"]) == ("authenticate-oidc", 1)
    assert first["AuthenticateOidcConfig"]["OnUnauthenticatedRequest"] == "authenticate"
    assert (then["Type"], then["Order"]) == ("forward", 2)
    assert list(of_type("ElasticLoadBalancingV2::Listener")) == ["Listener"]
    assert RESOURCES["Listener"]["Properties"]["Protocol"] == "HTTPS"
    assert not of_type("ElasticLoadBalancingV2::ListenerRule")


def test_security_groups_allow_only_the_listed_ports() -> None:
    entries = {
        name: {
            (rule["FromPort"], rule.get("SourceSecurityGroupId", rule.get("CidrIp"))["Ref"])
            for rule in properties.get("SecurityGroupIngress", [])
        }
        for name, properties in of_type("EC2::SecurityGroup").items()
    }
    assert entries == {
        "LoadBalancerGroup": {(443, "UsersCidr")},
        "WebserverGroup": {(3000, "LoadBalancerGroup")},
        "CodeGroup": {(4000, "WebserverGroup"), (4000, "DaemonGroup")},
        "DaemonGroup": set(),
    }
    # Without an egress rule, a group allows all outgoing traffic.
    for group in of_type("EC2::SecurityGroup").values():
        assert [rule["FromPort"] for rule in group["SecurityGroupEgress"]] == [443]
    into = {properties["GroupId"]["Ref"] for properties in of_type("EC2::SecurityGroupIngress").values()}
    assert into == {"DatabaseSecurityGroupId", "WarehouseSecurityGroupId"}


def test_permissions_name_their_resources() -> None:
    wide = set()
    for _, statement in statements():
        for action in as_list(statement["Action"]):
            assert "*" not in action
            if "*" in as_list(statement["Resource"]):
                wide.add(action)
        for resource in as_list(statement["Resource"]):
            if isinstance(resource, dict) and "Fn::Sub" in resource:
                assert re.fullmatch(r"[^*]*(/\*)?", resource["Fn::Sub"])
                assert not resource["Fn::Sub"].startswith("arn:aws:")  # China and GovCloud have their own
    assert wide == set(WIDE)


def test_ui_and_daemon_may_only_read_logs() -> None:
    for role in ("WebserverRole", "DaemonRole"):
        found = [statement for name, statement in statements() if name == role]
        places = [resource["Fn::Sub"] for item in found for resource in as_list(item["Resource"])]
        assert places == [
            "arn:${AWS::Partition}:s3:::${LogsBucket}",
            "arn:${AWS::Partition}:s3:::${LogsBucket}/dagster/*",
        ]
    writes = {
        resource["Fn::Sub"]
        for name, item in statements()
        if name == "CodeRole" and "s3:PutObject" in as_list(item["Action"])
        for resource in as_list(item["Resource"])
    }
    assert not any("RawBucket" in place for place in writes)


@pytest.mark.parametrize("part", PARTS)
def test_a_task_may_read_exactly_the_secrets_that_it_names(part: str) -> None:
    role = task(part)["ExecutionRoleArn"]["Fn::GetAtt"].removesuffix(".Arn")
    [allowed] = [
        item for name, item in statements() if name == role and "secretsmanager" in str(item["Action"])
    ]
    given = set(re.findall(r"'Ref': '(\w+SecretArn)'", str(allowed["Resource"])))
    named_ones = re.findall(r"\$\{(\w+SecretArn)\}", str(container(part)["Secrets"]))
    assert given == set(named_ones)


@pytest.mark.parametrize("part", PARTS)
def test_a_container_runs_unprivileged_and_writes_only_to_its_two_folders(part: str) -> None:
    properties = container(part)
    assert properties["ReadonlyRootFilesystem"] is True
    assert properties["User"] == "10001:10001"
    assert properties["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    mounts = {item["ContainerPath"] for item in properties["MountPoints"]}
    assert mounts == {"/tmp", "/var/lib/scx"}
    [declared] = re.findall(
        r"^VOLUME (\[.*\])$", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE
    )
    assert set(yaml.safe_load(declared)) == mounts  # otherwise, Fargate would make root their owner
    assert {item["SourceVolume"] for item in properties["MountPoints"]} == {
        item["Name"] for item in task(part)["Volumes"]
    }


def test_code_server_and_daemon_never_run_twice() -> None:
    services = {part: RESOURCES[f"{part.title()}Service"]["Properties"] for part in PARTS}
    for part in ("code", "daemon"):
        assert services[part]["DesiredCount"] == 1
        deployment = services[part]["DeploymentConfiguration"]
        assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (0, 100)
    assert container("code")["StopTimeout"] == 30
    assert not any(properties["EnableExecuteCommand"] for properties in services.values())


def test_services_connect_to_the_registered_name_of_the_code_server() -> None:
    names = RESOURCES["CodeName"]["Properties"]["Name"], RESOURCES["Names"]["Properties"]["Name"]
    [port] = container("code")["PortMappings"]
    for part in PARTS:
        given = named(container(part)["Environment"], "Value")
        assert given["SCX_CODE_HOST"] == ".".join(names)
        assert given["SCX_CODE_PORT"] == str(port["ContainerPort"])


def test_the_image_tag_is_the_compose_files_version() -> None:
    tag = TEMPLATE["Parameters"]["ImageTag"]["Default"]
    assert COMPOSE["code"]["image"] == f"scx_pipeline:{tag}"
