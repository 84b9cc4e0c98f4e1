"""AWS's control plane as it is asked here: refusals as a ClusterError, things that may be absent, tags, and waiting.
What is made with it is in `serverless`, `provisioned`, `spark_application` and `role`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from scx_pipeline import aws
from scx_pipeline.errors import PipelineError

Notify = Callable[[str], None]
TAG = "scx_pipeline"  # on all that is made here, with the plan's name: nothing else is ever changed or destroyed
POLL, PATIENCE = 10.0, 3600.0  # seconds between two looks, and for which something is waited for
TELL = 30.0  # seconds between two words about it


class ClusterError(PipelineError):
    """AWS refused, or something is not as it must be; the message says what to do."""


client = partial(aws.client, kind=ClusterError)
told = partial(aws.translate_errors, kind=ClusterError)


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


def ours(name: str, found: Sequence[dict[str, str]]) -> bool:
    """Whether a thing with these tags was made here, by the plan of this name."""
    values = {item.get("Key", item.get("key")): item.get("Value", item.get("value")) for item in found}
    return values.get(TAG) == name


def check_ours(what: str, name: str, found: Sequence[dict[str, str]]) -> None:
    """Raise ClusterError for a thing that was not made here."""
    if not ours(name, found):
        raise ClusterError(
            f"{what} stands, but was not made by `scx cluster` (it has no tag {TAG}={name}): take another --name"
        )
