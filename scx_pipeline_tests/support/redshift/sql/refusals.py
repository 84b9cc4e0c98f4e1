"""Forms of statements that PostgreSQL accepts and Redshift rejects, each with its message.

Source: the SQL reference of the Amazon Redshift Database Developer Guide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot.tokens import Token, TokenType

from scx_pipeline_tests.support.redshift.wire import Failure

_TABLE = r"create (?:(?:local|global|temp|temporary) )*table"
_CREATED = "table|view|materialized view|schema|user|database|function|procedure|group|role|library|model|datashare|rls policy|masking policy|external|identity provider"  # fmt: skip
# Patterns of a statement's words in lower case, separated by blanks; texts are empty, and quoted names are in quotes.
_FORMS: Sequence[tuple[str, str]] = (
    (r"^truncate (table )?only |^truncate .*(,| cascade$| restrict$| identity$)", "TRUNCATE takes the name of one table"),
    (r"^create or replace (?!view|function|procedure|library|external)", "OR REPLACE is for views, functions and procedures"),
    (r"^create (or replace )?(temp|temporary|recursive) (recursive )?view", "views are neither temporary nor recursive"),
    (r"^create materialized view if not", "CREATE MATERIALIZED VIEW has no IF NOT EXISTS"),
    (rf"^create (?!(or replace )?((local |global )?(temp|temporary) )?({_CREATED})\b)", "there is nothing of this kind to be made"),
    (rf"^drop (?!({_CREATED})\b)", "there is nothing of this kind to be dropped"),
    (rf"^alter (?!({_CREATED}|default privileges|system)\b)", "there is nothing of this kind to be altered"),
    (rf"^{_TABLE} if not exists [^(]*\bas\b", "CREATE TABLE AS has no IF NOT EXISTS"),
    (rf"^{_TABLE} [^(]*\bas (table|values)\b", "CREATE TABLE AS takes a query"),
    (rf"^{_TABLE} .*\bwith no data$", "WITH NO DATA is not supported"),
    (rf"^{_TABLE} .*\bon commit (drop|delete|preserve)\b", "ON COMMIT is not supported"),
    (rf"^{_TABLE} .*\b(partition of|inherits|tablespace)\b", "table partitioning, inheritance and tablespaces are not supported"),
    (rf"^{_TABLE} .*\b(in|ex)cluding (?!defaults\b)", "LIKE takes INCLUDING DEFAULTS or EXCLUDING DEFAULTS"),
    (rf"^{_TABLE} .*\bgenerated always\b", "GENERATED takes BY DEFAULT AS IDENTITY"),
    (rf"^{_TABLE} .*\bcollate (?!case_sensitive|case_insensitive)", "only CASE_SENSITIVE and CASE_INSENSITIVE are collations"),
    (r"^(create|alter) .*\bon (delete|update) (cascade|restrict|no action|set)\b", "keys have no actions"),
    (r"^(create|alter|begin|start|set) .*\bdeferrable\b", "DEFERRABLE is not supported"),
    (r"^create .*\bwith (cascaded |local )?check option$", "WITH CHECK OPTION is not supported"),
    (r"^alter table (if exists|only) ", "ALTER TABLE takes the name of a table"),
    (r"^alter table .*\b(add|drop)( column)? if ", "ADD and DROP COLUMN have no IF EXISTS"),
    (r"^alter table .*\balter( column)? \S+ (set|drop) ", "ALTER COLUMN changes nothing but a type's length and an encoding"),
    (r"^alter table .*\b(set (schema|tablespace|logged|unlogged|without)|(enable|disable|force) (row|trigger|rule)|inherit)\b",
     "ALTER TABLE has no such action"),
    (r"^alter table .*\bcheck \(", "CHECK constraints are not supported"),
    (r"\bas (not )?materialized \(", "a WITH query is neither MATERIALIZED nor not"),
    (r"^insert into \S+( \. \S+)? as ", "the target of INSERT takes no alias"),
    (r"\boverriding (system|user) value\b", "OVERRIDING is not supported"),
    (r"^update .*\bset \(", "UPDATE sets one column at a time"),
    (r"\b(from|update|join) only\b", "ONLY is not supported: there is no inheritance"),
    (r"\bfetch (first|next)\b", "FETCH FIRST is not supported"),
    (r"\b(intersect|except|minus) all\b", "ALL is for UNION"),
    (r"^merge .*\b(do nothing|not matched by)\b", "MERGE updates or deletes what matches, and inserts what does not"),
    (r"^comment on (?!(table|column|constraint|database|view)\b)", "COMMENT is on tables, columns, constraints, databases and views"),
    (r"^(rollback|abort) (work |transaction )?to\b", "there are no savepoints"),
    (r"^(commit|end|rollback|abort)\b.*\b(prepared|chain)\b", "there are no prepared or chained transactions"),
    (r"^(analyze|vacuum) [^(]*,", "it takes the name of one table"),
    (r"^vacuum (\(|(full )?(freeze|verbose|analyze)\b)", "VACUUM has no such option"),
    (r"^explain (analyze\b|\()", "EXPLAIN takes VERBOSE, and runs nothing"),
    (r"^lock .*\bnowait\b", "LOCK takes no NOWAIT"),
)  # fmt: skip
_TEXT = re.compile(r"'(?:[^']|'')*'")
_TABLE_ACTIONS = re.compile(r"^alter table\b")


def check_form(sql: str, tokens: Sequence[Token]) -> None:
    """Raise Failure for a form of statement that Redshift does not have."""
    text = " ".join(map(_word, tokens))
    if tokens[0].token_type in (TokenType.COMMAND, TokenType.LOCK):  # whose rest is one token
        text = " ".join(_TEXT.sub("''", sql).lower().rstrip("; \n").replace(",", " ,").split())
    for pattern, message in _FORMS:
        if re.search(pattern, text):
            raise Failure("42601", f"syntax error: {message}")
    if _TABLE_ACTIONS.match(text) and _has_top_comma(tokens):
        raise Failure("42601", 'syntax error at or near ",": ALTER TABLE takes one action')


def _word(token: Token) -> str:
    if token.token_type is TokenType.STRING:
        return "''"
    text = " ".join(token.text.split()).lower()
    return f'"{text}"' if token.token_type is TokenType.IDENTIFIER else text


def _has_top_comma(tokens: Sequence[Token]) -> bool:
    """Return whether there is a comma outside of all parentheses."""
    depth = 0
    for token in tokens:
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        if token.token_type is TokenType.COMMA and not depth:
            return True
    return False
