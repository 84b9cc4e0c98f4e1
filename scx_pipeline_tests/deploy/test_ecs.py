"""What deploy/ecs/template.yaml says: nothing that cfn-lint remarks, no secret, the least rights, no drift from docker-compose.yaml.
That AWS makes a stack of it is not proven here."""

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
# What AWS has no finer resource for, and the reason.
WIDE = {"ecr:GetAuthorizationToken": "it is the registry's, and names no repository"}
# Of compose's variables, those that S3 on one machine needs: in AWS a task has its role instead.
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
    return {key: said["Properties"] for key, said in RESOURCES.items() if said["Type"] == f"AWS::{name}"}


def task(part: str) -> Any:
    return RESOURCES[f"{part.title()}Task"]["Properties"]


def container(part: str) -> Any:
    [found] = task(part)["ContainerDefinitions"]
    assert found["Name"] == part
    return found


def plain(items: list[Any]) -> Iterator[Any]:
    """The items of a list, those under a condition too."""
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
    """Each statement of each role's policies, the conditional ones too."""
    for role, said in of_type("IAM::Role").items():
        for policy in plain(said["Policies"]):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield role, statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_cfn_lint_finds_nothing() -> None:
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
    for name, said in TEMPLATE["Parameters"].items():
        assert not re.search("Password|Token$|Secret$|Key", name)
        assert not re.search("password|secret", str(said.get("Default", "")))
    login = RESOURCES["Listener"]["Properties"]["DefaultActions"][0]["AuthenticateOidcConfig"]
    assert login["ClientSecret"]["Fn::Sub"].startswith("{{resolve:secretsmanager:${OidcSecretArn}:")


def test_the_only_way_to_the_ui_is_through_the_login() -> None:
    first, then = RESOURCES["Listener"]["Properties"]["DefaultActions"]
    assert (first["Type"], first["Order"]) == ("authenticate-oidc", 1)
    assert first["AuthenticateOidcConfig"]["OnUnauthenticatedRequest"] == "authenticate"
    assert (then["Type"], then["Order"]) == ("forward", 2)
    assert list(of_type("ElasticLoadBalancingV2::Listener")) == ["Listener"]
    assert RESOURCES["Listener"]["Properties"]["Protocol"] == "HTTPS"
    assert not of_type("ElasticLoadBalancingV2::ListenerRule")


def test_a_group_lets_in_what_is_named_and_out_no_more() -> None:
    entries = {
        name: {
            (rule["FromPort"], rule.get("SourceSecurityGroupId", rule.get("CidrIp"))["Ref"])
            for rule in said.get("SecurityGroupIngress", [])
        }
        for name, said in of_type("EC2::SecurityGroup").items()
    }
    assert entries == {
        "LoadBalancerGroup": {(443, "UsersCidr")},
        "WebserverGroup": {(3000, "LoadBalancerGroup")},
        "CodeGroup": {(4000, "WebserverGroup"), (4000, "DaemonGroup")},
        "DaemonGroup": set(),
    }
    for said in of_type(
        "EC2::SecurityGroup"
    ).values():  # without a rule of its own, a group lets out everything
        assert [rule["FromPort"] for rule in said["SecurityGroupEgress"]] == [443]
    into = {said["GroupId"]["Ref"] for said in of_type("EC2::SecurityGroupIngress").values()}
    assert into == {"DatabaseSecurityGroupId", "WarehouseSecurityGroupId"}


def test_rights_name_their_resources() -> None:
    wide = set()
    for _, statement in statements():
        for action in listed(statement["Action"]):
            assert "*" not in action
            if "*" in listed(statement["Resource"]):
                wide.add(action)
        for resource in listed(statement["Resource"]):
            if isinstance(resource, dict) and "Fn::Sub" in resource:
                assert re.fullmatch(r"[^*]*(/\*)?", resource["Fn::Sub"])
                assert not resource["Fn::Sub"].startswith("arn:aws:")  # China and GovCloud have their own
    assert wide == set(WIDE)


def test_ui_and_daemon_can_read_logs_and_nothing_else() -> None:
    for role in ("WebserverRole", "DaemonRole"):
        found = [statement for name, statement in statements() if name == role]
        places = [resource["Fn::Sub"] for item in found for resource in listed(item["Resource"])]
        assert places == [
            "arn:${AWS::Partition}:s3:::${LogsBucket}",
            "arn:${AWS::Partition}:s3:::${LogsBucket}/dagster/*",
        ]
    writes = {
        resource["Fn::Sub"]
        for name, item in statements()
        if name == "CodeRole" and "s3:PutObject" in listed(item["Action"])
        for resource in listed(item["Resource"])
    }
    assert not any("RawBucket" in place for place in writes)


@pytest.mark.parametrize("part", PARTS)
def test_a_task_starts_with_the_secrets_that_it_names_and_no_other(part: str) -> None:
    role = task(part)["ExecutionRoleArn"]["Fn::GetAtt"].removesuffix(".Arn")
    [allowed] = [
        item for name, item in statements() if name == role and "secretsmanager" in str(item["Action"])
    ]
    given = set(re.findall(r"'Ref': '(\w+SecretArn)'", str(allowed["Resource"])))
    named_ones = re.findall(r"\$\{(\w+SecretArn)\}", str(container(part)["Secrets"]))
    assert given == set(named_ones)


@pytest.mark.parametrize("part", PARTS)
def test_a_container_runs_as_nobody_in_particular_and_writes_in_its_two_folders_alone(part: str) -> None:
    said = container(part)
    assert said["ReadonlyRootFilesystem"] is True
    assert said["User"] == "10001:10001"
    assert said["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    mounts = {item["ContainerPath"] for item in said["MountPoints"]}
    assert mounts == {"/tmp", "/var/lib/scx"}
    [declared] = re.findall(
        r"^VOLUME (\[.*\])$", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE
    )
    assert set(yaml.safe_load(declared)) == mounts  # or Fargate would make them root's
    assert {item["SourceVolume"] for item in said["MountPoints"]} == {
        item["Name"] for item in task(part)["Volumes"]
    }


def test_of_code_server_and_daemon_there_are_never_two() -> None:
    services = {part: RESOURCES[f"{part.title()}Service"]["Properties"] for part in PARTS}
    for part in ("code", "daemon"):
        assert services[part]["DesiredCount"] == 1
        deployment = services[part]["DeploymentConfiguration"]
        assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (0, 100)
    assert container("code")["StopTimeout"] == 30
    assert not any(said["EnableExecuteCommand"] for said in services.values())


def test_the_code_server_is_where_the_others_look_for_it() -> None:
    names = RESOURCES["CodeName"]["Properties"]["Name"], RESOURCES["Names"]["Properties"]["Name"]
    [port] = container("code")["PortMappings"]
    for part in PARTS:
        given = named(container(part)["Environment"], "Value")
        assert given["SCX_CODE_HOST"] == ".".join(names)
        assert given["SCX_CODE_PORT"] == str(port["ContainerPort"])


def test_the_image_is_of_this_version() -> None:
    tag = TEMPLATE["Parameters"]["ImageTag"]["Default"]
    assert COMPOSE["code"]["image"] == f"scx_pipeline:{tag}"
