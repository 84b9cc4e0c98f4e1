"""The Dagster instance that the command creates on first use: its configuration, and what is not changed.

Recorded events are not tested here.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from scx_pipeline.errors import SettingsError
from scx_pipeline.orchestration.runs.instance import (
    CONFIG,
    DEFAULT_CONFIG,
    open_instance,
    prepare_home,
)


def test_a_new_home_disables_telemetry_and_the_e_mail_prompt(tmp_path: Path) -> None:
    with open_instance(tmp_path / "home") as instance:
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False


def test_a_run_whose_machine_went_down_is_failed_after_the_maximum_runtime(tmp_path: Path) -> None:
    with open_instance(tmp_path / "home") as instance:
        assert instance.run_monitoring_enabled
        assert 0 < instance.run_monitoring_max_runtime_seconds <= 24 * 3600


def test_a_queued_run_starts_within_two_seconds(tmp_path: Path) -> None:
    with open_instance(tmp_path / "home") as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
    assert yaml.safe_load(DEFAULT_CONFIG)["run_queue"]["dequeue_interval_seconds"] == 1


def test_new_folders_are_private_and_existing_ones_are_not_changed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with open_instance(tmp_path / "home" / "dagster") as instance:
        assert instance.get_runs() == []
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path, tmp_path / "home", tmp_path / "home" / "dagster")
    ]
    assert modes == [0o755, 0o700, 0o700]


def test_lost_runs_are_searched_for_every_few_seconds(tmp_path: Path) -> None:
    with open_instance(tmp_path / "home") as instance:
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_monitoring_poll_interval_seconds <= 30
        assert instance.run_monitoring_start_timeout_seconds <= 180


def test_an_existing_config_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("telemetry:\n  enabled: false\n")
    prepare_home(tmp_path)
    assert (tmp_path / CONFIG).read_text() == "telemetry:\n  enabled: false\n"


def test_an_empty_config_is_valid(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("")
    with open_instance(tmp_path) as instance:
        assert instance.get_runs() == []


def test_open_instance_uses_the_storage_that_the_config_names(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(f"storage:\n  sqlite:\n    base_dir: {tmp_path / 'elsewhere'}\n")
    with open_instance(tmp_path) as instance:
        assert instance.get_runs() == []
    assert (tmp_path / "elsewhere").is_dir()


def test_events_of_an_instance_are_readable_by_another_way_of_opening_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with open_instance(home) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("an_asset"))
    with dg.DagsterInstance.from_config(str(home)) as default_instance:
        assert default_instance.get_latest_materialization_event(dg.AssetKey("an_asset"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_home_that_is_not_writable_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match=r"DAGSTER_HOME .*home cannot be written"):
        prepare_home(tmp_path / "home")


@pytest.mark.parametrize("name", ["a%20b", "what?"])
def test_a_home_whose_path_sqlite_would_misread_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="contains a [%?], so Dagster cannot open its SQLite files"):
        prepare_home(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(SettingsError, match=r"DAGSTER_HOME .*home cannot be written \(Not a directory\)"):
        prepare_home(tmp_path / "home")


def test_processes_that_open_a_new_home_at_once_all_succeed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from scx_pipeline.orchestration.runs.instance import open_instance\n"
        "with open_instance(Path(sys.argv[1])) as instance: instance.get_runs_count()"
    )
    home = str(tmp_path / "dagster")
    processes = [
        subprocess.Popen([sys.executable, "-c", script, home], stderr=subprocess.PIPE) for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
