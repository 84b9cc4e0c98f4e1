"""`make up`: the compose file's services as processes of this machine, for who has no Docker, until Ctrl-C.
How they are started is in services.py; nothing of them stays when they stop."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from scx_pipeline_tests.deploy.compose import ROOT, filled
from scx_pipeline_tests.deploy.services import Deployment, deployed

PORTS = {"webserver": "SCX_UI_PORT", "postgres": "SCX_POSTGRES_PORT", "s3": "SCX_S3_PORT"}


def main() -> None:
    """Start all, say where they are, and stop them when told to."""
    env_file = ROOT / ".env"
    if not env_file.exists():
        sys.exit("error: there is no .env: cp .env.example .env")
    config = filled(env_file)
    published = {name: config["services"][name]["ports"][0].split(":")[1] for name in PORTS}
    ports = {name: int(port) for name, port in published.items()}
    print("starting PostgreSQL, S3, code server, UI and daemon; a minute or less", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="scx-up-") as folder:
        try:
            with deployed(config, Path(folder), ports) as deployment:
                deployment.wait_healthy()
                print(where(deployment), flush=True)
                signal.pause()
        except KeyboardInterrupt:
            print("stopped")


def where(deployment: Deployment) -> str:
    """Where the services are, and how to look into them."""
    ports, known = deployment.here.ports, deployment.services["code"].environment
    return "\n".join(
        [
            f"UI        http://127.0.0.1:{ports['webserver']}",
            f"database  postgresql://scx_analyst@127.0.0.1:{ports['postgres']}/dev (SCX_ANALYST_PASSWORD of .env)",
            f"bucket    {known['SCX_BUCKET_URL']} at http://127.0.0.1:{ports['s3']} (S3_ACCESS_KEY, S3_SECRET_KEY of .env)",
            f"output    {deployment.here.folder}/*-log/start-*/server.log",
            "Ctrl-C stops all, and removes what they hold",
        ]
    )


if __name__ == "__main__":
    main()
