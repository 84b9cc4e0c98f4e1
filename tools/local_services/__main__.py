"""`make up`: the compose file's services as processes of this machine, for who has no Docker, until Ctrl-C.
How they are started is in services.py; nothing of them stays when they stop."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from scx_pipeline.errors import PipelineError, SettingsError
from scx_pipeline.services.preflight import Address, check_port
from scx_pipeline_tests.support.servers.ports import LOOPBACK
from tools.local_services.compose import ROOT, filled
from tools.local_services.services import Deployment, ServiceEnded, deployed

STOPS = (signal.SIGINT, signal.SIGTERM)
PORTS = {"webserver": "SCX_UI_PORT", "postgres": "SCX_POSTGRES_PORT", "s3": "SCX_S3_PORT"}


def main() -> None:
    """Start all, say where they are, and stop them when told to."""
    env_file = ROOT / ".env"
    if not env_file.exists():
        sys.exit("error: there is no .env: cp .env.example .env")
    try:
        config = filled(env_file)
        ports = {
            name: free(config["services"][name]["ports"][0].split(":")[1], PORTS[name]) for name in PORTS
        }
    except (ValueError, PipelineError) as error:
        sys.exit(f"error: {error}")
    print("starting PostgreSQL, S3, code server, UI and daemon; a minute or less", flush=True)
    for number in STOPS:  # which a script's background would not have reach us
        signal.signal(number, interrupt)
    with tempfile.TemporaryDirectory(prefix="scx-up-") as folder:
        print(f"output    {folder}/*-log/start-*/server.log", flush=True)
        try:
            with deployed(config, Path(folder), ports) as deployment:
                deployment.wait_healthy()
                print(where(deployment), flush=True)
                signal.pause()
        except ServiceEnded as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            print("stopped")


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Stop once: another Ctrl-C must not end the stopping."""
    for other in STOPS:
        signal.signal(other, signal.SIG_IGN)
    print("stopping", flush=True)
    raise KeyboardInterrupt


def free(port: str, setting: str) -> int:
    """A port of .env that nobody listens on. Raises SettingsError otherwise."""
    if not port.isdigit():
        raise SettingsError(f"{setting} is {port!r}, which is no number; such as 3000")
    check_port(Address(LOOPBACK, int(port)), setting)
    return int(port)


def where(deployment: Deployment) -> str:
    """Where the services are, and how to look into them."""
    ports, known = deployment.here.ports, deployment.services["code"].environment
    return "\n".join(
        [
            f"UI        http://127.0.0.1:{ports['webserver']}",
            f"database  postgresql://scx_analyst@127.0.0.1:{ports['postgres']}/dev (SCX_ANALYST_PASSWORD of .env)",
            f"bucket    {known['SCX_BUCKET_URL']} at http://127.0.0.1:{ports['s3']} (S3_ACCESS_KEY, S3_SECRET_KEY of .env)",
            "Ctrl-C stops all, and removes what they hold",
        ]
    )


if __name__ == "__main__":
    main()
