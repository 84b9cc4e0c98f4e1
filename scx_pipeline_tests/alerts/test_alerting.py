"""The sensor over real loads: for each kind of problem one alert at all three receivers, once, and again when it comes again.
After each test, what the receivers got is searched for secrets, and for the people in rows and keys."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from scx_pipeline.alerts.channels import SETTINGS
from scx_pipeline.alerts.facts import RunScope
from scx_pipeline.alerts.problems import Memory
from scx_pipeline.orchestration.automation import alerting
from scx_pipeline.orchestration.automation.alerting import alert_sensor
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.runs.run_history import read_run_history
from scx_pipeline.settings import Settings
from scx_pipeline_tests.alerts.conftest import Receivers
from scx_pipeline_tests.orchestration.automation.test_sensors import HOLD_THE_FILE
from scx_pipeline_tests.support.alert_env import (
    BEFORE,
    MAILBOX,
    NOW,
    PERSON,
    SPAN,
    WORD,
    Watch,
    nobody,
    person,
    watch_at,
)
from scx_pipeline_tests.support.leaks import leaks
from scx_pipeline_tests.support.load_env import FACTS, STAGING, scx_star
from scx_pipeline_tests.support.servers.receivers import PASSWORD, SLACK_PATH, TOKEN

Watching = Callable[..., Watch]
AT_ONCE = 1e-9  # hours
FAILED = f"scx {SPAN}: load failed"
BLIND = "scx cannot be looked at"
SECRETS = (PERSON, MAILBOX, WORD, PASSWORD, TOKEN, SLACK_PATH, "AKIAPL4NTED", "b4cket-pl4nted")


@pytest.fixture
def watching(
    tmp_path: Path, instance: dg.DagsterInstance, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watching]:
    """Makes the desk; when the test is over, nothing that was planted may have got into an alert."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPL4NTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b4cket-pl4nted")
    yield lambda **given: watch_at(tmp_path, instance, receivers, **given)
    assert leaks(SECRETS, receivers.texts()) == []


@pytest.fixture
def watch(watching: Watching) -> Watch:
    return watching()


def test_a_failed_run_is_told_with_its_failed_checks_once_until_its_months_are_loaded(watch: Watch) -> None:
    watch.put(person(1), nobody(2))
    first = watch.run_now()
    assert watch.tick(3) == [FAILED]
    told = watch.last
    assert (told["kind"], told["failure"], told["run_id"]) == ("run", "gate", first.run_id)
    assert told["checks"] == [{"table": STAGING, "check": "rejected_rows"}]
    assert told["months"] == [str(BEFORE), str(NOW)]
    assert told["links"] == [{"name": "Run", "url": f"https://dagster.example.com/runs/{first.run_id}"}]
    watch.run_now()
    assert watch.tick(2) == [], "the sensor asks again after a minute, then two, and so on: that is no news"
    watch.put(person(1))
    assert watch.run_now().success
    assert watch.tick(2) == []
    watch.put(person(1), nobody(2))
    watch.run_now()
    assert watch.tick(2) == [FAILED], "what was mended and broke again is told again"


def test_a_file_that_was_taken_away_mends_its_failed_run_too(watch: Watch) -> None:
    bad = watch.put(nobody(2))
    watch.run_now()
    assert watch.tick(2) == [FAILED]
    bad.unlink()
    assert watch.tick(2) == []
    watch.put(nobody(2))
    watch.run_now()
    assert watch.tick(2) == [FAILED]


def test_a_bucket_that_is_not_there_is_told_once_with_the_run_that_failed_of_it(watch: Watch) -> None:
    bucket = watch.world.bucket_path
    bucket.rename(bucket.with_name("away"))
    failed = watch.run_now()
    assert watch.tick(3) == [BLIND]
    assert (watch.last["kind"], watch.last["failure"]) == ("unreachable", "bucket")
    assert watch.last["run_id"] == failed.run_id
    assert str(bucket) in watch.said, "the full text stands in the UI"
    bucket.with_name("away").rename(bucket)
    assert watch.tick(2) == []
    bucket.rename(bucket.with_name("away"))
    assert watch.tick(2) == [BLIND]
    assert watch.last["run_id"] is None


def test_a_run_that_failed_of_a_bucket_that_is_back_is_told(watch: Watch) -> None:
    bucket = watch.world.bucket_path
    watch.put(person(1))
    bucket.rename(bucket.with_name("away"))
    watch.run_now()
    bucket.with_name("away").rename(bucket)
    assert watch.tick(2) == [FAILED]
    assert (watch.last["failure"], watch.last["checks"]) == ("bucket", [])


def test_a_watching_check_that_warns_is_told_once_until_it_has_passed(watch: Watch) -> None:
    stale, old = f"scx: freshness on {FACTS} warned", NOW.shift(-5)
    assert watch.tick() == []
    watch.world.put(f"{old.year}/{old.month:02d}/jobs.csv", [person(1, f"{old}-02")])
    watch.run(str(old))
    new = watch.put(person(2))
    watch.run_now()
    assert watch.tick(2) == [stale], "what warned is told, though the next load has passed the check already"
    told = watch.last
    assert (told["kind"], told["checks"]) == ("check", [{"table": FACTS, "check": "freshness"}])
    page = f"https://dagster.example.com/assets/scx/{FACTS}?view=checks&checkDetail=freshness"
    assert page in [item["url"] for item in told["links"]]
    new.unlink()
    watch.run_now()
    assert watch.tick(2) == [stale]
    watch.run(str(old))
    assert watch.tick() == [], "it warns again, which is no news"


def test_a_month_that_is_due_for_too_long_is_told_once_until_it_is_loaded(watching: Watching) -> None:
    watch = watching(alert_stale_hours=AT_ONCE)
    watch.put(person(1))
    assert watch.tick(3) == ["scx: 2 months are stale"]
    assert (watch.last["kind"], watch.last["spans"]) == ("stale", [str(SPAN)])
    assert watch.run_now().success
    assert watch.tick(2) == []
    watch.put(person(1), person(2))
    assert watch.tick(3) == ["scx: 2 months are stale"]


def test_a_month_whose_load_failed_is_told_as_a_failed_run_and_not_as_stale_too(watching: Watching) -> None:
    watch = watching(alert_stale_hours=AT_ONCE)
    watch.put(person(1))
    ended(watch)
    assert watch.tick(3) == [FAILED]


def test_rejected_rows_above_the_limit_are_told_once_and_those_below_are_not(watching: Watching) -> None:
    watch = watching(alert_rejected=0.02)
    many, told = [person(number) for number in range(1, 101)], f"scx {SPAN}: rows were rejected"
    for bad, news in ((3, [told]), (1, []), (3, [told])):
        watch.put(*many[bad:], *map(nobody, range(101, 101 + bad)))
        assert watch.run_now().success
        assert watch.tick(2) == news
    assert watch.last["counts"] == {"rows_read": 100, "rows_rejected": 3}


def test_a_warehouse_that_cannot_be_read_is_told_once(watch: Watch) -> None:
    file = watch.settings.home / "dev.duckdb"
    for _ in range(2):
        file.write_text(f"no database, but {WORD}" * 1000)
        assert watch.tick(3) == [BLIND]
        assert (watch.last["kind"], watch.last["failure"]) == ("unreachable", "warehouse")
        file.unlink()
        assert watch.tick(2) == []


def test_a_warehouse_server_that_nobody_reaches_is_told_without_its_address(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://scx:{WORD}-{WORD}@127.0.0.1:1/dev?application_name={WORD}"
    monkeypatch.setenv("SCX_WAREHOUSE_URL", url)
    watch = watching()
    watch.put(person(1))
    failed = watch.run_now()
    assert watch.tick(2) == [BLIND]
    assert (watch.last["failure"], watch.last["run_id"]) == ("warehouse", failed.run_id)
    assert not leaks(["127.0.0.1:1", "application_name"], watch.receivers.texts())


def test_a_warehouse_that_a_run_writes_is_no_problem_and_nothing_is_forgotten_meanwhile(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "TICK_LOCK_TIMEOUT", 0.1)
    watch = watching(alert_stale_hours=AT_ONCE)
    watch.put(person(1))
    assert watch.run_now().success
    watch.put(person(2))
    assert watch.tick(2) == ["scx: 2 months are stale"]
    argv = [sys.executable, "-c", HOLD_THE_FILE, str(watch.settings.home / "dev.duckdb")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert watch.tick() == []
        assert "is in use by" in watch.said
        holder.stdin.close()
    assert watch.tick(2) == []


def test_an_error_that_nobody_foresaw_is_told_by_its_class_alone(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError(f"{PERSON} {MAILBOX} {WORD}")

    watch.put(person(1))
    with monkeypatch.context() as patch:
        patch.setattr("scx_pipeline.loading.loader.Loader.load", fail)
        watch.run_now()
    assert watch.tick(2) == [FAILED]
    assert watch.last["failure"] == "ZeroDivisionError"


def ended(watch: Watch, **tags: str) -> dg.DagsterRun:
    """A run of the months whose process is gone, as Dagster's monitoring finds it."""
    run = dg.DagsterRun(
        "scx", str(uuid4()), tags={**range_tags(SPAN), **tags}, status=dg.DagsterRunStatus.STARTED
    )
    watch.instance.add_run(run)
    watch.instance.report_run_failed(run, f"Detected run worker status FAILED: {WORD} {MAILBOX}")
    return run


def test_a_run_whose_process_died_is_told_as_that(watch: Watch) -> None:
    run = ended(watch)
    assert watch.tick(2) == [FAILED]
    assert (watch.last["failure"], watch.last["run_id"]) == ("process", run.run_id)


def test_a_run_that_dagster_tries_again_is_told_when_its_last_attempt_has_failed(watch: Watch) -> None:
    first = ended(watch, **{"dagster/will_retry": "true"})
    assert watch.tick(2) == []
    last = ended(watch, **{"dagster/will_retry": "false", "dagster/parent_run_id": first.run_id})
    assert watch.tick(2) == [FAILED]
    assert watch.last["run_id"] == last.run_id


def test_a_cursor_that_is_lost_tells_what_stands_once_more_and_nothing_is_lost(watch: Watch) -> None:
    ended(watch)
    assert watch.tick() == [FAILED]
    watch.cursor = "corrupt"
    assert watch.tick(2) == [FAILED]


def test_a_run_of_another_code_location_is_not_ours_to_tell(instance: dg.DagsterInstance) -> None:
    for location in ("ours", "elsewhere"):
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
        origin = RemoteJobOrigin(repository, "a_job")
        run = dg.DagsterRun("a_job", str(uuid4()), remote_job_origin=origin, job_code_origin=None)
        instance.add_run(run)
        instance.report_run_failed(run)
    [found] = read_run_history(instance, [scx_star()], Memory(), time.time(), "ours").runs
    assert (found.target, found.failure) == (RunScope("", "a_job"), "process")


def test_a_channel_that_is_down_is_told_later_and_the_others_are_not_told_twice(watch: Watch) -> None:
    ended(watch)
    for receiver in (watch.receivers.slack, watch.receivers.webhook):
        receiver.status = 503
    _tick_alone(watch)
    assert [len(titles) for titles in watch.titles()] == [0, 1, 0]
    assert "slack: 0 of 1 told; it answered 503, and is tried again" in watch.said
    assert "e-mail: 1 of 1 told" in watch.said
    assert not leaks(SECRETS, [("the tick", watch.said)])
    watch.receivers.slack.status = 200
    _tick_alone(watch)
    assert [len(titles) for titles in watch.titles()] == [1, 1, 0]
    watch.receivers.webhook.status = 200
    _tick_alone(watch)
    assert watch.tick(2) == []
    assert [len(titles) for titles in watch.titles()] == [1, 1, 1]


def _tick_alone(watch: Watch) -> None:
    """A tick after which the receivers may have been told different things."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "titles", lambda: ([], [], []))
        watch.tick()


def test_more_problems_than_one_tick_tells_come_with_the_next_ones(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "MOST_MESSAGES", 1)
    watch = watching(alert_stale_hours=AT_ONCE)
    watch.world.put("2021/03/jobs.csv", [person(1, "2021-03-05")])
    ended(watch)
    assert len(watch.tick()) == 1
    assert watch.tick() == ["scx: 2 months are stale"]
    assert watch.tick(2) == []


def test_where_no_channel_is_set_the_sensor_is_stopped_and_names_the_settings(watch: Watch) -> None:
    sensor = alert_sensor(Settings(home=watch.settings.home))
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    given = dict(watch.definitions.resources or {})
    with dg.build_sensor_context(instance=watch.instance, resources=given) as context:
        said = sensor.evaluate_tick(context).skip_message or ""
    assert all(setting in said for setting in SETTINGS.values())


def test_where_a_channel_is_set_the_sensor_runs_and_its_definition_has_no_secret(watch: Watch) -> None:
    sensor = watch.definitions.resolve_sensor_def("alerts")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert not leaks(SECRETS, [("the sensor", repr(vars(sensor)))])


def test_what_the_sensor_remembers_holds_no_secret_and_nobody(watching: Watching) -> None:
    watch = watching(alert_stale_hours=AT_ONCE)
    watch.world.put("2021/03/jobs.csv", [person(1, "2021-03-05")])
    watch.put(person(1))
    ended(watch)
    watch.tick(2)
    assert "run:scx:load" in (watch.cursor or "")
    assert not leaks(SECRETS, [("the cursor", watch.cursor or "")])
