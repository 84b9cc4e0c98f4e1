"""What goes wrong on PostgreSQL as one line that says what to do: no traceback, whatever the server answers.
Which of them another attempt may avoid is decided here; who tries again, in `postgres`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.psycopg import RetryableTransactionError, forbidden, stopped

AGAIN = "run again"
# SQLSTATE → what to do.
_ADVICE: Mapping[str, str] = {
    "22001": "a text is longer than its column: see the lengths that the star declares",
    "22P05": "the database cannot store every text: create one with ENCODING 'UTF8'",
    "25P03": "the server or a pooler ends idle transactions: allow them for this user",
    "25P04": "the server or a pooler ends long transactions: allow them for this user",
    "2BP01": "something that others made, such as a view, depends on it: drop that, and create it again after the load",
    "42501": "have an administrator run what `scx roles` prints",
    "42P01": f"if another session dropped or renamed it meanwhile, {AGAIN}",
    "42P07": f"if another session created it meanwhile, {AGAIN}",
    "53100": "make room on the server's disk",
    "53200": "the server has too little memory: give it more, or fewer connections",
    "53300": "end some of the server's connections, or raise its max_connections",
    "57014": "the role's statement_timeout, or an administrator, ended a statement",
    "57P01": f"the server was stopped, or an administrator ended the session: {AGAIN}",
    "57P02": f"the server crashed, its log says why: {AGAIN} when it is up",
    "57P03": f"the server is starting or stopping: {AGAIN} when it is up",
    "57P05": "the server ends idle sessions: allow them for this user",
}
# The same of a connection that is refused, where the driver gives no SQLSTATE.
_CONNECTING = (
    ("too many clients", _ADVICE["53300"]),
    ("too many connections", _ADVICE["53300"]),
    ("remaining connection slots", _ADVICE["53300"]),
    ("starting up", _ADVICE["57P03"]),
    ("shutting down", _ADVICE["57P03"]),
    ("in recovery mode", _ADVICE["57P03"]),
    ("unsupported startup parameter", "PgBouncer refuses what the URL says behind the ?: leave it out"),
    ("could not translate host name", "see the host in SCX_WAREHOUSE_URL"),
)  # fmt: skip
_LOST = (
    "the connection was lost: the server, or something between such as a firewall or PgBouncer, ended it, and its log says why; "
    f"{AGAIN}"
)


@contextmanager
def translated(url: str, limits: Limits) -> Iterator[None]:
    """Whatever the driver raises as a WarehouseError of one line; as RetryableTransactionError, what another attempt may avoid."""
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
        raise WarehouseError(f"{told(url, error, limits)}; nothing was changed") from error
    except UnicodeEncodeError as error:
        text = ascii(str(error.object)[max(0, error.start - 40) : error.end + 40])
        raise WarehouseError(
            f"{url}: {text} is not Unicode text, such as a file name in another encoding; nothing was changed"
        ) from error


def told(url: str, error: Exception, limits: Limits) -> str:
    """What happened, and what to do about it."""
    import psycopg2

    code = getattr(error, "pgcode", None)
    advice = stopped(error, limits) or forbidden(error) or _ADVICE.get(code or "")
    if code is None and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        advice = _LOST
    if advice is None:
        advice = f"SQLSTATE {code}" if code else type(error).__name__
    return f"{url}: {first_line(error)} ({advice})"


def refusal(error: Exception) -> str:
    """Why a connection was refused, and what to do where that is known."""
    line = first_line(error)
    advice = next((advice for sign, advice in _CONNECTING if sign in line.lower()), "")
    return f"{line} ({advice})" if advice else line
