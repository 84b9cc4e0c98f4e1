"""How engines differ, as data, and the limits of a run.

No driver is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """The engines of a warehouse, by the scheme of their URLs."""

    POSTGRESQL = "postgresql"
    REDSHIFT = "redshift"
    DUCKDB = "duckdb"


@dataclass(frozen=True)
class Capabilities:
    """How an engine differs from the others, as data."""

    name: str
    dialect: str  # sqlglot's name of it
    # Neutral type → the engine's type; varchar(n) and decimal(p,s) default to themselves.
    types: Mapping[str, str]
    placeholder: str  # of a parameter in a statement
    # Compares texts by their bytes, as the other engines do; empty where that is the engine's default.
    collation: str
    unlimited_text_type: str  # the type of varchar(max)
    dow_of_sunday: int = 0  # as EXTRACT(DOW …) numbers it; Redshift's is 0
    # Whether an unload writes all month folders of a table at once; otherwise it writes one month at a time.
    unloads_all_months_at_once: bool = False
    # Whether readers of a dropped table wait for the commit, so that a rebuilt table must be swapped in last.
    drop_blocks_readers: bool = False
    # Whether only one session at a time can write to the database; otherwise loads of different stars run in parallel.
    has_single_writer: bool = False
    lake_url_prefix: str = ""  # the required start of a lake's URL; empty: folders and buckets alike


@dataclass(frozen=True)
class Limits:
    """The memory, threads and files that a run may use, and how long it waits."""

    memory: str = "400MB"  # of DuckDB, with its unit: SCX_MEMORY_LIMIT
    threads: int = 0  # 0: as many as the machine has: SCX_THREADS
    batch_files: int = 0  # files per batch; 0: as many as suits the staging buffer: SCX_BATCH_FILES
    lock_timeout: float = 300  # seconds: SCX_LOCK_TIMEOUT
    statement_timeout: float = 0  # seconds of one statement on a server; 0: no limit: SCX_STATEMENT_TIMEOUT
