"""What every transaction on PostgreSQL sets, whatever the role, the database, the server and the environment say.
Set for the transaction alone, so that it holds behind a pooler, and changes nothing of a connection that others get next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scx_pipeline.warehouse.capabilities import Limits

if TYPE_CHECKING:
    from psycopg2.extensions import connection

# Of the connection. A pooler in transaction mode follows the encoding, and refuses `options`, also the environment's.
CONNECTION: Mapping[str, Any] = {
    "client_encoding": "UTF8",
    "application_name": "scx_pipeline",
    "connect_timeout": 15,
}
# What counts unless the URL says otherwise. A router forgets a connection on which nothing is said for long.
CONNECTION_DEFAULTS: Mapping[str, Any] = {
    "options": "",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 6,
}
COMMON: Mapping[str, str] = {
    # How values are written and read as texts.
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
    # A load parses files in its transaction, as long as they are: the server must not end it for that.
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "exit_on_error": "off",
    # But a client whose machine is gone must not keep its locks for hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}
LOADS: Mapping[str, str] = {
    # Rows that a policy hides would be neither replaced nor counted: an error instead.
    "row_security": "off",
    # For a join on two columns the planner expects a single row where there are all, and sorts both sides for it.
    "enable_mergejoin": "off",
    # A load that was killed must not go on in the server: its lock would keep the next one waiting.
    "client_connection_check_interval": "5s",
}
MEMORY: Mapping[str, str] = {"work_mem": "128MB", "maintenance_work_mem": "256MB"}  # in a load, at least


def of_load(limits: Limits) -> dict[str, str]:
    """The settings of a load; no statement timeout of the role or the server counts, only ours."""
    return {**COMMON, **LOADS, **timeouts(limits)}


def of_reader(limits: Limits) -> dict[str, str]:
    """The settings of a session that reads; without a statement timeout of ours, the role's counts, as analysts have one."""
    found = {**COMMON, **timeouts(limits)}
    if not limits.statement_timeout:
        del found["statement_timeout"]
    return found


def timeouts(limits: Limits) -> dict[str, str]:
    """How long a statement may wait for a lock, and how long it may take, in milliseconds."""
    return {
        "lock_timeout": str(int(limits.lock_timeout * 1000) or 1),
        "statement_timeout": str(int(limits.statement_timeout * 1000)),
    }


def apply(con: connection, settings: Mapping[str, str], *, local: bool = True) -> None:
    """Set those of the settings that the server knows, for the transaction or the session."""
    values = ", ".join(["(%s, %s)"] * len(settings))
    with con.cursor() as cursor:
        cursor.execute(
            f"SELECT set_config(name, value, %s) FROM (VALUES {values}) AS ours (setting_name, value)"
            " JOIN pg_catalog.pg_settings ON name = setting_name",
            [local, *(text for item in settings.items() for text in item)],
        )


def raise_memory(con: connection) -> None:
    """Give the transaction the memory of a load, where it has less.

    The defaults are for small queries: sorts, hashes and indexes of a load would go through files.
    """
    with con.cursor() as cursor:
        for setting, value in MEMORY.items():
            cursor.execute(
                "SELECT set_config(name, %s, true) FROM pg_catalog.pg_settings WHERE name = %s"
                " AND setting::bigint * 1024 < pg_size_bytes(%s)",
                [value, setting, value],
            )


def pooled(con: connection) -> bool:
    """Whether a pooler is between, which may give each transaction another connection of the server."""
    with con.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        found = cursor.fetchone()
    assert found is not None
    return bool(found[0] != con.info.backend_pid)
