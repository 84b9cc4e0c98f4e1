"""Redshift's errors as one line that says what to do.

An error that a retry may avoid becomes a RetryableTransactionError; retries are not made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scx_pipeline.error_translation import find_advice
from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import explain, first_line
from scx_pipeline.warehouse.psycopg import RetryableTransactionError, advise_on_privileges, advise_on_timeout
from scx_pipeline.warehouse.redshift.redshift_login import Login

_OTHER_REGION = "the bucket is in another region: set region= and region_staging="
_NOT_RUNNING = "is the cluster running, and does its security group admit this machine?"
# What the driver reports of a refused connection → what to do.
_CONNECTION_ADVICE = (
    ("could not translate host name", "check the host, and whether the cluster was deleted (`scx cloud status`)"),
    ("timeout expired", _NOT_RUNNING),
    ("timed out", _NOT_RUNNING),
    ("connection refused", "is the cluster running? (`scx cloud status`)"),
    ("password authentication failed", "check user and password; temporary ones expire: use workgroup=, cluster= or secret= instead"),
    ("certificate verify failed", "the server's certificate is not the one that sslrootcert vouches for"),
)  # fmt: skip
_DELETED_OBJECT = ("nosuchkey", "an object was deleted after it was listed: run again")
# What the cluster reports of itself, and of COPY → what to do.
_CLUSTER_ADVICE = (
    ("not authorized to assume", "attach the role to the cluster, or name another one by iam_role="),
    ("accessdenied", "the cluster's role must be allowed to read the bucket"),
    ("permanentredirect", _OTHER_REGION),
    ("must be addressed using the specified endpoint", _OTHER_REGION),
    ("disk full", "free some space, or resize the cluster"),
    ("is paused", "run `scx cloud resume redshift-provisioned`"),
)
# In errors about objects that this process may read, but the cluster may not.
NO_ACCESS = ("accessdenied", "permanentredirect", "must be addressed using the specified endpoint")
_CONFLICTS = ("1023", "1018", "Serializable isolation violation")


@contextmanager
def translate_redshift_errors(url: str, limits: Limits) -> Iterator[None]:
    """Translate errors that users can act on to a WarehouseError of one line.

    Args:
        url: The database, without its password, for the message.
        limits: The statement timeout to show.

    Raises:
        RetryableTransactionError: The transaction conflicted with another one, or the connection was lost.
    """
    import psycopg2

    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError, psycopg2.errors.InsufficientPrivilege,
            psycopg2.errors.ReadOnlySqlTransaction) as error:  # fmt: skip
        kind = RetryableTransactionError if _is_transient(error) else WarehouseError
        advice = (
            advise_on_timeout(error, limits)
            or find_advice(str(error), (*_CLUSTER_ADVICE, _DELETED_OBJECT))
            or advise_on_privileges(error)
        )
        raise kind(f"{url}: {explain(first_line(error), advice)}; nothing was changed") from error


def is_cluster_error(error: Exception) -> bool:
    """Return whether an error of COPY is about the cluster, not about what is in the objects."""
    return _is_transient(error) or bool(find_advice(str(error), _CLUSTER_ADVICE))


def _is_transient(error: Exception) -> bool:
    """Return whether a retry may succeed: a conflict with another transaction, or a lost connection."""
    import psycopg2

    if isinstance(error, psycopg2.errors.QueryCanceled):  # whatever number its message contains
        return False
    is_connection_lost = (
        isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        and getattr(error, "pgcode", None) is None
    )
    return is_connection_lost or any(sign in str(error) for sign in _CONFLICTS)


def describe_refused_connection(error: Exception, login: Login) -> str:
    """Return why a connection was refused, and what to do, without the password."""
    line = first_line(error)
    if login.password:
        line = line.replace(login.password, "***")
    return explain(line, find_advice(str(error), _CONNECTION_ADVICE))
