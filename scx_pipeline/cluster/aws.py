"""AWS's control plane as it is asked here: clients, errors in one line, things that may be absent, and waiting.
What is made with it is in `serverless`, `provisioned` and `role`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scx_pipeline.errors import PipelineError

Notify = Callable[[str], None]
TAG = "scx_pipeline"  # on all that is made here, with the plan's name: nothing else is ever changed or destroyed
POLL, PATIENCE = 10.0, 3600.0  # seconds between two looks, and for which something is waited for
TELL = 30.0  # seconds between two words about it


class ClusterError(PipelineError):
    """AWS refused, or something is not as it must be; the message says what to do."""


def client(service: str) -> Any:
    """A client by AWS's own settings. Raises ClusterError where they name no region."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client(service)
    except BotoCoreError as error:
        raise ClusterError(
            f"cannot ask AWS: {error}; set AWS_REGION, or AWS_PROFILE to a profile with a region"
        ) from None


@contextmanager
def told(what: str) -> Iterator[None]:
    """AWS's refusals as one line that says what was tried."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = answer.get("Code", "")
        advice = next((advice for sign, advice in _ADVICE if sign in code), "")
        raise ClusterError(
            f"cannot {what}: {answer.get('Message') or code}{f': {advice}' if advice else ''}"
        ) from None
    except BotoCoreError as error:
        raise ClusterError(f"cannot {what}: {error}") from None


_ADVICE = (
    ("AccessDenied", "this user or role needs the rights that docs/redshift.md lists"),
    ("UnauthorizedOperation", "this user or role needs the rights that docs/redshift.md lists"),
    ("ExpiredToken", "log in to AWS again (aws sso login), or renew its keys"),
    ("UnrecognizedClient", "log in to AWS again (aws sso login), or renew its keys"),
    ("InsufficientCapacity", "try again later, or in another region"),
    ("Quota", "see the account's quotas, or take less"),
    ("LimitExceeded", "see the account's quotas, or take less"),
)


def present(ask: Callable[[], Any], absent: Sequence[str]) -> Any | None:
    """What AWS says of something; None where it answers that there is none, by one of these codes."""
    from botocore.exceptions import ClientError

    try:
        return ask()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in absent:
            return None
        raise


def wait_for(
    what: str, state: Callable[[], str | None], wanted: str | None, notify: Notify, failed: Sequence[str] = ()
) -> None:
    """Wait until something is in a state (None: gone), telling now and then how it stands.

    Raises ClusterError in one of the states `failed`, or after an hour. To break it off changes nothing.
    """
    begun = said = time.monotonic()
    while (now := state()) != wanted:
        if now in failed:
            raise ClusterError(f"{what} is {now}: see it in the AWS console, and destroy it or try again")
        waited = time.monotonic() - begun
        if waited > PATIENCE:
            raise ClusterError(
                f"{what} is still {now or 'absent'} after {waited / 60:.0f} minutes; run the command again to go on waiting"
            )
        if time.monotonic() - said >= TELL or said == begun:
            notify(f"{what} is {now or 'absent'}; waiting until it is {wanted or 'gone'} ({waited:.0f} s)")
            said = time.monotonic()
        time.sleep(POLL)
    notify(f"{what} is {wanted or 'gone'}")


def tags(name: str) -> list[dict[str, str]]:
    """The tag that says whose a thing is."""
    return [{"Key": TAG, "Value": name}]


def check_ours(what: str, name: str, found: Sequence[dict[str, str]]) -> None:
    """Raise ClusterError for a thing that was not made here."""
    values = {item.get("Key", item.get("key")): item.get("Value", item.get("value")) for item in found}
    if values.get(TAG) != name:
        raise ClusterError(
            f"{what} stands, but was not made by `scx cluster create` (it has no tag {TAG}={name}): take another --name"
        )
