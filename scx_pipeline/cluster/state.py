"""How what was made stands, as facts: its parts, its address, and where its password is kept.
Asking AWS for it is in `serverless` and `provisioned`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Part:
    """One thing in AWS, and its state in AWS's words; None: there is none."""

    kind: str
    name: str
    state: str | None


@dataclass(frozen=True)
class Standing:
    """All parts; the host to connect to and the ARN of the administrator's secret, as soon as there are."""

    parts: tuple[Part, ...]
    host: str | None = None
    secret: str | None = None


class Machine(Protocol):
    """A kind of Redshift. Every method raises ClusterError, and may be repeated."""

    def create(self, role: str) -> None:
        """Make what is missing, with the role of this ARN, and wait until it can be used."""

    def state(self) -> Standing:
        """How its parts stand, and by what it is reached."""

    def pause(self) -> None:
        """Stop what is billed by the hour."""

    def resume(self) -> None:
        """Let it compute again."""

    def destroy(self, snapshot: str | None) -> None:
        """Remove it, with a last snapshot of this name if there is one."""


def word(found: Mapping[str, Any] | None, name: str) -> str | None:
    """What AWS says of something under a name; None where there is no such thing."""
    return None if found is None else str(found[name])
