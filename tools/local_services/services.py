"""The compose file's services as processes: started in its order, looked at by its health checks, and started again.
What is asked of them is in test_compose.py."""

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
from tools.local_services.compose import ROOT, Here, image_environment

VENV = ROOT / ".venv" / "bin"
PATIENCE = 300.0
MOST_STARTS = 20
# What only a power cut would show; the rest stays, as a database that is killed must have what it said it has.
QUICK = {"fsync": "off", "full_page_writes": "off"}


class ServiceEnded(Exception):
    """A service ends whenever it is started: its name, and the last line that it printed."""

    def __init__(self, name: str, said: Sequence[str]) -> None:
        super().__init__(f"{name} ended: {' '.join(said) or 'it said nothing'}")


@dataclass
class Service:
    """One service: how it is started here, and the process that it is now."""

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
        """As Docker does, in a session of its own."""
        self.starts += 1
        directory = self.folder / f"start-{self.starts}"
        directory.mkdir(parents=True)
        if self.account:  # whose server's watchdog removes it
            os.chown(directory, self.account.user, self.account.group)
        launch = Launch(self.argv, directory, self.environment, self.account, self.stop_signal)
        self._log = launch.log
        self.process = self._stack.enter_context(running(launch))

    def gone(self) -> bool:
        """Whether it was started, and has ended."""
        return self.process is not None and self.process.poll() is not None

    def output(self) -> str:
        """What it has printed, now and in earlier lives."""
        return self.log + (self._log.read_text(errors="replace") if self._log.exists() else "")

    def bury(self) -> None:
        """Keep what an ended process printed, and forget it."""
        self.log = self.output()
        (self.folder / "earlier.log").write_text(self.log)
        self._stack.close()
        self._stack, self.process = ExitStack(), None

    def kill(self) -> None:
        """As when a container or its machine goes: all its processes, at once."""
        assert self.process is not None
        for process in processes_of(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def ask_to_stop(self) -> None:
        """As `docker compose stop` does: the signal goes to the first process."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal)

    def stopped(self) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        return self.process.wait(self.grace)

    def healthy(self) -> bool:
        """What the health check of the compose file says now."""
        if self.process is None or self.gone():
            return False
        done = subprocess.run(
            self.check, env=self.environment, capture_output=True, timeout=PATIENCE, check=False
        )
        return done.returncode == 0


class Deployment:
    """All services of a compose file whose variables are filled in."""

    def __init__(self, config: Mapping[str, Any], here: Here, postgres_home: Path) -> None:
        self.here, self.config, self._home = here, config["services"], postgres_home
        _instance(here)
        self.services = {name: self._service(name, said) for name, said in self.config.items()}
        self._seen: set[str] = set()  # healthy, as Docker keeps it of what others depend on
        self._kept, self._keeping = False, threading.Event()

    def _service(self, name: str, said: Mapping[str, Any]) -> Service:
        make: Callable[[str, Mapping[str, Any]], Service] = {"postgres": self._postgres, "s3": self._s3}.get(
            name, self._ours
        )
        service = make(name, said)
        service.restarts = said["restart"] == "unless-stopped"
        service.grace = _seconds(said.get("stop_grace_period", "10s"))
        service.stop_signal = signal.Signals[said.get("stop_signal", "SIGTERM")]
        return service

    def _check(self, name: str, said: Mapping[str, Any]) -> list[str]:
        test = said.get("healthcheck", {}).get("test", ["CMD", "true"])
        assert test[0] == "CMD"
        return self.here.arguments(test[1:], name)

    def _ours(self, name: str, said: Mapping[str, Any]) -> Service:
        """One of the image: its variables below the service's."""
        known = self.here.environment(image_environment() | said["environment"], name)
        known |= {"PATH": f"{VENV}:{os.environ['PATH']}", "HOME": known["SCX_HOME"], "PYTHONPATH": str(ROOT)}
        argv = self.here.arguments(said["command"], name)
        Path(known["SCX_HOME"]).mkdir()
        return Service(name, argv, known, self._check(name, said), self.here.folder / f"{name}-log", True)

    def _s3(self, name: str, said: Mapping[str, Any]) -> Service:
        """weed, with the compose file's options, and all other ports elsewhere than its own."""
        (self.here.folder / "s3").mkdir()
        ports = dict(zip(s3.SERVICES, free_ports(len(s3.SERVICES), offset=s3.GRPC_OFFSET), strict=True))
        ports |= {name: self.here.ports[name] for name in ("s3", "filer")}
        given = [
            word.replace("-ip=s3", f"-ip={LOOPBACK}") for word in self.here.arguments(said["command"], name)
        ]
        more = [option for option in s3._options(ports) if ".port" in option]
        known = {**said["environment"], "PATH": os.environ["PATH"], "HOME": str(self.here.folder / "s3")}
        argv = [str(s3._weed()), *given, *more]
        return Service(name, argv, known, self._check(name, said), self.here.folder / "s3-log", True)

    def _postgres(self, name: str, said: Mapping[str, Any]) -> Service:
        """PostgreSQL out of the wheel, its data made as the image makes them; init.sh comes at the first start."""
        home, account = self._home, postgres._account()
        programs = postgres._programs(home)
        words = self.here.arguments(said["command"], name)[1:]
        listen = {
            "listen_addresses": LOOPBACK,
            "port": str(self.here.ports[name]),
            "unix_socket_directories": "",
        }
        options = [part for key, value in {**listen, **QUICK}.items() for part in ("-c", f"{key}={value}")]
        known = {
            **said["environment"],
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LC_ALL": "C",
            "TZ": "UTC",
        }
        known |= {"PGHOST": LOOPBACK, "PGPORT": str(self.here.ports[name])}
        argv = [str(programs / "postgres"), f"-D{home / 'data'}", *words, *options]
        check = self._check(name, said)
        _initdb(programs, home, known, account)
        return Service(name, argv, known, check, home / "log", True, account)

    def start(self, name: str) -> None:
        """Start a service when what it depends on is as it wants it."""
        for other, wanted in self.config[name].get("depends_on", {}).items():
            if wanted["condition"] == "service_completed_successfully":
                self.wait(f"{other} is done", self.services[other].gone)
                if self.services[other].process.returncode:  # type: ignore[union-attr]
                    raise ServiceEnded(other, self.services[other].output().strip().splitlines()[-1:])
            elif other not in self._seen:
                self.wait(f"{other} is healthy", self.services[other].healthy)
                self._seen.add(other)
        self.services[name].start()

    def up(self) -> None:
        """Start all, in the order that they want, and from then on again whenever one ends."""
        self.start("postgres")
        self.start("s3")
        self.wait("postgres answers", self.services["postgres"].healthy)
        _first_start(self.services["postgres"])
        for name in ("samples", "code", "webserver", "daemon"):
            self.start(name)
        self._kept = True
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        """Docker's restart policy."""
        while not self._keeping.wait(0.2):
            for service in self.services.values():
                if service.restarts and service.gone():
                    service.bury()
                    service.start()

    def wait_healthy(self) -> None:
        """Until all that go on are healthy."""
        for name, service in self.services.items():
            if service.restarts:
                self.wait(f"{name} is healthy", service.healthy)

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Until it is so; what the services printed last, if it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            self._look_for_ended()
            time.sleep(0.5)
        last = "\n".join(
            f"--- {name}\n{item.output()[-3000:]}" for name, item in self.services.items() if item.starts
        )
        raise AssertionError(f"not in {seconds:.0f} s: {what}\n{last}")

    def _look_for_ended(self) -> None:
        """One that ends as often as it is started never becomes healthy; what it said last is why."""
        for service in self.services.values():
            code = service.process.poll() if service.process else None
            starting = not self._kept and code not in (None, 0)
            if starting or service.starts > MOST_STARTS:
                raise ServiceEnded(service.name, service.output().strip().splitlines()[-1:])

    def down(self) -> dict[str, int]:
        """Stop all in the reverse order, at once what nothing else depends on; the exit codes."""
        self._keeping.set()
        codes = {}
        for names in (("daemon", "webserver"), ("code",), ("s3", "postgres")):
            started = [self.services[name] for name in names if self.services[name].process]
            for service in started:
                service.ask_to_stop()
            codes |= {service.name: service.stopped() for service in started}
        return codes

    def close(self) -> None:
        """Leave nothing behind, however a test ended: in order, so that none misses what it needs to end quietly."""
        with suppress(subprocess.TimeoutExpired):
            self.down()
        for service in self.services.values():
            if service.starts:
                service.bury()


@contextmanager
def deployed(config: Mapping[str, Any], folder: Path, ports: Mapping[str, int] = {}) -> Iterator[Deployment]:
    """The services of a compose file whose variables are filled in, all started; those ports are theirs."""
    with postgres._home(folder) as home:
        deployment = Deployment(config, Here.in_folder(folder, ports), home)
        try:
            deployment.up()
            yield deployment
        finally:
            deployment.close()


def processes_of(session: int) -> list[psutil.Process]:
    """All processes of a session, which is what a container's are here."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found


def _instance(here: Here) -> None:
    """DAGSTER_HOME as the image has it, but that a container's /tmp is a folder of ours."""
    home = here.folder / "dagster"
    home.mkdir()
    text = (ROOT / "dagster.yaml").read_text("utf-8")
    assert "/tmp/" in text
    (home / "dagster.yaml").write_text(text.replace("/tmp/", f"{here.folder}/tmp-"), "utf-8")


def _initdb(programs: Path, home: Path, known: Mapping[str, str], account: Account | None) -> None:
    """What the image's entry point does first, with the compose file's arguments."""
    secret = home / "password"
    secret.write_text(known["POSTGRES_PASSWORD"])
    if account:
        os.chown(secret, account.user, account.group)
    user = f"--username={known['POSTGRES_USER']}"
    subprocess.run(
        [
            programs / "initdb",
            "-D",
            home / "data",
            "--no-sync",
            user,
            f"--pwfile={secret}",
            "--auth-local=reject",
            *known["POSTGRES_INITDB_ARGS"].split(),
        ],
        check=True,
        cwd=home,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        **(account.arguments() if account else {}),
    )
    secret.unlink()


def _first_start(server: Service) -> None:
    """What the image does when the volume is empty: the database POSTGRES_DB, and the scripts in docker-entrypoint-initdb.d."""
    known = {**server.environment, "PGPASSWORD": server.environment["POSTGRES_PASSWORD"]}
    known["SCX_ROLES_SQL"] = str(ROOT / "deploy" / "roles" / "postgresql.sql")
    make = [
        "psql",
        "-U",
        known["POSTGRES_USER"],
        "-d",
        "postgres",
        "-c",
        f"CREATE DATABASE {known['POSTGRES_DB']}",
    ]
    for command in (make, ["sh", str(ROOT / "deploy" / "postgres" / "init.sh")]):
        done = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _seconds(period: str) -> float:
    """Docker's way of writing a time: 1m, 30s, 1m30s."""
    units = {"m": 60.0, "s": 1.0}
    total, number = 0.0, ""
    for sign in period:
        if sign in units:
            total, number = total + float(number) * units[sign], ""
        else:
            number += sign
    return total
