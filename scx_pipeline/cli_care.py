"""The commands by which a warehouse is kept: `scx roles`.
What they do is in `warehouse`; the other commands are in `cli`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from scx_pipeline.settings import read_settings

Engine = Literal["postgresql", "redshift", "duckdb"]


def roles(
    engine: Annotated[
        Engine | None,
        typer.Option(help="Whose statements to print; default: those of the warehouse's engine."),
    ] = None,
    loader: Annotated[str, typer.Option(help="The role that loads.")] = "scx_loader",
    analyst: Annotated[str, typer.Option(help="The role that only reads.")] = "scx_analyst",
    database: Annotated[str, typer.Option(help="The database that they are for.")] = "dev",
) -> None:
    """Print the statements that make two roles: one may load and no more, the other only read the stars' tables.

    An administrator runs them in the database, once, and again after a star was added. They have no passwords.
    """
    from scx_pipeline.engine.declare import load_star, star_names, stars_folder
    from scx_pipeline.warehouse.base import roles_sql
    from scx_pipeline.warehouse.roles import Roles

    stars = [load_star(stars_folder() / name).star for name in star_names()]
    schemas = tuple(sorted({star.schema_name for star in stars}))
    url = f"{engine}://" if engine else read_settings().warehouse
    print(roles_sql(url, Roles(schemas, loader, analyst, database)), end="")


def register(app: typer.Typer) -> None:
    """Give the commands to the app."""
    app.command(
        epilog="Example: scx roles --engine postgresql > roles.sql   Example: scx roles --loader IAMR:loader"
    )(roles)
