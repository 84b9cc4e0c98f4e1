"""`scx check`, `scx schema` and `scx ddl`: whether stars are declared correctly, what may be declared, and the tables that follow.

The rules that they must satisfy do not belong here.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import load_star_named
from scx_pipeline.cli.options import AsJson, StarName
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.count_text import count_of
from scx_pipeline.settings import read_settings
from scx_pipeline.warehouse.capabilities import Engine

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


@app.command(epilog="Example: scx ddl scx   Example: scx ddl scx --engine redshift > tables.sql")
def ddl(
    star: StarName,
    engine: Annotated[
        Engine | None,
        typer.Option(help="The engine to print statements for; default: the warehouse's engine."),
    ] = None,
) -> None:
    """Print the statements by which a first load creates the schemas and tables of a star; nothing is connected to.

    They show keys, indexes, distribution and sort keys. PostgreSQL's partitions are created with their months. To create the
    tables, use `scx load --create-only`: it also records them, and a load refuses tables that are not recorded.
    """
    from scx_pipeline.ownership.table_records import creation_statements
    from scx_pipeline.warehouse.open_warehouse import engine_of, table_sql_of

    compiled = load_star_named(star)
    table_sql = table_sql_of(engine or engine_of(read_settings().warehouse))
    for statement in creation_statements(compiled, table_sql):
        print(f"{statement};")
