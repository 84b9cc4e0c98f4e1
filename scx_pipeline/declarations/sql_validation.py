"""What a star's SELECT may contain: known tables and columns, the declared outputs, and SQL that is portable.

Generating SQL for an engine does not belong here.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from scx_pipeline.declarations.lineage import sql_schema
from scx_pipeline.declarations.sql_file import AUTHORED_DIALECT, SqlFile, line_of, parse_select
from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.query import Query
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.schema import Schema

# The parts that EXTRACT returns alike on every engine.
EXTRACT_PARTS = ("year", "quarter", "month", "week", "day", "hour", "minute", "dow", "doy")

_DATEDIFF = "DATEDIFF counts differently on every engine; subtract, or compare DATE_TRUNC values"
# Names of sqlglot's expressions, and why they are rejected.
_NOT_PORTABLE = {
    "TryCast": "TRY_CAST differs between engines; cast only values that can always be cast",
    "DateDiff": _DATEDIFF,
    "TsOrDsDiff": _DATEDIFF,
    **dict.fromkeys(
        ("CurrentTimestamp", "CurrentTime", "Localtimestamp", "Localtime"),
        "the current time makes a rerun return other rows",
    ),
    "CurrentDate": "the current date makes a rerun return other rows",
    "CurrentUser": "the current user makes a rerun return other rows",
    "SessionUser": "the current user makes a rerun return other rows",
    "Rand": "a random number makes a rerun return other rows",
    "Uuid": "a random UUID makes a rerun return other rows",
    "SimilarTo": "SIMILAR TO differs between engines; use LIKE",
}


def compile_select(file: SqlFile, star: Star, table: Table | None = None) -> exp.Query:
    """Parse, check, qualify and annotate the SELECT of a derived table, or of a query if no table is given.

    Raises:
        DeclarationError: With file and line, if the SQL is invalid, names an unknown table or column, is not portable,
            or does not return exactly what the table declares.
    """
    from sqlglot import exp
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.schema import MappingSchema

    parsed = parse_select(file)
    _check_portable(parsed, file)
    _check_tables(parsed, file, star)
    schema = MappingSchema(sql_schema(star), dialect=AUTHORED_DIALECT)
    qualified = annotate_types(_qualify(parsed, schema, file, star), schema=schema, dialect=AUTHORED_DIALECT)
    assert isinstance(qualified, exp.Query)
    if table is not None:
        _check_outputs(qualified, file, table)
    return qualified


def check_chart(select: exp.Query, file: SqlFile, query: Query) -> None:
    """Raise DeclarationError if the query's chart uses a column that the SELECT does not return."""
    returned = [item.alias_or_name for item in select.selects]
    for name in (query.chart.x, query.chart.y, query.chart.series) if query.chart else ():
        if name is not None and name not in returned:
            raise DeclarationError(
                f"{file.path}: the SELECT does not return {name}, which the chart of {query.name} uses"
            )


def check_inputs(file: SqlFile, table: Table, inputs: list[Table]) -> None:
    """Raise DeclarationError if the table reads tables from which a load could not derive its changed rows.

    An unpartitioned table reads only unpartitioned tables, and a keyed table reads none of them.
    """
    for other in inputs:
        if table.is_unpartitioned and not other.is_unpartitioned:
            raise DeclarationError(
                f"{file.path}: {table.name} is unpartitioned (it has no event_time), but reads {other.name}, which is not"
            )
        if other.is_unpartitioned and not (table.is_unpartitioned or table.is_partitioned):
            raise DeclarationError(
                f"{file.path}: {table.name} holds one row per key, but reads {other.name}, which is unpartitioned; "
                f"add its event_time to the columns of {table.name}, or join {other.name} where {table.name} is used"
            )


def _check_portable(parsed: exp.Query, file: SqlFile) -> None:
    """Reject what silently returns other rows, or fails, on another engine."""
    from sqlglot import exp

    for name, reason in _NOT_PORTABLE.items():
        node = parsed.find(getattr(exp, name))
        if node is not None:
            raise DeclarationError(f"{file.at_line(line_of(node))}: {reason}")
    for extract in parsed.find_all(exp.Extract):
        if extract.name.lower() not in EXTRACT_PARTS:
            raise DeclarationError(
                f"{file.at_line(line_of(extract))}: EXTRACT({extract.name}) differs between engines; use one of {', '.join(EXTRACT_PARTS)}"
            )


def _check_tables(parsed: exp.Query, file: SqlFile, star: Star) -> None:
    from sqlglot import exp

    known = [table.name for table in star.tables]
    local = {cte.alias for cte in parsed.find_all(exp.CTE)}
    for cte in parsed.find_all(exp.CTE):
        if cte.alias in known:
            raise DeclarationError(
                f"{file.at_line(line_of(cte))}: WITH {cte.alias} has the name of a table of the star; choose another name"
            )
    for node in parsed.find_all(exp.Table):
        if node.name not in known and node.name not in local:
            similar = difflib.get_close_matches(node.name, known, n=1)
            hint = f"did you mean {similar[0]}?" if similar else f"the star has: {', '.join(known)}"
            name = node.name or node.sql(dialect=AUTHORED_DIALECT)
            raise DeclarationError(f"{file.at_line(line_of(node))}: unknown table {name!r}; {hint}")
        if node.db:
            raise DeclarationError(
                f"{file.at_line(line_of(node))}: write {node.name} without the schema {node.db}"
            )


def _qualify(parsed: exp.Query, schema: Schema, file: SqlFile, star: Star) -> exp.Expr:
    from sqlglot.errors import OptimizeError
    from sqlglot.optimizer.qualify import qualify

    try:
        return qualify(parsed, schema=schema, dialect=AUTHORED_DIALECT)
    except OptimizeError as error:
        # `parsed` is half qualified by now, and some of its nodes have lost their lines: parse it again.
        line, message = _locate_unresolved_name(str(error), parse_select(file), star)
        raise DeclarationError(f"{file.at_line(line)}: {message}") from None


def _locate_unresolved_name(message: str, parsed: exp.Query, star: Star) -> tuple[int, str]:
    """Return the line of a name that sqlglot cannot resolve, and what is wrong with it."""
    from sqlglot import exp

    position = re.search(r"Line: (\d+)", message)
    table = re.search(r"(?:for table:|Unknown table:) '?(\w+)", message)
    match = table or re.search(r"(?:Column|Unknown column:) '?(\w+)", message)
    name = match[1] if match else ""
    nodes = [
        node for node in parsed.find_all(exp.Column) if name == (node.table if table else node.name).lower()
    ]
    line = int(position[1]) if position else line_of(nodes[0]) if nodes else 1
    if match is None:
        return line, message.split("\n")[0]
    if table:
        return line, f"unknown table or alias {name!r}"
    columns = sorted({column.name for table in star.tables for column in table.columns})
    if position and name in columns:
        return line, f"ambiguous or unknown column {name!r}; qualify it with its table"
    similar = [column for column in difflib.get_close_matches(name, columns, n=1) if column != name]
    return line, f"unknown column {name!r}" + (f"; did you mean {similar[0]}?" if similar else "")


def _check_outputs(select: exp.Query, file: SqlFile, table: Table) -> None:
    returned = [item.alias_or_name for item in select.selects]
    for name in returned:
        if returned.count(name) > 1:
            raise DeclarationError(f"{file.path}: the SELECT returns {name} twice")
    event_time = [] if table.is_unpartitioned else [table.event_time_column]
    needed = [*table.column_names, *table.sequence_by, *event_time]
    for name in needed:
        if name not in returned:
            similar = difflib.get_close_matches(name, returned, n=1)
            hint = f" (it returns {similar[0]})" if similar else ""
            raise DeclarationError(
                f"{file.path}: the SELECT does not return {name}, which {table.name} declares{hint}"
            )
    for name in sorted(set(returned) - set(needed)):
        raise DeclarationError(f"{file.path}: the SELECT returns {name}, which {table.name} does not declare")
