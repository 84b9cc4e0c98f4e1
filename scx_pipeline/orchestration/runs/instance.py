"""The Dagster instance of the `scx` command: $DAGSTER_HOME with its dagster.yaml, created on first use.

The UI and the daemon open the same files.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from scx_pipeline.errors import SettingsError
from scx_pipeline.orchestration.dagster_internals import keep_event_log_open, read_migrations_once
from scx_pipeline.storage.temporary_folder import create_private_folder

CONFIG = "dagster.yaml"
LOCK = "instance.lock"
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
run_launcher:  # it detects runs whose process has ended
  module: scx_pipeline.orchestration.runs.launcher
  class: CodeServerRunLauncher
run_monitoring:  # queries the launcher; a run that has not started two minutes after its launch is failed
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 120
  max_runtime_seconds: 21600
"""


def prepare_home(home: Path) -> None:
    """Create $DAGSTER_HOME, readable by its owner only, with a dagster.yaml without telemetry, unless they exist."""
    found = re.search("[%?]", str(home))
    if found:
        raise SettingsError(
            f"DAGSTER_HOME {home} contains a {found[0]}, so Dagster cannot open its SQLite files there: set DAGSTER_HOME or SCX_HOME"
            " to another folder"
        )
    try:
        create_private_folder(home)
        (home / LOCK).touch()
        if not (home / CONFIG).exists():
            (home / CONFIG).write_text(DEFAULT_CONFIG, "utf-8")
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME {home} cannot be written ({error.strerror}): set DAGSTER_HOME or SCX_HOME"
        ) from None


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open the instance at $DAGSTER_HOME, which is created on first use."""
    prepare_home(home)
    with read_migrations_once():
        # One process at a time: Dagster creates its SQLite files here, and two that do so at once leave them unusable.
        with (home / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            instance = dg.DagsterInstance.local_temp(str(home))
        with instance, keep_event_log_open(instance):
            yield instance
