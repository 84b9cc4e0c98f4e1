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

from scx_pipeline_tests.support.redshift.sql.grants import alter_user, create_user, default_privileges, grant
from scx_pipeline_tests.support.redshift.sql.postgres_sql import to_postgres
from scx_pipeline_tests.support.redshift.sql.query_checks import SYNTAX, TYPES, UNSUPPORTED, parse
from scx_pipeline_tests.support.redshift.sql.refusals import check_form
from scx_pipeline_tests.support.redshift.sql.tables import create_table
from scx_pipeline_tests.support.redshift.wire import Failure

IN_TRANSACTION = "25001"
MAX_NAME, MAX_STATEMENT = 127, 16 << 20  # bytes
_SETTINGS = frozenset(
    """
    application_name client_encoding datestyle enable_case_sensitive_identifier extra_float_digits query_group
    search_path statement_timeout timezone
    """.split()
)


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


def _query(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    return Translated(tokens[0].text.upper(), to_postgres(parse(sql, tokens)))


def _merge(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    tree = parse(sql, tokens)
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
        return Translated("CREATE SCHEMA", to_postgres(parse(sql, tokens)))
    if "view" in head:
        return Translated("CREATE VIEW", to_postgres(parse(sql, tokens)))
    if "table" not in head:
        raise Failure(SYNTAX, f'syntax error at or near "{tokens[1].text}"')
    if "as" in head or "(" not in words:
        return Translated("SELECT", to_postgres(parse(sql, tokens)))
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
    return Translated("ALTER TABLE", to_postgres(parse(sql, tokens)))


def _truncate(sql: str, tokens: Sequence[Token], in_transaction: bool) -> Translated:
    return Translated("TRUNCATE TABLE", to_postgres(parse(sql, tokens)), ends=True)


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
