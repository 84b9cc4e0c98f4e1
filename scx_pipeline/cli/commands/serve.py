"""`scx serve`: the services of a deployment, and `scx ui`: UI and daemon on this machine. Each checks its settings before Dagster's
own program starts.

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
ui_app = typer.Typer()

Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 in a container.")]
Workspace = Annotated[
    Path, typer.Option(help="The file that names the code server: deploy/dagster/workspace.yaml.")
]
LOOPBACK = "127.0.0.1"
SERVICES = Path(scx_pipeline.__file__).with_name("services")
LOCAL_WORKSPACE = SERVICES / "workspace.yaml"
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


@ui_app.command(
    context_settings=PASS_ARGUMENTS, epilog="Example: scx ui   Example: SCX_STARS=stars scx ui --port 3001"
)
def ui(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="The port that browsers on this machine connect to.")] = 3000,
) -> None:
    """Start Dagster's UI and daemon, reachable from this machine only. Works in any folder; Ctrl-C stops them."""
    from scx_pipeline.declarations.declared_stars import load_declared_stars
    from scx_pipeline.orchestration.runs.instance import prepare_home
    from scx_pipeline.services.deployment_checks import check_address

    home = read_settings().dagster_home
    check_address(LOOPBACK, port)
    load_declared_stars()  # a mistake is one line here, and a traceback in the UI
    prepare_home(home)
    print(f"http://{LOOPBACK}:{port} (in a few seconds; Ctrl-C stops it)")
    options = ("--host", LOOPBACK, "--port", str(port), "--workspace", str(LOCAL_WORKSPACE))
    variables = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded",  # `dg dev` needs a project, this does not
    }
    # Only errors: of no use here is what Dagster starts, and that it would restart a code server when all are stopped.
    _exec_supervised("dagster", "dev", *options, "--log-level", "error", *context.args, **variables)


def _require_checks(
    service: Service, *, workspace: Path | None = None, address: tuple[str, int] | None = None
) -> None:
    """Run the checks of a service. Raises PipelineError for the first that fails."""
    from scx_pipeline.services.check import CheckContext
    from scx_pipeline.services.check_list import require_checks

    settings = read_settings()
    context = CheckContext(settings, configured_limits(settings), environment(), workspace, address)
    require_checks(service, context)


def _exec_supervised(program: str, *arguments: str, **variables: str) -> None:
    """Replace this process by the supervisor of a program: signals reach it, and its exit code is this command's.

    Args:
        variables: environment variables of the program, in addition to those of this process.
    """
    path = str(Path(sys.executable).with_name(program))
    sys.stdout.flush()
    # Isolated and without site-packages: it needs neither, and starts faster and smaller without them.
    command = [sys.executable, "-I", "-S", str(SERVICES / "supervise.py"), path, *arguments]
    os.execve(sys.executable, command, {**environment(), **variables})
