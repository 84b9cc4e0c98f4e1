"""Create AWS clients by AWS's own settings, and translate AWS's errors into one line with advice.

What is requested, and which error of the pipeline is raised, is decided by the caller.
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any

from scx_pipeline.error_translation import AdviceTable, find_advice, translate_errors
from scx_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from botocore.session import Session

_EXPIRED = "log in to AWS again (aws sso login), or renew its keys"
_PERMISSIONS = "let this user or role call it (docs/redshift.md and docs/emr.md list the policies)"
_LOGIN = "log in to AWS (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_QUOTA = "check the account's quotas, or request less"
_NOT_FOUND = "check its name, and AWS_REGION"
# By a part of an error's code.
_ADVICE = (
    ("AccessDenied", _PERMISSIONS),
    ("UnauthorizedOperation", _PERMISSIONS),
    ("ExpiredToken", _EXPIRED),
    ("UnrecognizedClient", _EXPIRED),
    ("ClusterNotFound", _NOT_FOUND),
    ("ResourceNotFound", _NOT_FOUND),
    ("InsufficientCapacity", "try again later, or in another region"),
    ("Quota", _QUOTA),
    ("LimitExceeded", _QUOTA),
)


def create_session() -> Session:
    """Create a session, which reads the credentials again: boto3's default session keeps its first ones, and is not thread-safe."""
    from botocore.session import get_session

    session = get_session()
    session.register_component("data_loader", _service_models())
    return session


@cache
def _service_models() -> Loader:
    """Load botocore's models of AWS's services once: that takes each session a tenth of a second."""
    from botocore.session import get_session

    loader: Loader = get_session().get_component("data_loader")
    return loader


def create_client(service: str, kind: type[PipelineError], region: str | None = None) -> Any:
    """Create a client of a service, by default in the region of AWS's settings. Raises `kind` if no region is set."""
    from botocore.exceptions import BotoCoreError

    # Its debug messages contain responses and headers, and with them passwords and tokens.
    logging.getLogger("botocore").setLevel(logging.INFO)
    try:
        return create_session().create_client(service, region_name=region or environment_region())
    except BotoCoreError as error:
        raise kind(
            f"cannot create an AWS client for {service}: {error}; set AWS_REGION, or AWS_PROFILE to a profile with a region"
        ) from None


def environment_region() -> str | None:
    """Return AWS_REGION, which botocore ignores, unlike AWS's other clients: it reads only AWS_DEFAULT_REGION."""
    return os.environ.get("AWS_REGION") or None


def translate_aws_errors(
    action: str, kind: type[PipelineError], advice: AdviceTable = ()
) -> AbstractContextManager[None]:
    """Translate AWS's errors into one line: "cannot {action}: {reason}: {advice}".

    Args:
        action: What was attempted, such as "start a job".
        kind: The error to raise.
        advice: Advice for the service, by a part of the error's code or message; it precedes the general advice.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    def describe(error: Exception) -> str:
        if isinstance(error, ClientError):
            response = error.response.get("Error", {})
            code = response.get("Code", "")
            message = response.get("Message") or code
            hint = find_advice(f"{code} {message}", advice) or find_advice(code, _ADVICE)
            return f"{message}: {hint}" if hint else message
        if isinstance(error, NoCredentialsError):
            return f"there are no credentials: {_LOGIN}"
        return " ".join(str(error).split())  # parameter errors have several lines

    return translate_errors(
        lambda error: kind(f"cannot {action}: {describe(error)}"),
        ClientError,
        BotoCoreError,
        with_cause=False,
    )
