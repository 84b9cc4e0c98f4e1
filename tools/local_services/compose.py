"""Each service's command, environment and health check in docker-compose.yaml, translated to this machine.

Processes are not started here.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from scx_pipeline_tests.support.servers.ports import LOOPBACK, free_ports
from scx_pipeline_tests.support.servers.s3 import GRPC_OFFSET

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(\w+):([?-])([^}]*)\}")
# The ports that services listen on in their containers.
PORTS = {"postgres": 5432, "s3": 8333, "filer": 8888, "code": 4000, "webserver": 3000}


def fill_compose_file(env_file: Path) -> dict[str, Any]:
    """Read the compose file, with its variables filled in from a .env file, as docker-compose does."""
    lines = [line for line in env_file.read_text("utf-8").splitlines() if "=" in line and line[0] != "#"]
    variables = dict(line.split("=", 1) for line in lines)

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: fill(value) for key, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        return _VARIABLE.sub(value_of, part).replace("$$", "$") if isinstance(part, str) else part

    def value_of(found: re.Match[str]) -> str:
        name, sign, rest = found.groups()
        if not variables.get(name) and sign == "?":
            raise ValueError(rest)
        return variables.get(name) or rest

    found: dict[str, Any] = fill(yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8")))
    return found


def resolve_compose_file(env_file: Path) -> dict[str, Any]:
    """Let docker-compose fill in the variables. Skips the test if it is not installed."""
    command = compose_command()
    done = subprocess.run(
        [*command, "--env-file", str(env_file), "-f", str(ROOT / "docker-compose.yaml"), "config"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(env_file.parent)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def compose_command() -> list[str]:
    """Return the command of docker-compose: a program of its own, or a plugin of docker."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    part = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if shutil.which("docker") and part.returncode == 0:
        return ["docker", "compose"]
    pytest.skip("needs docker-compose, without an engine: apt-get install docker-compose")


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile's last stage sets with ENV."""
    last = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")[-1].replace("\\\n", " ")
    [line] = re.findall(r"^ENV (.*)$", last, flags=re.MULTILINE)
    return dict(item.split("=", 1) for item in shlex.split(line))


@dataclass(frozen=True)
class HostMapping:
    """The folders and ports of this machine that replace the containers' own."""

    folder: Path
    ports: Mapping[str, int]

    @classmethod
    def in_folder(cls, folder: Path, wanted: Mapping[str, int]) -> HostMapping:
        """Use these ports, and free ports for the rest. SeaweedFS also needs the port 10,000 above its own."""
        free = free_ports(len(PORTS), offset=GRPC_OFFSET)
        return cls(folder, {**dict(zip(PORTS, free, strict=True)), **wanted})

    def translate(self, text: str, service: str) -> str:
        """Replace a container's addresses and folders by this machine's."""
        for name, port in PORTS.items():
            text = re.sub(rf"\b{name}:{port}\b", f"{LOOPBACK}:{self.ports[name]}", text)
        for name in (service, "filer") if service == "s3" else (service,):
            if name in PORTS:
                text = re.sub(rf"\b127\.0\.0\.1:{PORTS[name]}\b", f"{LOOPBACK}:{self.ports[name]}", text)
        paths = {
            "/var/lib/scx": self.folder / service,
            "/opt/scx/workspace.yaml": ROOT / "deploy" / "dagster" / "workspace.yaml",
            "/opt/scx/dagster": self.folder / "dagster",
            "/data": self.folder / "s3",
        }
        for container_path, path in paths.items():
            text = re.sub(rf"(?<![\w/]){container_path}(?![\w.-])", str(path), text)
        return text.replace("0.0.0.0", LOOPBACK)

    def environment(self, variables: Mapping[str, str], service: str) -> dict[str, str]:
        """Translate a service's variables; a host and its port are in two of them."""
        translated = {name: self.translate(value, service) for name, value in variables.items()}
        for name, value in variables.items():
            if name.endswith("_HOST") and value in PORTS:
                translated[name] = LOOPBACK
                translated[name.removesuffix("_HOST") + "_PORT"] = str(self.ports[value])
        return translated

    def arguments(self, command: Sequence[str], service: str) -> list[str]:
        """Translate a service's command, including its --port."""
        port = PORTS.get(service)
        words = [self.translate(word, service) for word in command]
        for index, word in enumerate(words[1:], 1):
            if words[index - 1] == "--port" and word == str(port):
                words[index] = str(self.ports[service])
        return words
