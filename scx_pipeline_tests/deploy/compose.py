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

from scx_pipeline_tests.servers.ports import LOOPBACK, free_ports
from scx_pipeline_tests.servers.s3 import GRPC_OFFSET

ROOT = Path(__file__).parents[2]
# Where services listen in their containers; one of each number is free here.
PORTS = {"postgres": 5432, "s3": 8333, "filer": 8888, "code": 4000, "webserver": 3000}


def resolved(env_file: Path) -> dict[str, Any]:
    """The compose file with its variables filled in, by docker-compose itself. Skips where there is none."""
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
    samples = found["services"]["samples"]
    samples["command"] = [word.replace("$$", "$") for word in samples["command"]]  # as it prints a $
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
    def in_folder(cls, folder: Path) -> Here:
        """With ports that are free now. SeaweedFS wants its port plus 10,000 too."""
        others = free_ports(len(PORTS), offset=GRPC_OFFSET)
        return cls(folder, dict(zip(PORTS, others, strict=True)))

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
