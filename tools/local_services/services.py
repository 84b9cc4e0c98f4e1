"""The compose file's services as processes: started in its order, monitored by its health checks, and restarted.

Translating the compose file to this machine does not belong here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from scx_pipeline_tests.support.servers import postgres, s3
from scx_pipeline_tests.support.servers.ports import LOOPBACK, Account, Launch, free_ports, running
from tools.local_services.compose import ROOT, HostMapping, image_environment

VENV = ROOT / ".venv" / "bin"
TIMEOUT_SECONDS = 300.0
MAX_STARTS = 20
# Durability that only a power failure needs; a database that is killed must still have what it committed.
FAST_OPTIONS = {"fsync": "off", "full_page_writes": "off"}


class ServiceEnded(Exception):
    """A service ends whenever it is started; the message has its name and its last line of output."""

    def __init__(self, name: str, output: Sequence[str]) -> None:
        super().__init__(f"{name} ended: {' '.join(output) or 'without output'}")


@dataclass
class Service:
    """One service: how it is started on this machine, and its current process."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    check: Sequence[str]
    folder: Path
    restarts: bool
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    log: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it in a session of its own, as Docker does."""
        self.starts += 1
        directory = self.folder / f"start-{self.starts}"
        directory.mkdir(parents=True)
        if self.account:  # the watchdog of its server removes the folder
            os.chown(directory, self.account.user, self.account.group)
        launch = Launch(self.argv, directory, self.environment, self.account, self.stop_signal)
        self._log = launch.log
        self.process = self._stack.enter_context(running(launch))

    def has_ended(self) -> bool:
        """Return whether it was started, and has ended."""
        return self.process is not None and self.process.poll() is not None

    def output(self) -> str:
        """Return its output, including that of earlier processes."""
        return self.log + (self._log.read_text(errors="replace") if self._log.exists() else "")

    def reset(self) -> None:
        """Keep the output of an ended process, and forget the process."""
        self.log = self.output()
        (self.folder / "earlier.log").write_text(self.log)
        self._stack.close()
        self._stack, self.process = ExitStack(), None

    def kill(self) -> None:
        """Kill all its processes at once, as when a container or its machine fails."""
        assert self.process is not None
        for process in session_processes(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def terminate(self) -> None:
        """Send the stop signal to the first process, as `docker compose stop` does."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal)

    def wait_ended(self) -> int:
        """Wait until it has ended, and return its exit code."""
        assert self.process is not None
        return self.process.wait(self.grace)

    def is_healthy(self) -> bool:
        """Run the health check of the compose file, and return whether it passed."""
        if self.process is None or self.has_ended():
            return False
        done = subprocess.run(
            self.check, env=self.environment, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
        return done.returncode == 0


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
        more = [option for option in s3._options(ports) if ".port" in option]
        environment = {
            **spec["environment"],
            "PATH": os.environ["PATH"],
            "HOME": str(self.host.folder / "s3"),
        }
        argv = [str(s3._weed()), *given, *more]
        return Service(name, argv, environment, self._check(name, spec), self.host.folder / "s3-log", True)

    def _postgres(self, name: str, spec: Mapping[str, Any]) -> Service:
        """Create PostgreSQL from the wheel, with its data as the image creates them; init.sh runs at the first start."""
        home, account = self._home, postgres._account()
        programs = postgres._programs(home)
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
        _initdb(programs, home, environment, account)
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
        """Start all services in order, and restart each that ends."""
        self.start("postgres")
        self.start("s3")
        self.wait("postgres answers", self.services["postgres"].is_healthy)
        _first_start(self.services["postgres"])
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
        """Stop all services in reverse order of their dependencies, and return the exit codes."""
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
    with postgres._home(folder) as home:
        deployment = Deployment(config, HostMapping.in_folder(folder, ports), home)
        try:
            deployment.up()
            yield deployment
        finally:
            deployment.close()


def session_processes(session: int) -> list[psutil.Process]:
    """Return all processes of a session, which takes the place of a container."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found


def _create_dagster_home(host: HostMapping) -> None:
    """Create DAGSTER_HOME as in the image, with folders of this deployment instead of the container's /tmp."""
    home = host.folder / "dagster"
    home.mkdir()
    text = (ROOT / "dagster.yaml").read_text("utf-8")
    assert "/tmp/" in text
    (home / "dagster.yaml").write_text(text.replace("/tmp/", f"{host.folder}/tmp-"), "utf-8")


def _initdb(programs: Path, home: Path, environment: Mapping[str, str], account: Account | None) -> None:
    """Run initdb as the image's entry point does, with the compose file's arguments."""
    secret = home / "password"
    secret.write_text(environment["POSTGRES_PASSWORD"])
    if account:
        os.chown(secret, account.user, account.group)
    user = f"--username={environment['POSTGRES_USER']}"
    subprocess.run(
        [
            programs / "initdb",
            "-D",
            home / "data",
            "--no-sync",
            user,
            f"--pwfile={secret}",
            "--auth-local=reject",
            *environment["POSTGRES_INITDB_ARGS"].split(),
        ],
        check=True,
        cwd=home,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        **(account.arguments() if account else {}),
    )
    secret.unlink()


def _first_start(server: Service) -> None:
    """Do what the image does for an empty volume: create POSTGRES_DB, and run the scripts in docker-entrypoint-initdb.d."""
    environment = {**server.environment, "PGPASSWORD": server.environment["POSTGRES_PASSWORD"]}
    environment["SCX_ROLES_SQL"] = str(ROOT / "deploy" / "roles" / "postgresql.sql")
    create = [
        "psql",
        "-U",
        environment["POSTGRES_USER"],
        "-d",
        "postgres",
        "-c",
        f"CREATE DATABASE {environment['POSTGRES_DB']}",
    ]
    for command in (create, ["sh", str(ROOT / "deploy" / "postgres" / "init.sh")]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


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
