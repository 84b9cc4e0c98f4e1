"""How the rows of a derived table change when rows are added to its input: decided from its SELECT.

Adding the rows does not belong here.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from scx_pipeline.declarations.lineage import star_tables
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table

if TYPE_CHECKING:
    from sqlglot import exp


class AddedRows(Enum):
    """What becomes of a derived table when rows are added to the one monthly table that its SELECT reads."""

    APPEND = auto()  # the SELECT of the added rows is appended: it works row by row
    MERGE = auto()  # the same, without rows that the table has already: it has a DISTINCT
    LATEST = auto()  # the latest row of each key is merged: an SCD type 1 table
    REBUILD = auto()  # the months of the table are built again, from all rows


def added_rows(select: exp.Query, star: Star, table: Table) -> AddedRows:
    """Return how a derived monthly table follows from rows that are added to its input.

    A SELECT works row by row if its result for two sets of rows is the two results together. It then reads one monthly table,
    once, and between this table and the result there are only projections, filters, and joins that keep or drop rows one
    by one.
    """
    monthly = {item.name for item in star.monthly_tables}
    nodes = [node for node in star_tables(select, star) if node.name in monthly]
    if len(nodes) != 1:
        return AddedRows.REBUILD
    selects = _selects_above(nodes[0])
    if selects is None or not all(_works_row_by_row(item) for item in selects):
        return AddedRows.REBUILD
    distinct = [item for item in selects if item.args.get("distinct")]
    if not table.is_partitioned:
        return AddedRows.LATEST
    if not distinct:
        return AddedRows.APPEND
    # Rows that exist are found by their key, as NULLs in other columns do not equal each other.
    keeps_rows_distinct = bool(table.key) and len(distinct) == 1 and _passes_on(distinct[0], selects, table)
    return AddedRows.MERGE if keeps_rows_distinct else AddedRows.REBUILD


def _selects_above(node: exp.Expr) -> list[exp.Select] | None:
    """Return the SELECTs from a table up to the result; None if the table is not simply in FROM or in an inner join."""
    from sqlglot import exp

    selects: list[exp.Select] = []
    below: exp.Expr = node
    others = ("joins", "sample", "pivots", "laterals", "limit")
    while below.parent is not None:
        parent = below.parent
        if not isinstance(below, exp.Select) and any(below.args.get(name) for name in others):
            return None
        if isinstance(parent, exp.Select):
            if not isinstance(below, exp.From | exp.Join) or not _keeps_rows(parent, below):
                return None
            selects.append(parent)
        elif not isinstance(parent, exp.From | exp.Join | exp.Subquery):
            return None
        below = parent
    return selects


def _keeps_rows(select: exp.Select, below: exp.From | exp.Join) -> bool:
    """Return whether a SELECT's joins treat each row of the relation in `below` independently of its other rows."""
    from sqlglot import exp

    joins: list[exp.Join] = select.args.get("joins") or []
    if any(
        join.side in ("RIGHT", "FULL") or join.kind not in ("", "INNER", "OUTER", "CROSS") for join in joins
    ):
        return False
    return not (isinstance(below, exp.Join) and below.side)


def _works_row_by_row(select: exp.Select) -> bool:
    """Return whether a SELECT itself has nothing that looks at several rows, except DISTINCT."""
    from sqlglot import exp

    if any(
        select.args.get(name)
        for name in ("group", "having", "limit", "offset", "qualify", "laterals", "windows")
    ):
        return False
    if (distinct := select.args.get("distinct")) and distinct.args.get("on"):
        return False
    own = [*select.expressions, *filter(None, [select.args.get("where")])]
    # Functions that sqlglot does not know may be aggregates (EVERY), and it does not count LIST as one.
    others = (exp.Window, exp.Subquery, exp.Exists, exp.Unnest, exp.Anonymous, exp.List)
    return not any(item.find(exp.AggFunc, *others) for item in own)


def _passes_on(distinct: exp.Select, selects: list[exp.Select], table: Table) -> bool:
    """Return whether the table stores all columns of a SELECT with DISTINCT, so that its rows stay distinct."""
    from sqlglot import exp

    needed = {str(item.alias_or_name) for item in distinct.selects}
    for select in selects[selects.index(distinct) + 1 :]:
        columns = {
            item.unalias().name: str(item.alias_or_name)
            for item in select.selects
            if isinstance(item.unalias(), exp.Column)
        }
        if not needed <= columns.keys():
            return False
        needed = {columns[name] for name in needed}
    return needed <= set(table.column_names)
