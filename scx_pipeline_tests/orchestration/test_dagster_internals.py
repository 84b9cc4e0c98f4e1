"""The assumptions of `dagster_internals` about Dagster's private parts: these tests fail if an upgrade of Dagster changes them."""

from __future__ import annotations

import inspect
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage import tags
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from scx_pipeline.orchestration import dagster_internals
from scx_pipeline.orchestration.automation.sensors import RUN_KEY
from scx_pipeline.orchestration.dagster_internals import (
    DATA_VERSION_TAG,
    GRPC_INFO_TAG,
    WILL_RETRY_TAG,
    CheckRunHealthResult,
    GetCurrentRunsResult,
    LatestCheck,
    UnresolvedAssetJobDefinition,
    WorkerStatus,
    default_sensor_grpc_timeout,
    keep_event_log_open,
    latest_checks,
    latest_data_versions,
    log_metadata,
    logged_metadata,
    read_migrations_once,
    sensor_cursor,
)
from scx_pipeline.orchestration.partitions import PARTITION, RANGE_END, RANGE_START

CHECK = dg.AssetCheckKey(dg.AssetKey("a"), "c")


@pytest.fixture
def instance(tmp_path: Path) -> Any:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def test_tags_are_named_as_dagster_names_them() -> None:
    assert PARTITION == tags.PARTITION_NAME_TAG
    assert RANGE_START == tags.ASSET_PARTITION_RANGE_START_TAG
    assert RANGE_END == tags.ASSET_PARTITION_RANGE_END_TAG
    assert RUN_KEY == tags.RUN_KEY_TAG
    assert (WILL_RETRY_TAG, GRPC_INFO_TAG) == ("dagster/will_retry", ".dagster/grpc_info")


def test_define_asset_job_returns_an_unresolved_job() -> None:
    assert isinstance(dg.define_asset_job("j"), UnresolvedAssetJobDefinition)


def test_launcher_has_the_methods_that_the_projects_launcher_overrides_and_calls() -> None:
    launcher = dg.DefaultRunLauncher
    assert isinstance(launcher.supports_check_run_worker_health, property)
    assert list(inspect.signature(launcher.check_run_worker_health).parameters) == ["self", "run"]
    assert list(inspect.signature(launcher._get_grpc_client_for_termination).parameters) == ["self", "run_id"]
    assert list(inspect.signature(launcher.from_config_value).parameters) == ["inst_data", "config_value"]
    assert CheckRunHealthResult(WorkerStatus.RUNNING).msg is None
    assert CheckRunHealthResult(WorkerStatus.NOT_FOUND, "gone").msg == "gone"
    assert list(GetCurrentRunsResult(current_runs=["a"], serializable_error_info=None).current_runs) == ["a"]


def test_in_process_executor_can_be_wrapped() -> None:
    assert dg.in_process_executor.executor_creation_fn is not None
    assert list(inspect.signature(dg.Executor.execute).parameters) == [
        "self",
        "plan_context",
        "execution_plan",
    ]


def test_pipes_message_handler_returns_custom_messages() -> None:
    assert list(inspect.signature(dg.PipesMessageHandler.get_custom_messages).parameters) == ["self"]


def test_sensor_timeout_follows_dagsters_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS", raising=False)
    monkeypatch.delenv("DAGSTER_GRPC_TIMEOUT_SECONDS", raising=False)
    assert default_sensor_grpc_timeout() == 60
    monkeypatch.setenv("DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS", "90")
    assert default_sensor_grpc_timeout() == 90


def test_sensor_cursor_of_a_sensor_that_never_ran_is_none(instance: dg.DagsterInstance) -> None:
    assert sensor_cursor(instance, "alerts") is None


def checked(passed: bool | None) -> dg.Definitions:
    """An asset with a check that passes, fails, or raises."""

    @dg.asset
    def a() -> None: ...

    @dg.asset_check(asset=a, name="c")
    def c() -> dg.AssetCheckResult:
        if passed is None:
            raise ValueError
        return dg.AssetCheckResult(passed=passed)

    return dg.Definitions(assets=[a], asset_checks=[c], jobs=[dg.define_asset_job("all")])


@pytest.mark.parametrize("passed", [True, False, None])
def test_latest_checks_returns_the_last_evaluation(instance: dg.DagsterInstance, passed: bool | None) -> None:
    for outcome in (True, passed):
        job = checked(outcome).resolve_job_def("all")
        run = job.execute_in_process(instance=instance, raise_on_error=False)
    found = latest_checks(instance, [CHECK, dg.AssetCheckKey(dg.AssetKey("a"), "never")])
    assert set(found) == {CHECK}
    latest = found[CHECK]
    assert isinstance(latest, LatestCheck)
    assert latest.run_id == run.run_id
    assert (latest.evaluation.passed if latest.evaluation else None) is passed


def test_completed_checks_have_the_statuses_that_latest_checks_reads() -> None:
    names = {status.value for status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES}
    assert names == {"SUCCEEDED", "FAILED"}


def test_sqlite_event_log_has_the_parts_that_are_replaced(instance: dg.DagsterInstance) -> None:
    storage: Any = instance.event_log_storage
    assert type(storage) is SqliteEventLogStorage
    assert list(inspect.signature(storage._connect).parameters) == ["shard"]
    assert isinstance(storage._initialized_dbs, set)
    assert storage._db_lock.acquire(blocking=False)
    storage._db_lock.release()
    assert list(inspect.signature(storage._initdb).parameters) == ["engine", "for_index_shard"]
    assert "self._connect(" in inspect.getsource(SqliteEventLogStorage.run_connection)
    assert "self._connect(" in inspect.getsource(SqliteEventLogStorage.index_connection)


def test_keep_event_log_open_stores_what_dagster_reads_afterwards(instance: dg.DagsterInstance) -> None:
    with keep_event_log_open(instance):
        run = checked(True).resolve_job_def("all").execute_in_process(instance=instance)
        kept = len(instance.all_logs(run.run_id))
    assert kept > 5
    assert len(instance.all_logs(run.run_id)) == kept
    assert instance.get_latest_materialization_event(dg.AssetKey("a"))


def test_keep_event_log_open_opens_each_file_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    opened: list[str] = []
    connect = sqlite3.dbapi2.connect

    def counted(path: str, *arguments: Any, **more: Any) -> Any:
        opened.append(Path(path).name)
        return connect(path, *arguments, **more)

    monkeypatch.setattr(sqlite3.dbapi2, "connect", counted)
    job = checked(True).resolve_job_def("all")
    with keep_event_log_open(instance):
        run = job.execute_in_process(instance=instance)
    with_it, opened[:] = opened.count(f"{run.run_id}.db"), []
    run = job.execute_in_process(instance=instance)
    assert with_it <= 2
    assert opened.count(f"{run.run_id}.db") > 5


def test_keep_event_log_open_looks_up_each_table_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = type(instance.event_log_storage)
    names: list[str] = []
    find_table = storage.has_table  # type: ignore[attr-defined]

    def counted(self: Any, name: str) -> bool:
        names.append(name)
        return bool(find_table(self, name))

    monkeypatch.setattr(storage, "has_table", counted)
    job = checked(True).resolve_job_def("all")
    with keep_event_log_open(instance):
        job.execute_in_process(instance=instance)
    with_it, names[:] = [*names], []
    job.execute_in_process(instance=instance)
    assert len(with_it) == len(set(with_it)) > 0
    assert len(names) > len(with_it)


def test_keep_event_log_open_does_not_change_another_storage() -> None:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        before = dict(vars(ephemeral.event_log_storage))
        with keep_event_log_open(ephemeral):
            assert vars(ephemeral.event_log_storage) == before


def test_the_latest_data_version_is_found_for_each_partition_and_without_partitions(
    instance: dg.DagsterInstance,
) -> None:
    key = dg.AssetKey("a")
    assert latest_data_versions(instance, key) == {}
    for partition, version in (
        (None, "1"),
        ("2021-03", "2"),
        ("2021-03", "3"),
        ("2021-04", "4"),
        (None, "5"),
    ):
        tags = {DATA_VERSION_TAG: version}
        instance.report_runless_asset_event(dg.AssetObservation(key, partition=partition, tags=tags))
    assert latest_data_versions(instance, key) == {None: "5", "2021-03": "3", "2021-04": "4"}


def test_metadata_that_a_step_logs_is_in_the_log_of_its_run(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def a() -> None:
        log_metadata(dg.AssetExecutionContext.get(), "loaded", {"rows": 7})

    result = dg.materialize([a], instance=instance)
    assert {"rows": 7} in list(logged_metadata(instance, result.run_id))
    [entry] = [entry for entry in instance.all_logs(result.run_id) if entry.message == "loaded"]
    assert entry.level == 20


@pytest.mark.filterwarnings("ignore:Specifying a partitions_def")
def test_dagster_gives_the_checks_of_a_range_of_partitions_no_partition(instance: dg.DagsterInstance) -> None:
    """Therefore a check of a load has one result, with a table of its months: see `TableGroup._check_specs`."""
    months = dg.MonthlyPartitionsDefinition("2021-01", "2021-04", fmt="%Y-%m")
    specs = [dg.AssetCheckSpec("c", asset="a", partitions_def=months)]

    @dg.multi_asset(
        specs=[dg.AssetSpec("a")], check_specs=specs, partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )  # fmt: skip
    def load() -> Any:
        yield dg.MaterializeResult(asset_key="a")
        yield dg.AssetCheckResult(asset_key="a", check_name="c", passed=True)

    job = dg.Definitions([load], jobs=[dg.define_asset_job("j")]).resolve_job_def("j")
    result = job.execute_in_process(instance=instance, tags={RANGE_START: "2021-01", RANGE_END: "2021-03"})
    assert [check.partition for check in result.get_asset_check_evaluations()] == [None]


def test_files_whose_migrations_are_read_once_have_the_versions_that_dagster_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_internals, "_MIGRATIONS", {})
    plain, first, second = (tmp_path / name for name in ("plain", "first", "second"))
    expected = versions_of_new_files(plain)
    with read_migrations_once():
        assert versions_of_new_files(first) == versions_of_new_files(second) == expected
    assert len(dagster_internals._MIGRATIONS) == 1


def versions_of_new_files(home: Path) -> dict[str, list[tuple[str]]]:
    """Create an instance, and return the version of each of its SQLite files."""
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assert instance.get_runs() == []
    found = {}
    for path in sorted(home.rglob("*.db")):
        with closing(sqlite3.connect(path)) as con:
            found[path.name] = con.execute("SELECT version_num FROM alembic_version").fetchall()
    assert len(found) >= 3
    return found
