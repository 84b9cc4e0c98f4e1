"""What the image of PostgreSQL does before it serves: initdb, the database, and its scripts for an empty volume.

The server itself is a service like the others.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from scx_pipeline_tests.support.servers.ports import Account
from tools.local_services.compose import ROOT
from tools.local_services.services import Service

# Durability that only a power failure needs; a database that is killed must still have what it committed.
FAST_OPTIONS = {"fsync": "off", "full_page_writes": "off"}


def initdb(programs: Path, home: Path, environment: Mapping[str, str], account: Account | None) -> None:
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


def first_start(server: Service) -> None:
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
