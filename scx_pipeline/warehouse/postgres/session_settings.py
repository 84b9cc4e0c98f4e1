"""The settings of every transaction on PostgreSQL, which override those of the role, the database and the server.

They last for the transaction only, so that they apply behind a pooler and do not leak to its next client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scx_pipeline.warehouse.capabilities import Limits

if TYPE_CHECKING:
    from psycopg2.extensions import connection

# Of the connection. A pooler in transaction mode accepts the encoding but refuses `options`, even from the environment.
CONNECTION: Mapping[str, Any] = {
    "client_encoding": "UTF8",
    "application_name": "scx_pipeline",
    "connect_timeout": 15,
}
# Defaults that the URL may override. Routers drop connections that are idle for long.
CONNECTION_DEFAULTS: Mapping[str, Any] = {
    "options": "",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 6,
}
COMMON: Mapping[str, str] = {
    # How values are converted to and from text.
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    # What a statement means.
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "search_path": '"$user", public',
    # A load parses files in its transaction, however long that takes: the server must not end it.
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "exit_on_error": "off",
    # But a client whose machine is gone must not hold its locks for hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}
LOADS: Mapping[str, str] = {
    # Raise an error where a policy hides rows, which would be neither replaced nor counted.
    "row_security": "off",
    # For a join on two columns the planner expects one row where there are all, and sorts both sides.
    "enable_mergejoin": "off",
    # A killed load must not go on in the server: its lock would block the next one.
    "client_connection_check_interval": "5s",
}
MEMORY: Mapping[str, str] = {"work_mem": "128MB", "maintenance_work_mem": "256MB"}  # minimum for a load


def of_load(limits: Limits) -> dict[str, str]:
    """Return the settings of a load; its statement timeout overrides the role's and the server's."""
    return {**COMMON, **LOADS, **timeouts(limits)}


def of_reader(limits: Limits) -> dict[str, str]:
    """Return the settings of a session that reads; without our own statement timeout, the role's applies."""
    found = {**COMMON, **timeouts(limits)}
    if not limits.statement_timeout:
        del found["statement_timeout"]
    return found


def timeouts(limits: Limits) -> dict[str, str]:
    """Return how long a statement may wait for a lock, and how long it may take, in milliseconds."""
    return {
        "lock_timeout": str(int(limits.lock_timeout * 1000) or 1),
        "statement_timeout": str(int(limits.statement_timeout * 1000)),
    }


def apply(con: connection, settings: Mapping[str, str], *, local: bool = True) -> None:
    """Apply the settings that the server knows, to the transaction (`local`) or the session."""
    values = ", ".join(["(%s, %s)"] * len(settings))
    with con.cursor() as cursor:
        cursor.execute(
            f"SELECT set_config(name, value, %s) FROM (VALUES {values}) AS ours (setting_name, value)"
            " JOIN pg_catalog.pg_settings ON name = setting_name",
            [local, *(text for item in settings.items() for text in item)],
        )


def raise_memory(con: connection) -> None:
    """Raise the transaction's memory to that of a load, if it is less.

    The defaults suit small queries: a load's sorts, hashes and indexes would use files.
    """
    with con.cursor() as cursor:
        for setting, value in MEMORY.items():
            cursor.execute(
                "SELECT set_config(name, %s, true) FROM pg_catalog.pg_settings WHERE name = %s"
                " AND setting::bigint * 1024 < pg_size_bytes(%s)",
                [value, setting, value],
            )


def is_pooled(con: connection) -> bool:
    """Return whether a pooler may give each transaction another connection of the server."""
    with con.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        found = cursor.fetchone()
    assert found is not None
    return bool(found[0] != con.info.backend_pid)
