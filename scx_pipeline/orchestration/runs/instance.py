"""The Dagster instance of the `scx` command: $DAGSTER_HOME, made on first use, with a quicker way to its SQLite files.
What runs in it is defined elsewhere; the UI and the daemon open the same files in Dagster's own way."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event

from scx_pipeline.errors import SettingsError
from scx_pipeline.settings import read_settings
from scx_pipeline.storage.temporary_folder import make_private

CONFIG = "dagster.yaml"
BUSY_SECONDS = 60
BATCH_SIZE = 1000
_STORAGES = ("storage", "event_log_storage", "run_storage", "schedule_storage")

DEFAULT_CONFIG = """\
# Written by scx_pipeline on first use; change it as you like (https://docs.dagster.io/deployment/oss/dagster-yaml).
telemetry:
  enabled: false
nux:  # the pop-up that asks for an e-mail address
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 4
run_queue:
  dequeue_interval_seconds: 1
run_launcher:  # it notices when a run's process is gone
  module: scx_pipeline.orchestration.runs.launcher
  class: CodeServerRunLauncher
run_monitoring:  # which asks it; a run that was launched and has not started is given up after two minutes
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 120
  max_runtime_seconds: 21600
"""


class PooledEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log with its connections kept open, for a process that runs one load.

    Dagster's own opens a new engine for every event it writes, asks whether there is a table of checks, and commits; a
    load writes about a hundred, each a few milliseconds too slow by that. The files are the same.
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        self._batch = threading.local()  # of a thread: the open connections of the batch that it writes
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> PooledEventLogStorage:
        """Dagster's way of making it."""
        return cls(inst_data=inst_data, **config_value)

    def has_table(self, table_name: str) -> bool:
        """Whether the shard of all runs has the table; one that was there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction of each shard."""
        with ExitStack() as stack:
            self._batch.stack, self._batch.connections = stack, {}
            try:
                super().store_event_batch(events)
            finally:
                del self._batch.connections

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        open_ones: dict[str, Connection] | None = getattr(self._batch, "connections", None)
        if open_ones is None:
            with self._begin(shard) as connection:
                yield connection
        else:
            if shard not in open_ones:
                open_ones[shard] = self._batch.stack.enter_context(self._begin(shard))
            yield open_ones[shard]

    @contextmanager
    def _begin(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.get(shard)
            if engine is None:
                engine = self._engines[shard] = create_engine(
                    self.conn_string_for_shard(shard), connect_args={"timeout": BUSY_SECONDS}
                )
                event.listen(engine, "connect", _relax)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
        with engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the connections."""
        for engine in self._engines.values():
            engine.dispose()
        super().dispose()


def _relax(connection: Any, record: object) -> None:
    """In WAL mode this loses nothing when the process dies, only when the machine does."""
    connection.execute("PRAGMA synchronous = NORMAL")


def prepare_home(home: Path) -> None:
    """Make $DAGSTER_HOME, which its owner alone can read, with a dagster.yaml that has no telemetry, unless there is one."""
    found = re.search("[%?]", str(home))
    if found:
        raise SettingsError(
            f"DAGSTER_HOME {home} has a {found[0]}, with which Dagster cannot open its SQLite files: set DAGSTER_HOME or SCX_HOME to"
            " another folder"
        )
    try:
        make_private(home)
        if not (home / CONFIG).exists():
            (home / CONFIG).write_text(DEFAULT_CONFIG, "utf-8")
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME {home} cannot be written ({error.strerror}): set DAGSTER_HOME or SCX_HOME"
        ) from None


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance at $DAGSTER_HOME; a storage that its dagster.yaml configures is used as it is."""
    prepare_home(home)
    configured = yaml.safe_load((home / CONFIG).read_text("utf-8")) or {}
    overrides = {} if any(name in configured for name in _STORAGES) else _pooled(home)
    # Dagster hands over the events that a run is planned to have as one batch only where this is set.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides)) as instance:
        yield instance


def _pooled(home: Path) -> dict[str, Any]:
    return {
        "event_log_storage": {
            "module": __name__,
            "class": PooledEventLogStorage.__name__,
            "config": {"base_dir": str(home / "history" / "runs")},
        }
    }


if __name__ == "__main__":  # what `make ui` does before it starts Dagster
    prepare_home(read_settings().dagster_home)
