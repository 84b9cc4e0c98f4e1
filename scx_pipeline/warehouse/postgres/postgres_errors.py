"""PostgreSQL's errors as one line that says what to do.

An error that a retry may avoid becomes a RetryableTransactionError; retries are not made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from scx_pipeline.error_translation import find_advice
from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import explain, first_line
from scx_pipeline.warehouse.psycopg import (
    CREATE_ROLES,
    RetryableTransactionError,
    advise_on_privileges,
    advise_on_timeout,
)

RUN_AGAIN = "run again"
# SQLSTATE → what to do.
_ADVICE: Mapping[str, str] = {
    "22001": "a text is longer than its column: check the lengths declared in the star",
    "22P05": "the database cannot store every text: create one with ENCODING 'UTF8'",
    "25P03": "the server or a pooler ends idle transactions: allow them for this user",
    "25P04": "the server or a pooler ends long transactions: allow them for this user",
    "2BP01": "an object that the pipeline did not create, such as a view, depends on it: drop it, and create it again after the load",
    "42501": CREATE_ROLES,
    "42P01": f"if another session dropped or renamed it meanwhile, {RUN_AGAIN}",
    "42P07": f"if another session created it meanwhile, {RUN_AGAIN}",
    "53100": "free space on the server's disk",
    "53200": "the server has too little memory: give it more, or fewer connections",
    "53300": "end some of the server's connections, or raise its max_connections",
    "57014": "the role's statement_timeout, or an administrator, ended a statement: raise it for this role, or run again",
    "57P01": f"the server was stopped, or an administrator ended the session: {RUN_AGAIN}",
    "57P02": f"the server crashed, its log says why: {RUN_AGAIN} when it is up",
    "57P03": f"the server is starting or stopping: {RUN_AGAIN} when it is up",
    "57P05": "the server ends idle sessions: allow them for this user",
}
# The same for refused connections, where the driver gives no SQLSTATE.
_CONNECTION_ADVICE = (
    ("too many clients", _ADVICE["53300"]),
    ("too many connections", _ADVICE["53300"]),
    ("remaining connection slots", _ADVICE["53300"]),
    ("starting up", _ADVICE["57P03"]),
    ("shutting down", _ADVICE["57P03"]),
    ("in recovery mode", _ADVICE["57P03"]),
    ("unsupported startup parameter", "PgBouncer refuses the parameters after the ? in the URL: remove them"),
    ("could not translate host name", "check the host in SCX_WAREHOUSE_URL"),
)  # fmt: skip
_CONNECTION_LOST = (
    "the connection was lost: the server, or a firewall or pooler in between, ended it, and its log says why; "
    f"{RUN_AGAIN}"
)


@contextmanager
def translate_postgres_errors(url: str, limits: Limits) -> Iterator[None]:
    """Translate the driver's errors to a WarehouseError of one line.

    Args:
        url: The database, without its password, for the message.
        limits: The timeouts to show.

    Raises:
        WarehouseBusyError: Another session holds a lock for too long.
        RetryableTransactionError: The transaction conflicted with another one.
    """
    import psycopg2

    try:
        yield
    except psycopg2.errors.LockNotAvailable as error:
        raise WarehouseBusyError(
            f"{url}: {first_line(error)}; waited {limits.lock_timeout:g} s (SCX_LOCK_TIMEOUT) for a session that holds a lock that "
            "this one needs: wait for it, or end it; nothing was changed"
        ) from error
    except (psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure) as error:
        raise RetryableTransactionError(
            f"{url}: {first_line(error)}: it conflicted with another session; nothing was changed"
        ) from error
    except psycopg2.Error as error:
        raise WarehouseError(f"{_describe(url, error, limits)}; nothing was changed") from error
    except UnicodeEncodeError as error:
        text = ascii(str(error.object)[max(0, error.start - 40) : error.end + 40])
        raise WarehouseError(
            f"{url}: {text} is not Unicode text, such as a file name in another encoding; nothing was changed"
        ) from error


def _describe(url: str, error: Exception, limits: Limits) -> str:
    """Return what happened, and what to do about it."""
    import psycopg2

    code = getattr(error, "pgcode", None)
    advice = advise_on_timeout(error, limits) or advise_on_privileges(error) or _ADVICE.get(code or "", "")
    if code is None and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        advice = _CONNECTION_LOST
    if not advice:
        advice = f"SQLSTATE {code}" if code else type(error).__name__
    return f"{url}: {explain(first_line(error), advice)}"


def describe_refused_connection(error: Exception) -> str:
    """Return why a connection was refused, and what to do if that is known."""
    return explain(first_line(error), find_advice(str(error), _CONNECTION_ADVICE))
