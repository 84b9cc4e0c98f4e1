"""docker-compose.yaml as it says what to run: each service's command, environment and health check, for this machine.
The processes themselves are in services.py; no test lives here."""

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
# Where services listen in their containers.
PORTS = {"postgres": 5432, "s3": 8333, "filer": 8888, "code": 4000, "webserver": 3000}


def filled(env_file: Path) -> dict[str, Any]:
    """The compose file with its variables filled in from a .env file. That docker-compose does the same is tested."""
    lines = [line for line in env_file.read_text("utf-8").splitlines() if "=" in line and line[0] != "#"]
    known = dict(line.split("=", 1) for line in lines)

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: fill(value) for key, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        return _VARIABLE.sub(value_of, part).replace("$$", "$") if isinstance(part, str) else part

    def value_of(found: re.Match[str]) -> str:
        name, sign, rest = found.groups()
        if not known.get(name) and sign == "?":
            raise ValueError(rest)
        return known.get(name) or rest

    found: dict[str, Any] = fill(yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8")))
    return found


def resolved(env_file: Path) -> dict[str, Any]:
    """The same by docker-compose itself. Skips where there is none."""
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
    """docker-compose, as a program of its own or a part of docker's."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    part = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if shutil.which("docker") and part.returncode == 0:
        return ["docker", "compose"]
    pytest.skip("needs docker-compose, without an engine: apt-get install docker-compose")


def image_environment() -> dict[str, str]:
    """What the Dockerfile sets with ENV in its last stage."""
    last = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")[-1].replace("\\\n", " ")
    [line] = re.findall(r"^ENV (.*)$", last, flags=re.MULTILINE)
    return dict(item.split("=", 1) for item in shlex.split(line))


@dataclass(frozen=True)
class Here:
    """This machine in the place of the containers: which folder stands for which of theirs, which port for which."""

    folder: Path
    ports: Mapping[str, int]

    @classmethod
    def in_folder(cls, folder: Path, wanted: Mapping[str, int]) -> Here:
        """With these ports, and others that are free now. SeaweedFS wants a port's number plus 10,000 too."""
        others = free_ports(len(PORTS), offset=GRPC_OFFSET)
        return cls(folder, {**dict(zip(PORTS, others, strict=True)), **wanted})

    def text(self, text: str, service: str) -> str:
        """An argument or a variable of a service, with this machine's addresses and folders."""
        for name, port in PORTS.items():
            text = re.sub(rf"\b{name}:{port}\b", f"{LOOPBACK}:{self.ports[name]}", text)
        for own in (service, "filer") if service == "s3" else (service,):
            if own in PORTS:
                text = re.sub(rf"\b127\.0\.0\.1:{PORTS[own]}\b", f"{LOOPBACK}:{self.ports[own]}", text)
        paths = {
            "/var/lib/scx": self.folder / service,
            "/opt/scx/workspace.yaml": ROOT / "deploy" / "dagster" / "workspace.yaml",
            "/opt/scx/dagster": self.folder / "dagster",
            "/data": self.folder / "s3",
        }
        for theirs, ours in paths.items():
            text = re.sub(rf"(?<![\w/]){theirs}(?![\w.-])", str(ours), text)
        return text.replace("0.0.0.0", LOOPBACK)

    def environment(self, said: Mapping[str, str], service: str) -> dict[str, str]:
        """A service's variables; a host and its port stand in two of them."""
        known = {name: self.text(value, service) for name, value in said.items()}
        for name, value in said.items():
            if name.endswith("_HOST") and value in PORTS:
                known[name] = LOOPBACK
                known[name.removesuffix("_HOST") + "_PORT"] = str(self.ports[value])
        return known

    def arguments(self, said: Sequence[str], service: str) -> list[str]:
        """A service's command, its own --port included."""
        own = PORTS.get(service)
        words = [self.text(word, service) for word in said]
        for at, word in enumerate(words[1:], 1):
            if words[at - 1] == "--port" and word == str(own):
                words[at] = str(self.ports[service])
        return words
