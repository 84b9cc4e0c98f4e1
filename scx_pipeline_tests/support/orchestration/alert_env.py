"""An environment for the alert sensor: it is evaluated tick by tick, and sends to all three receivers.

Bucket, loads and runs come from the Dagster environment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.orchestration.automation.alerting import alert_sensor
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.load_env import LoadEnv, create_load_env, job
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv
from scx_pipeline_tests.support.servers.receivers import PASSWORD, SLACK_PATH, TOKEN, Receivers

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
NOW = Month.parse(TODAY[:7])
BEFORE = NOW.shift(-1)
MONTHS = MonthRange(BEFORE, NOW)  # the months of the rows that an object of this month may contain
IMMEDIATELY = 1e-9  # hours
# Titles of alerts.
FAILED = f"scx {MONTHS}: load failed"
UNREACHABLE = "scx cannot be checked"
# No alert may contain these; the secrets of receivers and warehouses contain WORD.
PERSON, MAILBOX, WORD = "Gyeonghui Pl4nted", "gyeonghui.pl4nted@people.example", "pl4nted"
SECRETS = (PERSON, MAILBOX, WORD, PASSWORD, TOKEN, SLACK_PATH, "AKIAPL4NTED", "b4cket-pl4nted")


@dataclass
class AlertEnv(DagsterEnv):
    """A Dagster environment with the alert sensor and its receivers."""

    receivers: Receivers = field(kw_only=True)
    cursor: str | None = None
    remark: str = ""  # what the UI shows of the last tick

    @cached_property
    def definitions(self) -> dg.Definitions:
        compiled = self.load_env.compiled
        alerts = dg.Definitions(sensors=[alert_sensor(self.settings, [compiled])])
        return with_resources(
            dg.Definitions.merge(build_star(compiled, self.settings), alerts), self.settings
        )

    def tick(self, times: int = 1) -> list[str]:
        """Evaluate the sensor and keep its cursor; return the titles received, which must be the same for all receivers."""
        before = self.titles()
        for _ in range(times):
            sensor = self.definitions.resolve_sensor_def("alerts")
            with dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, resources=dict(self.definitions.resources or {})
            ) as context:
                data = sensor.evaluate_tick(context)
            self.cursor, self.remark = data.cursor or self.cursor, data.skip_message or ""
        slack, mail, webhook = (
            list((Counter(now) - Counter(then)).elements())
            for now, then in zip(self.titles(), before, strict=True)
        )
        assert slack == mail == webhook
        return webhook

    def titles(self) -> tuple[list[str], list[str], list[str]]:
        """Return all titles that each receiver got."""
        return (
            [item["text"].removeprefix("[scx] ") for item in self.receivers.slack.received()],
            [str(item["Subject"]).removeprefix("[scx] ") for item in self.receivers.mail.received()],
            [item["title"] for item in self.receivers.webhook.received()],
        )

    @property
    def last(self) -> dict[str, Any]:
        """The last body that the webhook got."""
        return self.receivers.webhook.received()[-1]

    def put(self, *rows: Mapping[str, object] | str, name: str = f"{MAILBOX}-jobs.csv") -> Path:
        """Write an object of this month, named after a person."""
        key = self.load_env.put(f"{NOW.year}/{NOW.month:02d}/{name}", rows)
        return self.load_env.bucket_path / key

    def run_now(self) -> dg.ExecuteInProcessResult:
        """Run a load of the months that an object of this month may contain."""
        return self.run(str(BEFORE), str(NOW))


AlertEnvFactory = Callable[..., AlertEnv]


def person(job_id: int, day: str = TODAY, **values: object) -> dict[str, object]:
    """Return a valid row with a name and an address that must not be sent."""
    return (
        job(job_id, f"{day} 00:00:00", project_name=PERSON, summary=MAILBOX, email_encrypted=MAILBOX) | values
    )


def invalid_row(job_id: int) -> dict[str, object]:
    """Return a row of the same person that is rejected."""
    return person(job_id, user_id=MAILBOX)


def create_alert_env(
    folder: Path, instance: dg.DagsterInstance, receivers: Receivers, **given: Any
) -> AlertEnv:
    """Return an environment with an empty bucket and an empty warehouse."""
    settings = Settings(home=folder, ui_url="https://dagster.example.com", **receivers.settings(), **given)
    load_env = create_load_env(folder)
    url = settings.warehouse
    return AlertEnv(
        LoadEnv(load_env.bucket_url, url, load_env.compiled), settings, instance, receivers=receivers
    )


def add_lost_run(alert_env: AlertEnv, **tags: str) -> dg.DagsterRun:
    """Add a run whose process has ended, as Dagster's monitoring reports it."""
    run = dg.DagsterRun(
        "scx", str(uuid4()), tags={**range_tags(MONTHS), **tags}, status=dg.DagsterRunStatus.STARTED
    )
    alert_env.instance.add_run(run)
    alert_env.instance.report_run_failed(run, f"Detected run worker status FAILED: {WORD} {MAILBOX}")
    return run
