"""The lineage and the types of what a SELECT returns.

Checking the SELECT does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scx_pipeline.declarations.sql_file import AUTHORED_DIALECT
from scx_pipeline.model.star import Star

if TYPE_CHECKING:
    from sqlglot import exp


def sql_schema(star: Star) -> dict[str, object]:
    """Return the star's tables, columns and types, in the dialect of the stars' SQL, as sqlglot expects them."""
    return {
        table.name: {column.name: _authored_type(column.type) for column in table.columns}
        for table in star.tables
    }


def _authored_type(neutral: str) -> str:
    # Not the function of Redshift's package: every command compiles stars, and would import that engine.
    return {"double": "double precision"}.get(neutral, neutral.replace("(max)", "(65535)"))


def star_tables(select: exp.Query, star: Star) -> Iterator[exp.Table]:
    """Yield the nodes that name a table of the star rather than a common table expression of the same name."""
    from sqlglot import exp

    names = {table.name for table in star.tables}
    local = {cte.alias for cte in select.find_all(exp.CTE)}
    return (node for node in select.find_all(exp.Table) if node.name in names - local)


def neutral_type_of(expression: exp.Expr) -> str:
    """Return the neutral type of an annotated expression."""
    from sqlglot import exp

    kinds = {
        "bigint": exp.DataType.INTEGER_TYPES,
        "double": exp.DataType.REAL_TYPES,
        "date": {exp.DataType.Type.DATE},
        "timestamp": exp.DataType.TEMPORAL_TYPES,
        "boolean": {exp.DataType.Type.BOOLEAN},
    }
    return next((neutral for neutral, types in kinds.items() if expression.is_type(*types)), "varchar(max)")


def trace_lineage(select: exp.Query, star: Star) -> dict[str, list[tuple[str, str]]]:
    """Return the (table, column) pairs that each output of a qualified SELECT is computed from."""
    from sqlglot import exp
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.scope import build_scope

    # The SELECT is already qualified, and the text of the lineage's nodes is not used.
    roots = lineage(
        None,
        select,
        sql_schema(star),
        dialect=AUTHORED_DIALECT,
        scope=build_scope(select),
        trim_selects=False,
        copy=False,
    )
    inputs = {}
    for name, root in roots.items():
        leaves = [
            node for node in root.walk() if not node.downstream and isinstance(node.expression, exp.Table)
        ]
        inputs[name] = sorted(
            {(leaf.expression.name, leaf.name.split(".")[-1].strip('"')) for leaf in leaves}
        )
    return inputs
