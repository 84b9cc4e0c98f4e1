"""What a parsed statement must not contain, since Redshift does not have it: functions, types and clauses.

Source: the Amazon Redshift Database Developer Guide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from scx_pipeline_tests.support.redshift.wire import Failure

SYNTAX, UNSUPPORTED, UNDEFINED = "42601", "0A000", "42883"

# Redshift's functions that the pipeline and its users' SQL may call. Others are rejected: Redshift lacks most of
# PostgreSQL's.
FUNCTIONS = frozenset(
    """
    abs avg bool_and bool_or btrim cast chr ceil ceiling char_length coalesce concat count current_database current_schema
    current_setting date_part date_trunc dateadd datediff dense_rank exp extract first_value floor fnv_hash format_type
    getdate greatest has_schema_privilege has_table_privilege lag last_value lead least left len length listagg ln lower lpad
    ltrim max md5 median min mod ntile nullif nvl octet_length pg_backend_pid pg_last_copy_count pg_last_copy_id
    pg_last_query_id pg_last_unload_count position power rank regexp_count regexp_instr regexp_replace regexp_substr replace right round
    row_number rpad rtrim set_config sha2 sign split_part sqrt strpos substring sum to_char to_date to_timestamp trim trunc
    try_cast upper version
    """.split()
)
TYPES = frozenset(
    """
    SMALLINT INT BIGINT DECIMAL FLOAT DOUBLE BOOLEAN CHAR NCHAR BPCHAR VARCHAR NVARCHAR TEXT DATE TIME TIMETZ TIMESTAMP
    TIMESTAMPTZ SUPER INTERVAL NAME
    """.split()
)
# Words before a parenthesis that are not calls.
_NO_CALLS = frozenset(
    """
    all and any as between by case distinct else except exists from having ilike in intersect into is join like limit not on or
    over qualify returning select set some then union using values when where with group within key table numeric real
    varying precision character bpchar
    """.split()
)

Check = Callable[[exp.Expression], bool]
# What PostgreSQL accepts and Redshift rejects, with the message.
_REJECTED: Sequence[tuple[str, Check]] = (
    ("DISTINCT ON is not supported", lambda n: isinstance(n, exp.Distinct) and bool(n.args.get("on"))),
    ("FILTER is not supported for aggregates", lambda n: isinstance(n, exp.Filter)),
    ("LATERAL is not supported", lambda n: isinstance(n, exp.Lateral)),
    ("arrays are not supported", lambda n: isinstance(n, exp.Array | exp.Bracket)),
    ("IS DISTINCT FROM is not supported", lambda n: isinstance(n, exp.NullSafeEQ | exp.NullSafeNEQ)),
    ("ON CONFLICT is not supported", lambda n: isinstance(n, exp.OnConflict)),
    ("RETURNING is not supported", lambda n: isinstance(n, exp.Returning)),
    ("VALUES cannot replace a table", lambda n: isinstance(n, exp.Values) and not isinstance(n.parent, exp.Insert)),
    ("FOR UPDATE is not supported", lambda n: isinstance(n, exp.Lock)),
    ("TABLESAMPLE is not supported", lambda n: isinstance(n, exp.TableSample)),
    ("COLLATE in an expression is not supported", lambda n: isinstance(n, exp.Collate)),
    ("WITH ORDINALITY is not supported", lambda n: isinstance(n, exp.Unnest)),
    ("a window's frame counts ROWS", lambda n: isinstance(n, exp.WindowSpec) and n.args.get("kind") != "ROWS"),
    ("WINDOW is not supported", lambda n: isinstance(n, exp.Select) and bool(n.args.get("windows"))),
    ("~* is not supported", lambda n: isinstance(n, exp.RegexpILike)),
    ("WITH goes before the query of INSERT", lambda n: isinstance(n, exp.Insert) and bool(n.ctes)),
)  # fmt: skip


def _check_calls(tokens: Sequence[Token]) -> None:
    before = [None, *tokens]
    for previous, token, following in zip(before, tokens, [*tokens[1:], None], strict=False):
        if following is None or following.token_type is not TokenType.L_PAREN:
            continue
        name = token.text.lower()
        if (
            token.token_type in (TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER)
            or not name.isidentifier()
        ):
            continue
        if previous is not None and previous.text.lower() in (
            "into",
            "table",
            "as",
            "references",
            "join",
            ".",
        ):
            continue
        if name in FUNCTIONS or name in _NO_CALLS or name.upper() in TYPES:
            continue
        raise Failure(UNDEFINED, f"function {name} does not exist")


def parse(sql: str, tokens: Sequence[Token]) -> exp.Expression:
    """Parse a statement. Raises Failure for what Redshift does not have."""
    _check_calls(tokens)
    try:
        tree = sqlglot.parse_one(sql, dialect="redshift")
    except SqlglotError as error:
        raise Failure(SYNTAX, f"syntax error: {str(error).splitlines()[0]}") from None
    for node in tree.walk():
        for message, is_rejected in _REJECTED:
            if is_rejected(node):
                raise Failure(UNSUPPORTED, message)
        if isinstance(node, exp.DataType) and node.this.name not in TYPES:
            raise Failure("42704", f'type "{node.sql().lower()}" does not exist')
        if isinstance(node, exp.GroupConcat) and "string_agg" in sql.lower():
            raise Failure(UNDEFINED, "function string_agg does not exist")
    return tree
