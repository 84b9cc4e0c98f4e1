"""`make up`: the compose file's services as local processes, for machines without Docker, until Ctrl-C.

Nothing of them is left when they stop.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from scx_pipeline.errors import PipelineError, SettingsError
from scx_pipeline.services.deployment_checks import check_address
from scx_pipeline_tests.support.servers.ports import LOOPBACK
from tools.local_services.compose import ROOT, fill_compose_file
from tools.local_services.deployment import Deployment, run_deployment
from tools.local_services.services import ServiceEnded

STOPS = (signal.SIGINT, signal.SIGTERM)
PORTS = {"webserver": "SCX_UI_PORT", "postgres": "SCX_POSTGRES_PORT", "s3": "SCX_S3_PORT"}


def main() -> None:
    """Start all services, print their addresses, and stop them on Ctrl-C or SIGTERM."""
    env_file = ROOT / ".env"
    if not env_file.exists():
        sys.exit("error: there is no .env: cp .env.example .env")
    try:
        config = fill_compose_file(env_file)
        ports = {
            name: check_free_port(config["services"][name]["ports"][0].split(":")[1], PORTS[name])
            for name in PORTS
        }
    except (ValueError, PipelineError) as error:
        sys.exit(f"error: {error}")
    print("starting PostgreSQL, S3, code server, UI and daemon; a minute or less", flush=True)
    for number in STOPS:  # a script's background process ignores SIGINT by default
        signal.signal(number, interrupt)
    with tempfile.TemporaryDirectory(prefix="scx-up-") as folder:
        print(f"output    {folder}/*-log/start-*/server.log", flush=True)
        try:
            with run_deployment(config, Path(folder), ports) as deployment:
                deployment.wait_healthy()
                print(describe_addresses(deployment), flush=True)
                signal.pause()
        except ServiceEnded as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            print("stopped")


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt once: another Ctrl-C must not interrupt the shutdown."""
    for item in STOPS:
        signal.signal(item, signal.SIG_IGN)
    print("stopping", flush=True)
    raise KeyboardInterrupt


def check_free_port(port: str, setting: str) -> int:
    """Return a port of .env that no process listens on. Raises SettingsError otherwise."""
    if not port.isdigit():
        raise SettingsError(f"{setting} is {port!r}, not a port number; for example, 3000")
    check_address(LOOPBACK, int(port), setting)
    return int(port)


def describe_addresses(deployment: Deployment) -> str:
    """Return the addresses of the services and the settings of their logins."""
    ports, environment = deployment.host.ports, deployment.services["code"].environment
    return "\n".join(
        [
            f"UI        http://127.0.0.1:{ports['webserver']}",
            f"database  postgresql://scx_analyst@127.0.0.1:{ports['postgres']}/dev (SCX_ANALYST_PASSWORD of .env)",
            f"bucket    {environment['SCX_BUCKET_URL']} at http://127.0.0.1:{ports['s3']} (S3_ACCESS_KEY, S3_SECRET_KEY of .env)",
            "Ctrl-C stops all services, and removes their data",
        ]
    )


if __name__ == "__main__":
    main()
