"""`scx serve`: the services of a deployment; each checks its settings before Dagster's own program starts.

What the services do afterwards is Dagster's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import scx_pipeline
from scx_pipeline.cli.configured import configured_limits
from scx_pipeline.settings import environment, read_settings

if TYPE_CHECKING:
    from scx_pipeline.services.check import Service

app = typer.Typer(
    no_args_is_help=True,
    help="Start a service of a deployment: the code server, the UI or the daemon.\n\n"
    "Each service checks its settings first, and exits with one line that says what is wrong. Arguments after -- are passed to Dagster.",
)

Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 in a container.")]
Workspace = Annotated[
    Path, typer.Option(help="The file that names the code server: deploy/dagster/workspace.yaml.")
]
WORKSPACE = Path("deploy/dagster/workspace.yaml")
PASS_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": False}


@app.command(context_settings=PASS_ARGUMENTS, epilog="Example: scx serve code --host 0.0.0.0 --port 4000")
def code(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port that the UI and the daemon connect to.")] = 4000,
) -> None:
    """The code server: it loads the stars, and runs are its child processes. Only it needs bucket and warehouse."""
    _require_checks("code", address=(host, port))
    # Not `dagster code-server`: it can reload the code, which an image never changes, and it does not report which runs
    # it has, which the run launcher asks for.
    module = ("--module-name", "scx_pipeline.definitions", "--location-name", "scx_pipeline")
    _exec_supervised("dagster", "api", "grpc", "--host", host, "--port", str(port), *module, *context.args)


@app.command(
    context_settings=PASS_ARGUMENTS, epilog="Example: scx serve webserver --host 0.0.0.0 -- --read-only"
)
def webserver(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port that browsers connect to.")] = 3000,
    workspace: Workspace = WORKSPACE,
) -> None:
    """Dagster's UI. It has no login of its own: see docs/security.md before others can reach it."""
    _require_checks("webserver", workspace=workspace, address=(host, port))
    options = ("--host", host, "--port", str(port), "--workspace", str(workspace))
    _exec_supervised("dagster-webserver", *options, *context.args)


@app.command(context_settings=PASS_ARGUMENTS, epilog="Example: scx serve daemon")
def daemon(context: typer.Context, workspace: Workspace = WORKSPACE) -> None:
    """Dagster's daemon: sensors, schedules, the run queue and retries. A deployment has exactly one."""
    _require_checks("daemon", workspace=workspace)
    _exec_supervised("dagster-daemon", "run", "--workspace", str(workspace), *context.args)


def _require_checks(
    service: Service, *, workspace: Path | None = None, address: tuple[str, int] | None = None
) -> None:
    """Run the checks of a service. Raises PipelineError for the first that fails."""
    from scx_pipeline.services.check import CheckContext
    from scx_pipeline.services.check_list import require_checks

    settings = read_settings()
    context = CheckContext(settings, configured_limits(settings), environment(), workspace, address)
    require_checks(service, context)


def _exec_supervised(program: str, *arguments: str) -> None:
    """Replace this process by the supervisor of a program: signals reach it, and its exit code is this command's."""
    path = str(Path(sys.executable).with_name(program))
    sys.stdout.flush()
    supervisor = str(Path(scx_pipeline.__file__).with_name("services") / "supervise.py")
    # Isolated and without site-packages: it needs neither, and starts faster and smaller without them.
    os.execv(sys.executable, [sys.executable, "-I", "-S", supervisor, path, *arguments])
