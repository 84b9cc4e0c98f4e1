"""All services of a compose file: started one after the other when their dependencies are ready, monitored, restarted and stopped.

The order is fixed in this module; health checks and restart policies are those of the compose file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scx_pipeline_tests.support.servers import postgres, s3
from scx_pipeline_tests.support.servers.ports import LOOPBACK, free_ports
from tools.local_services.compose import ROOT, HostMapping, image_environment
from tools.local_services.postgres_image import FAST_OPTIONS, first_start, initdb
from tools.local_services.services import TIMEOUT_SECONDS, Service, ServiceEnded

VENV = ROOT / ".venv" / "bin"
MAX_STARTS = 20


class Deployment:
    """All services of a compose file with its variables filled in."""

    def __init__(self, config: Mapping[str, Any], host: HostMapping, postgres_home: Path) -> None:
        self.host, self.config, self._home = host, config["services"], postgres_home
        _create_dagster_home(host)
        self.services = {name: self._service(name, spec) for name, spec in self.config.items()}
        self._healthy: set[str] = set()  # once healthy, services that depend on them may start
        self._is_up, self._stopping = False, threading.Event()

    def _service(self, name: str, spec: Mapping[str, Any]) -> Service:
        create: Callable[[str, Mapping[str, Any]], Service] = {
            "postgres": self._postgres,
            "s3": self._s3,
        }.get(name, self._own_image)
        service = create(name, spec)
        service.restarts = spec["restart"] == "unless-stopped"
        service.grace = _seconds(spec.get("stop_grace_period", "10s"))
        service.stop_signal = signal.Signals[spec.get("stop_signal", "SIGTERM")]
        return service

    def _check(self, name: str, spec: Mapping[str, Any]) -> list[str]:
        test = spec.get("healthcheck", {}).get("test", ["CMD", "true"])
        assert test[0] == "CMD"
        return self.host.arguments(test[1:], name)

    def _own_image(self, name: str, spec: Mapping[str, Any]) -> Service:
        """Create a service of the project's image; its own variables override the image's."""
        environment = self.host.environment(image_environment() | spec["environment"], name)
        environment |= {
            "PATH": f"{VENV}:{os.environ['PATH']}",
            "HOME": environment["SCX_HOME"],
            "PYTHONPATH": str(ROOT),
        }
        argv = self.host.arguments(spec["command"], name)
        Path(environment["SCX_HOME"]).mkdir()
        return Service(
            name, argv, environment, self._check(name, spec), self.host.folder / f"{name}-log", True
        )

    def _s3(self, name: str, spec: Mapping[str, Any]) -> Service:
        """Create the S3 server with the compose file's options, and free ports for everything else."""
        (self.host.folder / "s3").mkdir()
        ports = dict(zip(s3.SERVICES, free_ports(len(s3.SERVICES), offset=s3.GRPC_OFFSET), strict=True))
        ports |= {name: self.host.ports[name] for name in ("s3", "filer")}
        given = [
            word.replace("-ip=s3", f"-ip={LOOPBACK}") for word in self.host.arguments(spec["command"], name)
        ]
        more = [option for option in s3.server_options(ports) if ".port" in option]
        environment = {
            **spec["environment"],
            "PATH": os.environ["PATH"],
            "HOME": str(self.host.folder / "s3"),
        }
        argv = [str(s3.weed_program()), *given, *more]
        return Service(name, argv, environment, self._check(name, spec), self.host.folder / "s3-log", True)

    def _postgres(self, name: str, spec: Mapping[str, Any]) -> Service:
        """Create PostgreSQL from the wheel, with its data as the image creates them; init.sh runs at the first start."""
        home, account = self._home, postgres.server_account()
        programs = postgres.server_programs(home)
        words = self.host.arguments(spec["command"], name)[1:]
        listen = {
            "listen_addresses": LOOPBACK,
            "port": str(self.host.ports[name]),
            "unix_socket_directories": "",
        }
        options = [
            part for key, value in {**listen, **FAST_OPTIONS}.items() for part in ("-c", f"{key}={value}")
        ]
        environment = {
            **spec["environment"],
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LC_ALL": "C",
            "TZ": "UTC",
        }
        environment |= {"PGHOST": LOOPBACK, "PGPORT": str(self.host.ports[name])}
        argv = [str(programs / "postgres"), f"-D{home / 'data'}", *words, *options]
        check = self._check(name, spec)
        initdb(programs, home, environment, account)
        return Service(name, argv, environment, check, home / "log", True, account)

    def start(self, name: str) -> None:
        """Start a service once the services that it depends on are in the required state."""
        for other, requirement in self.config[name].get("depends_on", {}).items():
            if requirement["condition"] == "service_completed_successfully":
                self.wait(f"{other} is done", self.services[other].has_ended)
                if self.services[other].process.returncode:  # type: ignore[union-attr]
                    raise ServiceEnded(other, self.services[other].output().strip().splitlines()[-1:])
            elif other not in self._healthy:
                self.wait(f"{other} is healthy", self.services[other].is_healthy)
                self._healthy.add(other)
        self.services[name].start()

    def up(self) -> None:
        """Start all services, and restart each that ends."""
        self.start("postgres")
        self.start("s3")
        self.wait("postgres answers", self.services["postgres"].is_healthy)
        first_start(self.services["postgres"])
        for name in ("samples", "code", "webserver", "daemon"):
            self.start(name)
        self._is_up = True
        threading.Thread(target=self._restart_ended, daemon=True).start()

    def _restart_ended(self) -> None:
        """Restart services that ended, as Docker's restart policy does."""
        while not self._stopping.wait(0.2):
            for service in self.services.values():
                if service.restarts and service.has_ended():
                    service.reset()
                    service.start()

    def wait_healthy(self) -> None:
        """Wait until all long-running services are healthy."""
        for name, service in self.services.items():
            if service.restarts:
                self.wait(f"{name} is healthy", service.is_healthy)

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until a condition is true. Raises AssertionError with the services' last output if it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            self._check_ended()
            time.sleep(0.5)
        last = "\n".join(
            f"--- {name}\n{item.output()[-3000:]}" for name, item in self.services.items() if item.starts
        )
        raise AssertionError(f"not in {seconds:.0f} s: {what}\n{last}")

    def _check_ended(self) -> None:
        """Raise ServiceEnded for a service that ends whenever it is started: it will never be healthy."""
        for service in self.services.values():
            code = service.process.poll() if service.process else None
            starting = not self._is_up and code not in (None, 0)
            if starting or service.starts > MAX_STARTS:
                raise ServiceEnded(service.name, service.output().strip().splitlines()[-1:])

    def down(self) -> dict[str, int]:
        """Stop all services, those that depend on others first, and return the exit codes."""
        self._stopping.set()
        codes = {}
        for names in (("daemon", "webserver"), ("code",), ("s3", "postgres")):
            started = [self.services[name] for name in names if self.services[name].process]
            for service in started:
                service.terminate()
            codes |= {service.name: service.wait_ended() for service in started}
        return codes

    def close(self) -> None:
        """Stop and reset everything, however a test ended; in order, so that each service can end cleanly."""
        with suppress(subprocess.TimeoutExpired):
            self.down()
        for service in self.services.values():
            if service.starts:
                service.reset()


@contextmanager
def run_deployment(
    config: Mapping[str, Any], folder: Path, ports: Mapping[str, int] = {}
) -> Iterator[Deployment]:
    """Run the services of a compose file with its variables filled in, on these ports."""
    with postgres.temporary_home(folder) as home:
        deployment = Deployment(config, HostMapping.in_folder(folder, ports), home)
        try:
            deployment.up()
            yield deployment
        finally:
            deployment.close()


def _create_dagster_home(host: HostMapping) -> None:
    """Create DAGSTER_HOME as in the image, with folders of this deployment instead of the container's /tmp."""
    home = host.folder / "dagster"
    home.mkdir()
    text = (ROOT / "deploy" / "dagster" / "dagster.yaml").read_text("utf-8")
    assert "/tmp/" in text
    (home / "dagster.yaml").write_text(text.replace("/tmp/", f"{host.folder}/tmp-"), "utf-8")


def _seconds(period: str) -> float:
    """Parse a duration as Docker writes it: 1m, 30s, 1m30s."""
    units = {"m": 60.0, "s": 1.0}
    total, number = 0.0, ""
    for sign in period:
        if sign in units:
            total, number = total + float(number) * units[sign], ""
        else:
            number += sign
    return total
