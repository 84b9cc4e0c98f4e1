"""CREATE USER, GRANT, REVOKE and default privileges of Redshift, translated for PostgreSQL.

Sources: CREATE USER, ALTER USER, GRANT, ALTER DEFAULT PRIVILEGES in the guide.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from scx_pipeline_tests.support.redshift.wire import Failure

_NAME = r'("[^"]+"|\w+)'
_OPTIONS = rf"(\s+(createdb|nocreatedb|createuser|nocreateuser|syslog access (un)?restricted|in group {_NAME}|connection limit \w+))*"
_CREATE = rf"create user {_NAME}( with)? password (disable|'[^']*'){_OPTIONS}"
_ALTER = rf"alter user {_NAME}( with)? set (\w+) (to|=) (\S+|'[^']*')"
_GRANTEES = rf"(group |role )?{_NAME}(, (group |role )?{_NAME})*"
# The privileges by kind of object. There is no CONNECT: every user who can log in may.
_RIGHTS = {
    rf"on database {_NAME}": "create temporary temp alter usage all",
    rf"on schema {_NAME}(, {_NAME})*": "create usage alter drop all",
    rf"on all tables in schema {_NAME}(, {_NAME})*": "select insert update delete drop references alter truncate all",
    rf"on (table )?({_NAME}\.)?{_NAME}": "select insert update delete drop references alter truncate all",
}
_DEFAULTS = (
    rf"alter default privileges( for user {_NAME}(, {_NAME})*)?( in schema {_NAME}(, {_NAME})*)? "
    rf"(grant|revoke) (select|insert|update|delete|drop|references|truncate|all) on tables (to|from) {_GRANTEES}"
)


def create_user(sql: str) -> str:
    """Return PostgreSQL's statement for a CREATE USER, which has no IF NOT EXISTS and requires a password clause."""
    found = re.fullmatch(_CREATE, _plain(sql), re.IGNORECASE)
    if not found:
        raise Failure(
            "42601", "syntax error in CREATE USER: it is CREATE USER name PASSWORD { 'password' | DISABLE } …"
        )
    return f"CREATE ROLE {found[1]} LOGIN"


def alter_user(sql: str, settings: Collection[str]) -> str:
    found = re.fullmatch(_ALTER, _plain(sql), re.IGNORECASE)
    if not found:
        raise Failure("0A000", "the stand-in knows of ALTER USER only SET")
    if found[3].lower() not in settings:
        raise Failure("42704", f'unrecognized configuration parameter "{found[3]}"')
    return f"ALTER ROLE {found[1]} SET {found[3]} TO {found[5]}"


def default_privileges(sql: str) -> str:
    if not re.fullmatch(_DEFAULTS, _plain(sql), re.IGNORECASE):
        raise Failure("42601", "syntax error in ALTER DEFAULT PRIVILEGES")
    return sql


def grant(sql: str) -> str:
    """Return the statement, if Redshift has these privileges on that kind of object, and such grantees."""
    text = _plain(sql)
    for what, rights in _RIGHTS.items():
        listed = "|".join(rights.split())
        form = rf"(grant|revoke) ({listed})(, ?({listed}))* {what} (to|from) {_GRANTEES}"
        if re.fullmatch(form, text, re.IGNORECASE) and "current_user" not in text.lower():
            return sql
    raise Failure("42601", f"syntax error, or no such right: {text[:80]}")


def _plain(sql: str) -> str:
    return " ".join(sql.split()).rstrip("; ")
