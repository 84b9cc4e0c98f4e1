"""`scx check`, `scx test`, `scx schema` and `scx ddl`: whether stars are correct, what may be declared, and the tables that follow.

The rules that they must satisfy do not belong here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_limits, load_star_named
from scx_pipeline.cli.options import AsJson, StarName
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.count_text import count_of
from scx_pipeline.settings import read_settings
from scx_pipeline.warehouse.capabilities import Engine

if TYPE_CHECKING:
    from scx_pipeline.cases.case_run import CaseResult

StarNames = Annotated[list[str] | None, typer.Argument(metavar="[STAR]...", help="Stars; default: all.")]

app = typer.Typer()


@app.command(epilog="Example: scx check   Example: scx check scx songplays --json")
def check(
    stars: StarNames = None,
    as_json: AsJson = False,
) -> None:
    """Check defs.yaml and the SQL files of stars, without a bucket or a warehouse.

    Reports the first mistake of each star, with file and line. The exit code is 1 if there is one.
    """
    from scx_pipeline.declarations.declared_stars import star_names

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


@app.command("test", epilog="Example: scx test scx   Example: scx test --json")
def run_tests(
    stars: StarNames = None,
    warehouse: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A database without tables of the star, such as a new one; default: a temporary DuckDB file.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the cases of stars: the rows in cases/<table>.yaml, and the rows that the table's SQL must return.

    Shows the rows that differ. Each case runs in empty tables, which are removed after it. The exit code is 0 only if all cases
    of all stars pass.
    """
    from scx_pipeline.declarations.declared_stars import star_names
    from scx_pipeline.storage.temporary_folder import temporary_folder

    found: dict[str, Any] = {}
    with temporary_folder() as folder:
        url = warehouse or f"duckdb://{folder}/cases.duckdb"
        for name in dict.fromkeys(stars or star_names()):
            try:
                found[name] = {"cases": _run_cases(name, url, quiet=as_json)}
            except PipelineError as error:
                found[name] = {"error": str(error)}
                rendering.print_error(str(error))
    if as_json:
        rendering.print_json({"stars": found})
    if not all(
        case["passed"] for facts in found.values() for case in facts.get("cases", [{"passed": False}])
    ):
        raise typer.Exit(1)


def _run_cases(name: str, url: str, *, quiet: bool) -> list[dict[str, Any]]:
    """Run the cases of a star, print how they end unless it is for a script, and return the same for JSON."""
    from scx_pipeline.cases.case_file import read_star_cases
    from scx_pipeline.cases.case_run import run_cases
    from scx_pipeline.warehouse.open_warehouse import open_warehouse

    compiled = load_star_named(name)
    cases = read_star_cases(compiled)
    database = open_warehouse(url, configured_limits(read_settings()), rendering.print_wait)
    results = []
    for result in run_cases(cases, compiled, database):
        results.append(result)
        if not quiet:
            _show_case(result)
    passed = sum(result.passed for result in results)
    if not quiet:
        rendering.print_line(
            f"{name}: {count_of(passed, 'case')} passed, {len(results) - passed} failed on {database.capabilities.name}"
            if cases
            else f"{name}: no cases; they belong to {compiled.folder / 'cases'}/<table>.yaml"
        )
    return [result.as_json() for result in results]


def _show_case(result: CaseResult) -> None:
    """Print whether a case passed, and the rows that differ."""
    from scx_pipeline.cases.case_run import shown_rows

    if result.passed:
        rendering.print_line(f"passed: {result.case.table}: {result.case.name}")
        return
    message = f"failed: {result.case.error(result.problem)}"
    if result.columns:
        rendering.print_table(message, ["", *result.columns], shown_rows(result))
    else:
        rendering.print_line(message, "red")


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
    """Print the statements by which a first load creates the schemas and tables of a star, without connecting to a database.

    They show keys, indexes, distribution and sort keys. PostgreSQL's partitions are created with their months. To create the
    tables, use `scx load --create-only`: it also records them, and a load refuses tables that are not recorded.
    """
    from scx_pipeline.ownership.table_records import creation_statements
    from scx_pipeline.warehouse.open_warehouse import engine_of, table_sql_of

    compiled = load_star_named(star)
    table_sql = table_sql_of(engine or engine_of(read_settings().warehouse))
    for statement in creation_statements(compiled, table_sql):
        print(f"{statement};")
