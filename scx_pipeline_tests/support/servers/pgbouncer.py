"""A real PgBouncer in transaction mode in front of a PostgreSQL server, if the system has one.

It refuses to run as root, so it runs as another user then.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from scx_pipeline_tests.support.servers import postgres as servers
from scx_pipeline_tests.support.servers.ports import LOOPBACK, Launch, enter, free_ports, running, wait_until
from scx_pipeline_tests.support.servers.postgres import LOADER, PostgresServer

POOL = 3  # connections to the server


@dataclass(frozen=True)
class PgBouncer:
    """A running pooler."""

    port: int

    def url(self, database: str) -> str:
        """Return the pooler's URL of a database, for the loading role."""
        return f"postgresql://{LOADER}@{LOOPBACK}:{self.port}/{database}"


def program() -> str | None:
    """Return the path of PgBouncer, or None if it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


@contextmanager
def pgbouncer(postgres: PostgresServer, database: str, mode: str = "transaction") -> Iterator[PgBouncer]:
    """Run a pooler of one database."""
    with ExitStack() as stack:
        yield enter(stack, lambda: _serve(postgres, database, mode))


@contextmanager
def _serve(postgres: PostgresServer, database: str, mode: str) -> Iterator[PgBouncer]:
    found, user = program(), servers.server_account()
    assert found
    with tempfile.TemporaryDirectory(prefix="scx-pgbouncer-", ignore_cleanup_errors=True) as name:
        home, [port] = Path(name), free_ports(1)
        password = postgres.password.replace("'", "''")
        (home / "pgbouncer.ini").write_text(
            f"[databases]\n{database} = host={LOOPBACK} port={postgres.port} user={LOADER} password='{password}'\n"
            f"[pgbouncer]\nlisten_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {mode}\ndefault_pool_size = {POOL}\nserver_round_robin = 1\n"
        )
        if user:
            for path in (home, home / "pgbouncer.ini"):
                os.chown(path, user.user, user.group)
        launch = Launch([found, str(home / "pgbouncer.ini")], home, {"PATH": os.defpath}, user)
        with running(launch) as process:
            made = PgBouncer(port)
            wait_until(lambda: _answers(made, database), process, launch.log)
            yield made


def _answers(pooler: PgBouncer, database: str) -> bool:
    try:
        psycopg2.connect(pooler.url(database), connect_timeout=2).close()
        return True
    except psycopg2.OperationalError:
        return False
