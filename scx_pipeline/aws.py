"""AWS as it is asked anywhere here: clients by AWS's own settings, and its refusals in one line with what to do.
What is asked, and which error of ours it becomes, is decided by whoever asks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from botocore.session import Session

_EXPIRED = "log in to AWS again (aws sso login), or renew its keys"
_RIGHTS = "let this user or role call it (docs/redshift.md and docs/emr.md list the policies)"
_LOGIN = "log in to AWS (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
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


def session() -> Session:
    """A session that looks the credentials up afresh: boto3's default session keeps the first it finds, and is not thread-safe."""
    from botocore.session import get_session

    found = get_session()
    found.register_component("data_loader", _service_models())
    return found


@cache
def _service_models() -> Loader:
    """botocore's models of AWS's services, loaded once: a session that loads them itself takes a tenth of a second longer."""
    from botocore.session import get_session

    loader: Loader = get_session().get_component("data_loader")
    return loader


def client(service: str, kind: type[PipelineError], region: str | None = None) -> Any:
    """A client of a service, in a region or that of AWS's settings. Raises an error of this kind where there is none."""
    from botocore.exceptions import BotoCoreError

    # It tells answers as they are, and headers: passwords of a login, and tokens.
    logging.getLogger("botocore").setLevel(logging.INFO)
    try:
        return session().create_client(service, region_name=region or environment_region())
    except BotoCoreError as error:
        raise kind(
            f"cannot ask AWS for {service}: {error}; set AWS_REGION, or AWS_PROFILE to a profile with a region"
        ) from None


def environment_region() -> str | None:
    """The region of AWS_REGION, which botocore does not read, as AWS's other clients do: it reads AWS_DEFAULT_REGION alone."""
    return os.environ.get("AWS_REGION") or None


@contextmanager
def translate_errors(
    what: str, kind: type[PipelineError], advice: Sequence[tuple[str, str]] = ()
) -> Iterator[None]:
    """AWS's refusals as an error of this kind, of one line that says what was tried, and what to do.

    `advice` is of a service: what is in its code or message, and what to do then.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = answer.get("Code", "")
        message = answer.get("Message") or code
        hints = [hint for sign, hint in advice if sign in f"{code} {message}"]
        hints += [hint for sign, hint in _ADVICE if sign in code]
        raise kind(f"cannot {what}: {message}{f': {hints[0]}' if hints else ''}") from None
    except NoCredentialsError:
        raise kind(f"cannot {what}: there are no credentials: {_LOGIN}") from None
    except BotoCoreError as error:
        reason = " ".join(str(error).split())  # what is wrong with a parameter takes lines of its own
        raise kind(f"cannot {what}: {reason}") from None
