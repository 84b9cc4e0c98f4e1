"""The sensor of the alerts at a desk: tick by tick as Dagster's daemon evaluates it, with all three receivers at its end.
No test lives here; the desk, its bucket and its loads are those of orchestration/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.orchestration.automation.alerting import alert_sensor
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.settings import Settings
from scx_pipeline_tests.alerts.conftest import Receivers
from scx_pipeline_tests.support.dagster_env import Desk
from scx_pipeline_tests.support.load_env import World, folder_world, job

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
NOW = Month.parse(TODAY[:7])
BEFORE = NOW.shift(-1)
SPAN = MonthRange(BEFORE, NOW)  # what an object of this month may hold rows of
# What must get into no alert; the secrets of the receivers and of warehouses have it in them, too.
PERSON, MAILBOX, WORD = "Gyeonghui Pl4nted", "gyeonghui.pl4nted@people.example", "pl4nted"


@dataclass
class Watch(Desk):
    """A desk whose sensor of the alerts is evaluated."""

    receivers: Receivers = field(kw_only=True)
    cursor: str | None = None
    said: str = ""  # what the last tick says in the UI

    @cached_property
    def definitions(self) -> dg.Definitions:
        compiled = self.world.compiled
        alerts = dg.Definitions(sensors=[alert_sensor(self.settings, lambda: [compiled])])
        return with_resources(dg.Definitions.merge(build_star(compiled), alerts), self.settings)

    def tick(self, times: int = 1) -> list[str]:
        """Evaluate the sensor, and keep its cursor; the titles that all receivers got, each as often as each."""
        before = self.titles()
        for _ in range(times):
            sensor = self.definitions.resolve_sensor_def("alerts")
            with dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, resources=dict(self.definitions.resources or {})
            ) as context:
                data = sensor.evaluate_tick(context)
            self.cursor, self.said = data.cursor or self.cursor, data.skip_message or ""
        slack, mail, webhook = (
            list((Counter(now) - Counter(then)).elements())
            for now, then in zip(self.titles(), before, strict=True)
        )
        assert slack == mail == webhook
        return webhook

    def titles(self) -> tuple[list[str], list[str], list[str]]:
        """All titles that came to each receiver."""
        return (
            [item["text"].removeprefix("[scx] ") for item in self.receivers.slack.received()],
            [str(item["Subject"]).removeprefix("[scx] ") for item in self.receivers.mail.received()],
            [item["title"] for item in self.receivers.webhook.received()],
        )

    @property
    def last(self) -> dict[str, Any]:
        """What the webhook got last."""
        return self.receivers.webhook.received()[-1]

    def put(self, *rows: Mapping[str, object] | str, name: str = f"{MAILBOX}-jobs.csv") -> Path:
        """Put an object of this month, named after a person."""
        key = self.world.put(f"{NOW.year}/{NOW.month:02d}/{name}", rows)
        return self.world.bucket_path / key

    def run_now(self) -> dg.ExecuteInProcessResult:
        """A run of the months that the object may hold rows of."""
        return self.run(str(BEFORE), str(NOW))


def person(job_id: int, day: str = TODAY, **values: object) -> dict[str, object]:
    """A job of somebody whose name and address must not be told."""
    return (
        job(job_id, f"{day} 00:00:00", project_name=PERSON, summary=MAILBOX, email_encrypted=MAILBOX) | values
    )


def nobody(job_id: int) -> dict[str, object]:
    """A row that no load accepts, of the same person."""
    return person(job_id, user_id=MAILBOX)


def watch_at(folder: Path, instance: dg.DagsterInstance, receivers: Receivers, **given: Any) -> Watch:
    """A desk of an empty bucket and warehouse, with receivers at its end."""
    settings = Settings(home=folder, ui_url="https://dagster.example.com", **receivers.settings(), **given)
    world = folder_world(folder)
    url = settings.warehouse
    return Watch(World(world.bucket_url, url, world.compiled), settings, instance, receivers=receivers)
