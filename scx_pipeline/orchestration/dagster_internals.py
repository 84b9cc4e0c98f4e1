"""The private parts of Dagster that this project uses, each with the reason.

No other module imports a private module of Dagster, and tests check every assumption made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

# An observation outside an observable source's function is recorded with this tag.
from dagster._core.definitions.data_version import DATA_VERSION_TAG as DATA_VERSION_TAG

# The type that `dg.define_asset_job` returns has no public name.
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as UnresolvedAssetJobDefinition,
)

# A launcher returns these to report whether a run's process exists; only the base class of launchers is public.
from dagster._core.errors import DagsterUserCodeUnreachableError as DagsterUserCodeUnreachableError

# An event of a run with metadata that belongs to neither an asset nor a check has no public class.
from dagster._core.events import EngineEventData
from dagster._core.launcher import CheckRunHealthResult as CheckRunHealthResult
from dagster._core.launcher import WorkerStatus as WorkerStatus

# A code server lists its runs for its launcher only; the tag holds the server that a run was started on.
from dagster._core.storage.tags import GRPC_INFO_TAG as GRPC_INFO_TAG

# Dagster stores in this tag whether it retries a failed run; there is no public API for it.
from dagster._core.storage.tags import WILL_RETRY_TAG as WILL_RETRY_TAG
from dagster._grpc.types import GetCurrentRunsResult as GetCurrentRunsResult

# The time limit of a sensor's tick depends on two variables and a default, which only this function combines.
from dagster._grpc.utils import default_sensor_grpc_timeout as default_sensor_grpc_timeout

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection, Engine

SQLITE_BUSY_SECONDS = 60
_MIGRATIONS: dict[str | None, ScriptDirectory] = {}


@dataclass(frozen=True)
class LatestCheck:
    """The latest execution of a check; no evaluation while it is running, or if it ended without a result."""

    run_id: str
    created_at: float
    evaluation: dg.AssetCheckEvaluation | None


def latest_checks(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> Mapping[dg.AssetCheckKey, LatestCheck]:
    """Return the latest execution of each check that ever ran.

    The public API returns events of one asset at a time, and does not sort checks.
    """
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return {
        key: LatestCheck(
            record.run_id,
            record.create_timestamp,
            record.evaluation if record.status.value in ("SUCCEEDED", "FAILED") else None,
        )
        for key, record in found.items()
    }


def latest_data_versions(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str | None, str]:
    """Return the data version of the latest observation of each partition; of an unpartitioned asset under None.

    The public API returns all observations of a partition.
    """
    storage = instance.event_log_storage
    found: dict[str | None, str] = {
        partition: tags[DATA_VERSION_TAG]
        for partition, tags in storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_OBSERVATION, [DATA_VERSION_TAG]
        ).items()
    }
    for record in instance.fetch_observations(key, limit=1).records:
        observation = record.asset_observation
        if observation and observation.partition is None and observation.data_version:
            found[None] = observation.data_version
    return found


def sensor_cursor(instance: dg.DagsterInstance, name: str) -> str | None:
    """Return the cursor of a sensor, or None if it never ran. The public API returns it inside the sensor's own tick only."""
    states = [state for state in instance.all_instigator_state() if state.instigator_name == name]
    return getattr(states[0].instigator_data, "cursor", None) if states else None


def log_metadata(context: dg.AssetExecutionContext, message: str, metadata: Mapping[str, Any]) -> None:
    """Log a message with metadata as an event of a run. The public API attaches metadata to assets and checks only."""
    context.instance.report_engine_event(message, context.run, EngineEventData(metadata))


def logged_metadata(instance: dg.DagsterInstance, run_id: str) -> Iterator[Mapping[str, Any]]:
    """Yield the metadata of each of a run's events that are logged like `log_metadata` does; Dagster logs others."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event is not None:
            metadata = entry.dagster_event.engine_event_data.metadata
            yield {name: value.value for name, value in metadata.items()}


@contextmanager
def keep_event_log_open(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep the connections of Dagster's SQLite event log open and remember its tables, for a process that executes one run.

    Dagster opens an engine and a file for each event that it stores, and looks up a table for most of them. A load of a month
    stores about a hundred events, which takes a third of the load's CPU time, and on a busy disk more than half of its
    duration. No setting changes this. Other storages are not affected.
    """
    storage: Any = instance.event_log_storage
    if type(storage).__name__ != "SqliteEventLogStorage":  # importing the class takes 0.3 s
        yield
        return
    log = _OpenEventLog(storage)
    storage._connect, storage.has_table = log.connect, log.has_table
    try:
        yield
    finally:
        del storage._connect, storage.has_table
        log.close()


@contextmanager
def read_migrations_once() -> Iterator[None]:
    """Let Alembic read Dagster's migrations once per process.

    Dagster compares the version of each SQLite file that it opens with them. It reads them each time, which takes 20 ms: seven
    times for a new instance, and twice for an existing one.
    """
    from alembic.script import ScriptDirectory

    directory: Any = ScriptDirectory
    read = directory.from_config

    def from_config(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")  # the same for all files
        if folder not in _MIGRATIONS:
            _MIGRATIONS[folder] = read(config)
        return _MIGRATIONS[folder]

    directory.from_config = from_config
    try:
        yield
    finally:
        directory.from_config = read


class _OpenEventLog:
    """The open connections of Dagster's SQLite event log, by file ("shard"), and the tables that were found in it."""

    def __init__(self, storage: Any) -> None:
        self.storage, self.find_table = storage, storage.has_table
        self.engines: dict[str, Engine] = {}
        self.tables: set[str] = set()

    @contextmanager
    def connect(self, shard: str) -> Iterator[Connection]:
        """Open a transaction on a file's connection."""
        with self.open_shard(shard).begin() as connection:
            yield connection

    def open_shard(self, shard: str) -> Engine:
        """Return the engine of a file, opened and with its tables created on first use."""
        from sqlalchemy import create_engine, event

        storage, engines = self.storage, self.engines
        with storage._db_lock:
            if shard not in engines:
                url = storage.conn_string_for_shard(shard)
                engines[shard] = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS})
                event.listen(engines[shard], "connect", _set_synchronous_normal)
            if shard not in storage._initialized_dbs:
                storage._initdb(engines[shard])
                storage._initialized_dbs.add(shard)
            return engines[shard]

    def has_table(self, name: str) -> bool:
        """Return whether the table exists, asking the database until it does."""
        if name not in self.tables and self.find_table(name):
            self.tables.add(name)
        return name in self.tables

    def close(self) -> None:
        """Close all connections."""
        for engine in self.engines.values():
            engine.dispose()


def _set_synchronous_normal(connection: Any, record: object) -> None:
    """Reduce the number of fsyncs: in WAL mode, a crash of the process loses nothing, a crash of the machine may."""
    connection.execute("PRAGMA synchronous = NORMAL")
