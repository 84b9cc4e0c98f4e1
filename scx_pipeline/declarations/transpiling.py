"""A qualified SELECT in an engine's dialect, its inputs restricted to the months of a load.

Differences that sqlglot leaves between engines are evened out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from scx_pipeline.declarations.lineage import star_tables
from scx_pipeline.declarations.sql_file import AUTHORED_DIALECT
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities
from scx_pipeline.warehouse.sql_text import in_month_range

if TYPE_CHECKING:
    from sqlglot import exp


def generate_sql(
    select: exp.Query,
    star: Star,
    stored_table: Callable[[Table], Table],
    engine: Capabilities,
    scope: LoadScope,
    relations: Mapping[str, str] = {},
) -> str:
    """Return the SELECT in the engine's dialect, with partitioned inputs restricted to the months of the scope.

    Args:
        select: A SELECT that is qualified and annotated with types.
        star: The star whose schema qualifies the tables.
        stored_table: Returns a table under the name that it currently has in the warehouse.
        engine: The engine that runs the SELECT.
        scope: The months to read; UNPARTITIONED restricts nothing.
        relations: Temporary tables to read in place of tables of the star, by table.
    """
    from sqlglot import exp

    tree = select.copy()
    for node in list(star_tables(tree, star)):
        table = star.table(node.name)
        alias = node.alias_or_name
        if table.name in relations:
            source = exp.table_(relations[table.name], quoted=True)
        else:
            source = exp.table_(stored_table(table).name, db=star.schema_name, quoted=True)
        if scope is UNPARTITIONED or not table.is_partitioned:
            node.replace(exp.alias_(source, alias, table=True, quoted=True))
        else:
            restricted = exp.select("*").from_(source).where(_month_condition(table, scope))
            node.replace(restricted.subquery(exp.to_identifier(alias, quoted=True)))
    if engine.dialect != AUTHORED_DIALECT:
        _apply_redshift_semantics(tree, engine)
    return str(tree.sql(dialect=engine.dialect))


@lru_cache(maxsize=256)
def _month_condition(table: Table, scope: MonthRange) -> exp.Expr:
    import sqlglot

    return sqlglot.parse_one(in_month_range(table.event_time_column, scope), read="postgres")


def _apply_redshift_semantics(tree: exp.Query, engine: Capabilities) -> None:
    """Make another engine return what Redshift does.

    AVG of integers and EXTRACT are integers, CONCAT with a NULL is NULL, and texts are compared by their bytes.
    """
    from sqlglot import exp

    for select in tree.find_all(exp.Select):
        _replace_distinct(select)
    if engine.collation:
        _compare_by_bytes(tree, engine.collation)
    # Innermost nodes first: replacing a node copies what is inside it.
    for node in reversed(list(tree.find_all(exp.Avg, exp.Concat, exp.Extract))):
        if isinstance(node, exp.Avg) and node.this.is_type(*exp.DataType.INTEGER_TYPES):
            _truncate_average(node)
        elif isinstance(node, exp.Concat):
            left, *others = node.expressions
            for other in others:
                left = exp.DPipe(this=left, expression=other, safe=True)
            node.replace(exp.paren(left))
        elif isinstance(node, exp.Extract):
            _replace_extract(node, engine)


def _truncate_average(node: exp.Avg) -> None:
    from sqlglot import exp

    outermost: exp.Expression = node
    while isinstance(outermost.parent, (exp.Filter, exp.Window)) and outermost.arg_key == "this":
        outermost = outermost.parent
    outermost.replace(exp.cast(exp.func("TRUNC", outermost.copy()), "bigint"))


def _replace_extract(node: exp.Extract, engine: Capabilities) -> None:
    """Replace EXTRACT by DATE_PART as an integer.

    DATE_PART returns the same number on every engine, and on PostgreSQL it takes half the time of EXTRACT, which
    returns a NUMERIC.
    """
    from sqlglot import exp

    name = node.name.lower()
    part = exp.cast(exp.func("DATE_PART", exp.Literal.string(name), node.expression.copy()), "int")
    node.replace(exp.paren(part - engine.dow_of_sunday) if name == "dow" and engine.dow_of_sunday else part)


def _compare_by_bytes(tree: exp.Query, collation: str) -> None:
    """Compare and order texts by this collation: the database's own would change which rows are returned."""
    from sqlglot import exp

    comparisons = (exp.Min, exp.Max, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Greatest, exp.Least)
    # Innermost nodes first, and terms of ORDER BY, which may name an output, last: replacing a node copies what is inside it.
    for node in [*reversed(list(tree.find_all(*comparisons))), *reversed(list(tree.find_all(exp.Ordered)))]:
        text = _ordered_expression(node) if isinstance(node, exp.Ordered) else node.this
        if text is not None and text.is_type(*exp.DataType.TEXT_TYPES):
            by_bytes = exp.Collate(
                this=exp.paren(text.copy()), expression=exp.to_identifier(collation, quoted=True)
            )
            node.this.replace(by_bytes)


def _ordered_expression(node: exp.Ordered) -> exp.Expr | None:
    """Return the expression that a term of ORDER BY refers to; None where no expression is allowed.

    The name of an output cannot be part of an expression there, so the output itself takes its place.
    """
    from sqlglot import exp

    owner = node.parent.parent if node.parent else None
    if isinstance(owner, exp.SetOperation) or (isinstance(owner, exp.Select) and owner.args.get("distinct")):
        return None
    if isinstance(owner, exp.Select) and isinstance(node.this, exp.Column) and not node.this.table:
        outputs = {item.alias: item.unalias() for item in owner.selects}
        return outputs.get(node.this.name, node.this)
    ordered: exp.Expr = node.this
    return ordered


def _replace_distinct(select: exp.Select) -> None:
    """Replace SELECT DISTINCT of plain columns by GROUP BY.

    A parallel plan of PostgreSQL hashes a DISTINCT twice in the same order, which takes minutes instead of seconds.
    """
    from sqlglot import exp

    plain = all(isinstance(item.unalias(), exp.Column) for item in select.selects)
    if select.args.get("distinct") == exp.Distinct() and plain and not select.args.get("group"):
        select.set("distinct", None)
        select.set("group", exp.Group(expressions=[item.unalias().copy() for item in select.selects]))
