"""Backfills of a year of which some months are held, in the Dagster UI, until the sensor loads the corrected object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from scx_pipeline_tests.support.load_env import FACTS, MARCH, MAY, STAGING
from scx_pipeline_tests.support.servers.s3 import S3Server
from scx_pipeline_tests.support.year_of_jobs import (
    REFUSED,
    REFUSED_VALUE,
    SHARED,
    SHARED_KEY,
    YEAR,
    Files,
    file_of,
    valid_year,
)
from scx_pipeline_tests.ui.screenshots import Shoot
from scx_pipeline_tests.ui.site import Site, dagster_dev
from scx_pipeline_tests.ui.test_ui import CHART_ANIMATION_MS, JOB, SENSOR


@dataclass(frozen=True)
class Fault:
    """A fault of the year's files: the months that are held for it, the reason, and the file to correct."""

    name: str
    files: Files
    held: tuple[str, ...]
    reason: str
    file: str

    @property
    def check(self) -> str:
        return self.reason.split()[0]

    @property
    def published(self) -> list[str]:
        return [month for month in YEAR if month not in self.held]


FAULTS = [
    Fault("value", REFUSED_VALUE, (MARCH,), REFUSED, file_of(MARCH)),
    Fault("key", SHARED_KEY, (MARCH, MAY), SHARED, file_of(MAY)),
]


@pytest.fixture(scope="module", params=FAULTS, ids=[fault.name for fault in FAULTS])
def fault(request: pytest.FixtureRequest) -> Fault:
    assert isinstance(request.param, Fault)
    return request.param


@pytest.fixture(scope="module")
def site(
    chromium: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory, fault: Fault
) -> Iterator[Site]:
    """Start the UI with a bucket that has a year of jobs with a fault, and nothing loaded."""
    bucket = f"scx-{uuid4().hex[:12]}"
    s3.create_bucket(bucket)
    with dagster_dev(tmp_path_factory.mktemp("held"), s3, bucket) as site:
        for name, rows in (valid_year() | fault.files).items():
            site.put(name, rows)
        yield site


def test_the_run_of_a_backfill_publishes_the_other_months_and_names_the_held_ones(
    page: Page, site: Site, shoot: Shoot, fault: Fault
) -> None:
    page.goto(site.address + JOB)
    page.get_by_role("button", name="Materialize all").click()
    months = page.get_by_placeholder("ex: 2020-01", exact=False)
    months.fill(f"[{YEAR[0]}...{YEAR[-1]}]")
    months.press("Tab")
    expect(page.get_by_text("12 partitions", exact=True)).to_be_visible()
    page.get_by_role("button", name="Launch backfill").click()
    run = site.wait_for_run(1)
    assert run["status"] == "FAILURE"
    assert len(site.runs()) == 1
    assert site.count_jobs() == dict.fromkeys(fault.published, 1)
    page.goto(f"{site.address}/runs/{run['runId']}")
    message = page.get_by_text(f"{len(fault.published)} of 12 months were published").first
    message.scroll_into_view_if_needed()
    expect(message).to_contain_text(fault.reason)
    page.wait_for_timeout(CHART_ANIMATION_MS)
    shoot(f"41-held-run-{fault.name}")
    page.get_by_placeholder("Filter").fill("months published")
    summary = page.get_by_text(
        f"{len(fault.published)} of 12 months published, held: {', '.join(fault.held)}"
    )
    expect(summary).to_be_visible()
    shoot(f"42-held-run-summary-{fault.name}")


def test_the_partitions_of_a_table_show_the_held_months_as_failed(
    page: Page, site: Site, shoot: Shoot, fault: Fault
) -> None:
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=partitions&partition={MARCH}")
    expect(page.get_by_text(f"Failed ({len(fault.held)})")).to_be_visible()
    expect(page.get_by_text(f"Materialized ({len(fault.published)})")).to_be_visible()
    expect(page.get_by_text("failed, and did not materialize this asset")).to_be_visible()
    shoot(f"43-held-partition-{fault.name}")
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=partitions&partition={fault.published[0]}")
    rows = page.locator("tr").filter(has_text="dagster/partition_row_count")
    expect(rows).to_contain_text("1")
    shoot(f"44-published-partition-{fault.name}")


def test_the_checks_show_only_the_violated_one_as_failed(
    page: Page, site: Site, shoot: Shoot, fault: Fault
) -> None:
    page.goto(f"{site.address}/assets/scx/{STAGING}?view=checks&checkDetail={fault.check}")
    expect(page.get_by_text("Failed", exact=True)).to_have_count(
        2
    )  # in the list, and of the latest execution
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(15)
    expect(page.get_by_text(fault.reason.split(": ", 1)[1]).first).to_be_visible()
    violations = page.locator("tr").filter(has_text="violations").first
    for month in fault.held:
        expect(violations).to_contain_text(month)
    shoot(f"45-held-check-{fault.name}")


def test_the_sensor_publishes_the_held_months_after_the_object_is_corrected(
    page: Page, site: Site, shoot: Shoot, fault: Fault
) -> None:
    site.put(fault.file, valid_year()[fault.file])
    page.goto(site.address + SENSOR)
    page.get_by_role("checkbox").press("Space")
    expect(page.get_by_role("checkbox")).to_be_checked()
    runs = [site.wait_for_run(number) for number in (2, 3)]
    assert [run["status"] for run in runs] == ["SUCCESS", "SUCCESS"]
    months = {run["tags"]["months"] for run in runs}
    # December may be in the file of January, and each month in that of the next one.
    assert months == {"2020-12", "2021-02…2021-03" if fault.name == "value" else "2021-03…2021-05"}
    assert site.count_jobs() == dict.fromkeys(YEAR, 1)
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=partitions&partition={MARCH}")
    expect(page.get_by_text("Failed (0)")).to_be_visible()
    expect(page.get_by_text("Materialized (13)")).to_be_visible()
    shoot(f"46-corrected-{fault.name}")
