"""The `scx serve` commands: the services of a deployment, each looked over before Dagster's own program is started.
What is looked at is in `preflight`, how a service stops in `supervise`; the other commands are in `cli`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from scx_pipeline.cli.options import limits_of
from scx_pipeline.settings import Settings, environment, read_settings

app = typer.Typer(
    no_args_is_help=True,
    help="Start a service of a deployment: the code server, the UI or the daemon.\n\n"
    "Each looks at its settings first, and ends with one line that names what is wrong. What follows -- goes to Dagster.",
)

Host = Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 in a container.")]
Workspace = Annotated[
    Path, typer.Option(help="The file that says where the code server is: deploy/dagster/workspace.yaml.")
]
_MORE = {"allow_extra_args": True, "ignore_unknown_options": False}


@app.command(context_settings=_MORE, epilog="Example: scx serve code --host 0.0.0.0 --port 4000")
def code(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where the UI and the daemon find it.")] = 4000,
) -> None:
    """The code server: it knows the stars, and runs are its child processes. It alone needs bucket and warehouse."""
    from scx_pipeline.services import preflight

    settings = _checked()
    preflight.check_location(settings, limits_of(settings), environment())
    preflight.check_port(preflight.Address(host, port))
    # Not `dagster code-server`: it would load the code anew at a click, which an image never changes, and it does not
    # tell which runs it has (orchestration/runs/launcher.py asks).
    module = ("--module-name", "scx_pipeline.definitions", "--location-name", "scx_pipeline")
    _become("dagster", "api", "grpc", "--host", host, "--port", str(port), *module, *context.args)


@app.command(context_settings=_MORE, epilog="Example: scx serve webserver --host 0.0.0.0 -- --read-only")
def webserver(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where the browser finds it.")] = 3000,
    workspace: Workspace = Path("deploy/dagster/workspace.yaml"),
) -> None:
    """Dagster's UI. It has no login of its own: see docs/security.md before others can reach it."""
    from scx_pipeline.services import preflight

    _checked()
    preflight.check_workspace(workspace, environment())
    preflight.check_port(preflight.Address(host, port))
    where = ("--host", host, "--port", str(port), "--workspace", str(workspace))
    _become("dagster-webserver", *where, *context.args)


@app.command(context_settings=_MORE, epilog="Example: scx serve daemon")
def daemon(context: typer.Context, workspace: Workspace = Path("deploy/dagster/workspace.yaml")) -> None:
    """Dagster's daemon, of which there must be one: sensors, schedules, the queue of runs, retries."""
    from scx_pipeline.services import preflight

    _checked()
    preflight.check_workspace(workspace, environment())
    _become("dagster-daemon", "run", "--workspace", str(workspace), *context.args)


def _checked() -> Settings:
    """The settings, when Dagster's instance can be opened with them. Raises PipelineError."""
    from scx_pipeline.services import preflight

    settings = read_settings()
    preflight.check_passwords(settings, environment())
    preflight.check_instance(settings.dagster_home, environment())
    return settings


def _become(program: str, *arguments: str) -> None:
    """Go on as what supervises a program of the same installation, in this process: signals reach it, its exit code is ours."""
    path = str(Path(sys.executable).with_name(program))
    sys.stdout.flush()
    supervisor = str(Path(__file__).parents[1] / "services" / "supervise.py")
    # Isolated and without site-packages: it needs neither, and is small and quick that way.
    os.execv(sys.executable, [sys.executable, "-I", "-S", supervisor, path, *arguments])
