"""`scx new`: a star of the files that a user has, written, loaded and explained.

How its parts are guessed does not belong here.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.commands.generate import create_home
from scx_pipeline.cli.options import DueMonths, expand_option_groups
from scx_pipeline.cli.row_sources import object_source
from scx_pipeline.cli.runs import run_and_report
from scx_pipeline.errors import PipelineError
from scx_pipeline.inference.guess import Choices
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.inference.proposal import Proposal
    from scx_pipeline.inference.sample_files import SampleFiles

app = typer.Typer()


@dataclass(frozen=True)
class NewStarOptions:
    """The options of a new star."""

    from_: Annotated[
        list[str] | None,
        typer.Option(
            "--from", metavar="FILES…", help="Sample files: paths, folders, patterns, or s3:// URLs."
        ),
    ] = None
    folder: Annotated[
        Path | None,
        typer.Option(help="The folder of stars to write it to; default: that of SCX_STARS, or ./stars."),
    ] = None
    schema: Annotated[
        str | None, typer.Option(help="The schema of its tables; default: the star's name.")
    ] = None
    event_time: Annotated[
        str | None, typer.Option(help="The column of the event time, instead of a guess.")
    ] = None
    key: Annotated[
        str | None, typer.Option(metavar="COLUMN[,COLUMN]", help="The key, instead of a guess.")
    ] = None
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask about event time and key.")] = False
    no_load: Annotated[bool, typer.Option("--no-load", help="Write the star, and do not load it.")] = False

    def choices(self) -> Choices:
        """Return what is chosen, and not guessed."""
        return Choices(self.event_time, None if self.key is None else _split_key(self.key))


@app.command(
    epilog="Example: scx new sales --from exports/*.csv   Example: scx new sales --from s3://shop/exports/ --no-load"
)
@expand_option_groups
def new(
    star: Annotated[str, typer.Argument(metavar="STAR", help="The name of the new star.")],
    options: NewStarOptions,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILES]...", help="More sample files.")
    ] = None,
) -> None:
    """Write a star that loads files like these, load it, and show what was guessed.

    Format, dialect, types, null values, event time, key, months and dimensions are guessed from the files: read the guesses, and
    correct defs.yaml. Nothing is asked without --interactive.
    """
    from scx_pipeline.inference.new_star import create_default_bucket, url_of, write_star

    settings = read_settings()
    folder = _target(star, options, settings)
    found = _find([*(options.from_ or []), *(files or [])], settings)
    proposal = _propose(star, found, options.choices(), settings)
    if options.interactive:
        proposal = _propose(star, found, _ask(proposal), settings)
    write_star(folder, options.schema or star, proposal, url_of(found, settings))
    create_home(settings)
    create_default_bucket(settings)
    _show(proposal, folder)
    is_declared = str(folder.parent) in settings.stars.split(os.pathsep)
    export = "" if is_declared else f"export SCX_STARS={shlex.quote(str(folder.parent))}, then "
    try:
        if not options.no_load:
            _load(folder, settings)
    except (PipelineError, typer.Exit):
        declaration = folder / "defs.yaml"
        rendering.print_line(f"The star is written: correct {declaration}; {export}scx load {star} --changed")
        raise
    rendering.print_line(f"Next: {export}scx status {star}, scx analyze {star}, scx ui")


def _target(star: str, options: NewStarOptions, settings: Settings) -> Path:
    """Return the folder to write. Raises PipelineError if it exists, or if a name is not valid."""
    from scx_pipeline.declarations.declared_stars import SAMPLES
    from scx_pipeline.inference.new_star import check_name

    check_name(star)
    check_name(options.schema or star)
    declared = [name for name in settings.stars.split(os.pathsep) if name not in ("", SAMPLES)]
    target = (options.folder or Path(declared[0] if declared else "stars")).expanduser().absolute() / star
    if target.exists():
        raise PipelineError(f"{target} exists: choose another name, or remove the folder")
    return target


def _find(names: Sequence[str], settings: Settings) -> SampleFiles:
    from scx_pipeline.inference.sample_files import find_sample_files

    if not names:
        raise PipelineError("name sample files: scx new STAR --from FILES…")
    return find_sample_files(names, settings.bucket)


def _propose(star: str, found: SampleFiles, choices: Choices, settings: Settings) -> Proposal:
    """Read the files and propose a star, showing what is going on."""
    from scx_pipeline.inference.new_star import propose

    with rendering.err.status(f"reading {len(found.objects):,} of {len(found.keys):,} files"):
        return propose(star, found, choices, settings)


def _ask(proposal: Proposal) -> Choices:
    """Ask for event time and key, with the guesses as defaults."""
    columns = ", ".join(column.name for column in proposal.design.columns)
    rendering.print_line(f"columns: {columns}")
    event_time = typer.prompt("event time (empty: none)", default=proposal.design.event_time or "")
    key = typer.prompt("key (empty: rows may repeat)", default=",".join(proposal.design.key))
    return Choices(event_time, _split_key(key))


def _split_key(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _show(proposal: Proposal, folder: Path) -> None:
    rows = [(item.subject, item.decision, f"{item.share:.0%}", item.reason) for item in proposal.guesses]
    rendering.print_table(
        f"Guesses from {proposal.rows:,} rows: correct {folder / 'defs.yaml'} where one is wrong",
        ["what", "guess", "of the rows", "why"],
        rows,
    )
    if proposal.omitted:
        rendering.print_line(
            f"Not loaded, as no column can hold them: {', '.join(proposal.omitted)}", "yellow"
        )


def _load(folder: Path, settings: Settings) -> None:
    """Load all months of the star."""
    from scx_pipeline.declarations.star_folder import load_star

    run_and_report(load_star(folder), object_source(settings), DueMonths.CHANGED, as_json=False)
