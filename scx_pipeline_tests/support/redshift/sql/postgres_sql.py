"""Parsed statements of Redshift in PostgreSQL's SQL: the case of names, types of results, functions.

What Redshift rejects must be rejected before.
"""

from __future__ import annotations

from sqlglot import exp


def to_postgres(tree: exp.Expression) -> str:
    """Translate the differences: the case of names, types of results, functions."""
    for name in tree.find_all(exp.Identifier):
        name.set("this", name.name.lower())
        name.set("quoted", True)
    for node in reversed(list(tree.find_all(exp.TryCast, exp.Extract, exp.Anonymous))):  # the innermost first
        put = _adapted(node)
        if put is not None:
            node.replace(put)
    for ordered in list(tree.find_all(exp.WithinGroup)):
        if isinstance(ordered.this, exp.GroupConcat):
            terms = exp.Order(
                this=ordered.this.this.copy(), expressions=ordered.expression.copy().expressions
            )
            ordered.replace(exp.GroupConcat(this=terms, separator=ordered.this.args.get("separator")))
    return tree.sql(dialect="postgres")


def _adapted(node: exp.Expression) -> exp.Expression | None:
    """Return the replacement of a node; None if it needs none."""
    match node:
        case exp.TryCast():
            return _try_cast(node)
        case exp.Extract() if not isinstance(node.parent, exp.Cast):
            return exp.cast(node.copy(), "int")  # PostgreSQL's is numeric
        case exp.Anonymous() if node.name.lower() == "fnv_hash":
            return _fnv_hash(node)
    return None


def _try_cast(node: exp.TryCast) -> exp.Expression:
    text, kind = node.this, node.to.sql(dialect="postgres")
    text = exp.cast(text.copy(), "text")
    valid = exp.func("pg_input_is_valid", text.copy(), exp.Literal.string(kind))
    # "The expression cannot contain blank or empty strings": a blank text is cast with a suffix that the error shows.
    blank = exp.EQ(this=exp.func("btrim", text.copy()), expression=exp.Literal.string(""))
    invalid = exp.DPipe(
        this=exp.Literal.string("TRY_CAST of a blank text:"), expression=text.copy(), safe=True
    )
    return (
        exp.Case()
        .when(valid, exp.cast(node.this.copy(), node.to.copy()))
        .when(blank, exp.cast(invalid, node.to.copy()))
    )


def _fnv_hash(node: exp.Anonymous) -> exp.Expression:
    value, *seed = node.expressions
    start = seed[0].copy() if seed else exp.Literal.number(0)
    return exp.Dot(
        this=exp.to_identifier("pg_temp"),
        expression=exp.Anonymous(this="fnv_hash", expressions=[exp.cast(value.copy(), "text"), start]),
    )


# Not Redshift's hash, but of 64 bits as well; NULL returns the seed.
FNV_HASH = """
CREATE OR REPLACE FUNCTION pg_temp.fnv_hash(value text, seed bigint) RETURNS bigint IMMUTABLE
RETURN COALESCE(hashtextextended(value, seed), seed)
"""
