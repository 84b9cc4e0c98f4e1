"""The statements that Redshift accepts, translated for PostgreSQL; others are rejected with a reason.

No connection is opened here. Source: the Amazon Redshift Database Developer Guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from scx_pipeline_tests.support.redshift.grants import alter_user, create_user, default_privileges, grant
from scx_pipeline_tests.support.redshift.refusals import check_form
from scx_pipeline_tests.support.redshift.tables import create_table
from scx_pipeline_tests.support.redshift.wire import Failure

SYNTAX, UNSUPPORTED, UNDEFINED, IN_TRANSACTION = "42601", "0A000", "42883", "25001"
MAX_NAME, MAX_STATEMENT = 127, 16 << 20  # bytes

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
_SETTINGS = frozenset(
    """
    application_name client_encoding datestyle enable_case_sensitive_identifier extra_float_digits query_group
    search_path statement_timeout timezone
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


@dataclass(frozen=True)
class Translated:
    """A statement's kind (its first word), and its translation for PostgreSQL."""

    kind: str
    sql: str
    ends: bool = False  # whether it commits, even within a transaction


@lru_cache(maxsize=4096)  # loads repeat their statements
def translate(sql: str, in_transaction: bool) -> Translated:
    """Translate a statement. Raises Failure if Redshift rejects it."""
    if len(sql.encode()) > MAX_STATEMENT:
        raise Failure("54000", "statement is too large: the maximum is 16 MB")
    tokens = _tokens(sql)
    words = [token.text.lower() for token in tokens[:4]]
    kind = words[0]
    for pattern, message in _KINDS_REJECTED:
        if re.match(pattern, " ".join(words)):
            raise Failure(UNSUPPORTED, message)
    check_form(sql, tokens)
    _check_names(tokens)
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise Failure(SYNTAX, f'syntax error at or near "{tokens[0].text}"')
    return handler(sql, tokens, in_transaction)


_KINDS_REJECTED = (
    (r"savepoint|release|rollback to", 'SQL command "SAVEPOINT" not supported'),
    (r"create (unique )?index", "CREATE INDEX is not supported"),
    (r"create sequence", "CREATE SEQUENCE is not supported"),
    (r"create trigger", "CREATE TRIGGER is not supported"),
    (r"create (domain|type)", "user-defined types are not supported"),
    (r"create extension", "CREATE EXTENSION is not supported"),
    (r"create unlogged", "unlogged tables are not supported"),
    (r"create rule", "CREATE RULE is not supported"),
    (r"(listen|notify|unlisten)", "LISTEN and NOTIFY are not supported"),
    (r"(reindex|cluster)", "there are no indexes"),
    (r"do", "DO is not supported"),
)


def _tokens(sql: str) -> list[Token]:
    try:
        tokens = sqlglot.tokenize(sql, read="redshift")
    except SqlglotError as error:
        raise Failure(SYNTAX, f"syntax error: {str(error).splitlines()[0]}") from None
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise Failure(SYNTAX, "the stand-in accepts one statement at a time")
    return tokens


def _check_names(tokens: Sequence[Token]) -> None:
    """Raise Failure for names that are too long."""
    for token in tokens:
        if token.token_type in (TokenType.IDENTIFIER, TokenType.VAR) and len(token.text.encode()) > MAX_NAME:
            raise Failure("42622", f'identifier "{token.text[:20]}…" is longer than {MAX_NAME} bytes')


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


def _parse(sql: str, tokens: Sequence[Token]) -> exp.Expression:
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


def _query(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    return Translated(tokens[0].text.upper(), to_postgres(_parse(sql, tokens)))


def _merge(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    tree = _parse(sql, tokens)
    whens = list(tree.find_all(exp.When))
    if {bool(item.args.get("matched")) for item in whens} != {True, False}:
        raise Failure(SYNTAX, "MERGE needs both WHEN MATCHED and WHEN NOT MATCHED")
    if any(item.args.get("condition") for item in whens):
        raise Failure(SYNTAX, "MERGE takes no AND condition")
    if tree.this.alias:
        raise Failure(SYNTAX, "the target of MERGE takes no alias")
    return Translated("MERGE", sql)


def _create(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    words = [token.text.lower() for token in tokens]
    head = words[: words.index("(")] if "(" in words else words
    if head[1] == "user":
        return Translated("CREATE USER", create_user(sql))
    if "schema" in head[:3]:
        return Translated("CREATE SCHEMA", to_postgres(_parse(sql, tokens)))
    if "view" in head:
        return Translated("CREATE VIEW", to_postgres(_parse(sql, tokens)))
    if "table" not in head:
        raise Failure(SYNTAX, f'syntax error at or near "{tokens[1].text}"')
    if "as" in head or "(" not in words:
        return Translated("SELECT", to_postgres(_parse(sql, tokens)))
    return Translated("CREATE TABLE", create_table(sql, tokens, TYPES))


def _alter(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    what = tokens[1].text.lower()
    if what == "user":
        return Translated("ALTER USER", alter_user(sql, _SETTINGS))
    if what == "default":
        return Translated("ALTER DEFAULT PRIVILEGES", default_privileges(sql))
    words = " ".join(token.text.lower() for token in tokens)
    if re.search(r" append from ", words) or re.search(r" alter column .* type ", words):
        if in_transaction:
            raise Failure(IN_TRANSACTION, "ALTER TABLE of this kind cannot run inside a transaction block")
        raise Failure(UNSUPPORTED, "the stand-in does not run this ALTER TABLE")
    return Translated("ALTER TABLE", to_postgres(_parse(sql, tokens)))


def _truncate(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    return Translated("TRUNCATE TABLE", to_postgres(_parse(sql, tokens)), ends=True)


def _vacuum(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    if in_transaction:
        raise Failure(IN_TRANSACTION, "VACUUM cannot run inside a transaction block")
    names = re.sub(r"(?i)^\s*vacuum(\s+(full|sort only|delete only|reindex|recluster))?\s*", "", sql)
    return Translated("VACUUM", f"VACUUM {names}")


def _lock(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    if not in_transaction:
        raise Failure("25P01", "LOCK TABLE may only be used in transaction blocks")
    names = re.sub(r"(?i)^\s*lock(\s+table)?\s+", "", sql).rstrip("; \n")
    if re.search(r"(?i)\bmode\b", names):
        raise Failure(SYNTAX, "LOCK takes no mode")
    return Translated("LOCK TABLE", f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


def _set(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    words = [token.text.lower() for token in tokens]
    name = next(word for word in words[1:] if word not in ("session", "local"))
    if name not in _SETTINGS and words[1:3] != ["transaction", "isolation"]:
        raise Failure("42704", f'unrecognized configuration parameter "{name}"')
    ours = {"query_group": "application_name", "enable_case_sensitive_identifier": "application_name"}
    return Translated("SET", re.sub(rf"\b{name}\b", ours.get(name, name), sql, count=1, flags=re.IGNORECASE))


def _grant(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    return Translated(tokens[0].text.upper(), grant(sql))


def _as_is(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    return Translated(tokens[0].text.upper(), sql)


Handler = Callable[[str, Sequence[Token], bool], Translated]
_HANDLERS: dict[str, Handler] = {
    "select": _query, "with": _query, "insert": _query, "delete": _query, "update": _query, "(": _query,
    "merge": _merge, "create": _create, "alter": _alter, "drop": _query, "comment": _query, "grant": _grant,
    "revoke": _grant, "analyze": _as_is, "truncate": _truncate, "vacuum": _vacuum, "lock": _lock, "set": _set,
    "show": _as_is, "reset": _as_is, "explain": _as_is,
    "begin": _as_is, "start": _as_is, "commit": _as_is, "end": _as_is, "rollback": _as_is, "abort": _as_is,
}  # fmt: skip


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
