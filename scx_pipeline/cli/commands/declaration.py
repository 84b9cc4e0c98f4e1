"""`scx check` and `scx schema`: whether stars are declared correctly, and what may be declared.

The rules that they must satisfy do not belong here.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import load_star_named
from scx_pipeline.cli.options import AsJson
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.count_text import count_of

app = typer.Typer()


@app.command(epilog="Example: scx check   Example: scx check scx songplays --json")
def check(
    stars: Annotated[
        list[str] | None, typer.Argument(metavar="[STAR]...", help="Stars; default: all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check defs.yaml and the SQL files of stars, without a bucket or a warehouse.

    Of each star, the first mistake is reported, with file and line. The exit code is 0 only if there is none.
    """
    from scx_pipeline.declarations.star_folder import star_names

    found: dict[str, Any] = {}
    for name in dict.fromkeys(stars or star_names()):
        try:
            star = load_star_named(name).star
        except PipelineError as error:
            found[name] = {"error": str(error)}
            rendering.print_error(str(error))
            continue
        found[name] = {
            "tables": [table.name for table in star.tables],
            "sources": [source.name for source in star.sources],
        }
        if not as_json:
            tables, sources = count_of(len(star.tables), "table"), count_of(len(star.sources), "source")
            rendering.print_line(f"{name}: valid, with {tables} from {sources}")
    if as_json:
        rendering.print_json({"stars": found})
    if any("error" in facts for facts in found.values()):
        raise typer.Exit(1)


@app.command(epilog="Example: scx schema > defs.schema.json")
def schema() -> None:
    """Print the JSON schema of defs.yaml, by which an editor completes keys and marks mistakes (docs/declaration.md)."""
    from scx_pipeline.declarations.declaration_schema import declaration_schema

    rendering.print_json(declaration_schema())
