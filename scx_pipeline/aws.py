"""AWS as it is asked anywhere here: clients by AWS's own settings, and its refusals in one line with what to do.
What is asked, and which error of ours it becomes, is decided by whoever asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scx_pipeline.errors import PipelineError

_EXPIRED = "log in to AWS again (aws sso login), or renew its keys"
_RIGHTS = "let this user or role call it (docs/redshift.md lists the policy)"
_QUOTA = "see the account's quotas, or take less"
_ABSENT = "see its name, and AWS_REGION"
# What is in an error's code → what to do.
_ADVICE = (
    ("AccessDenied", _RIGHTS),
    ("UnauthorizedOperation", _RIGHTS),
    ("ExpiredToken", _EXPIRED),
    ("UnrecognizedClient", _EXPIRED),
    ("ClusterNotFound", _ABSENT),
    ("ResourceNotFound", _ABSENT),
    ("InsufficientCapacity", "try again later, or in another region"),
    ("Quota", _QUOTA),
    ("LimitExceeded", _QUOTA),
)


def client(service: str, kind: type[PipelineError]) -> Any:
    """A client of a service. Raises an error of this kind where the settings name no region."""
    import boto3
    from botocore.exceptions import BotoCoreError

    # It tells answers as they are, and headers: passwords of a login, and tokens.
    logging.getLogger("botocore").setLevel(logging.INFO)
    try:
        return boto3.client(service)
    except BotoCoreError as error:
        raise kind(
            f"cannot ask AWS for {service}: {error}; set AWS_REGION, or AWS_PROFILE to a profile with a region"
        ) from None


@contextmanager
def told(what: str, kind: type[PipelineError]) -> Iterator[None]:
    """AWS's refusals as an error of this kind, of one line that says what was tried."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = answer.get("Code", "")
        advice = next((advice for sign, advice in _ADVICE if sign in code), "")
        raise kind(
            f"cannot {what}: {answer.get('Message') or code}{f': {advice}' if advice else ''}"
        ) from None
    except BotoCoreError as error:
        raise kind(f"cannot {what}: {error}") from None
