"""How engines differ, as data, and the limits of a run.

No driver is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Capabilities:
    """How an engine differs from the others, as data."""

    name: str
    dialect: str  # the name sqlglot knows it by
    types: Mapping[
        str, str
    ]  # neutral type → the engine's; varchar(n) and decimal(p,s) fall back to themselves
    placeholder: str  # of a parameter in a statement
    collation: (
        str  # by which texts are compared by their bytes, as the other engines do; none where they are anyway
    )
    max_text: str  # the type of varchar(max)
    sunday: int = 0  # the number that EXTRACT(DOW …) gives it; Redshift says 0
    folders_at_once: bool = (
        False  # whether it writes all folders of a table to a lake at once; others, month by month
    )
    readers_wait: bool = False  # whether readers of a dropped table wait for the commit, so that one that is rebuilt is replaced last
    writes_to: str = ""  # what a lake's URL must begin with; anything: a folder's and a bucket's


@dataclass(frozen=True)
class Limits:
    """What a run may take: memory, threads and files at a time for parsing, and seconds to wait for another run's lock."""

    memory: str = "400MB"
    threads: int = 0
    batch_files: int = 0  # 0: as many as suits the landing
    lock_timeout: float = 300
    statement_timeout: float = 0  # seconds that a server may take for one statement; 0: as long as it takes
