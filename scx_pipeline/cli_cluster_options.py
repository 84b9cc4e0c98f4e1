"""What the `scx cluster` commands have in common: options, the question before something is removed, and progress.
The commands are in `cli_cluster` and `cli_cluster_spark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.errors import SettingsError

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="A YAML file of settings, such as `bucket: s3://scx-logs`."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the settings and policies, and change nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script instead of a table.")]


def ask_for_name(what: str, name: str) -> None:
    """Have the name typed of what is to be removed. Raises SettingsError where it is another."""
    given = typer.prompt(f"This removes the {what} {name}. Its name, to go on")
    if given != name:
        raise SettingsError(f"{given!r} is not {name!r}: nothing was changed")


def notify(message: str) -> None:
    """Tell how far something is, beside the output."""
    rendering.err.print(message, markup=False, style="dim")
