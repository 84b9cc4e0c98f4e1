"""Backfills of a year of which some months are held, in the Dagster UI: what the pages of the run and of the tables show."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from scx_pipeline_tests.support.load_env import FACTS, MARCH, STAGING
from scx_pipeline_tests.support.servers.s3 import S3Server
from scx_pipeline_tests.support.year_of_jobs import REFUSED, REFUSED_VALUE, YEAR, valid_year
from scx_pipeline_tests.ui.screenshots import Shoot
from scx_pipeline_tests.ui.site import Site, dagster_dev
from scx_pipeline_tests.ui.test_ui import CHART_ANIMATION_MS, JOB


@pytest.fixture(scope="module")
def site(chromium: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start the UI with a bucket that has a year of jobs, of which March has a refused value."""
    bucket = f"scx-{uuid4().hex[:12]}"
    s3.create_bucket(bucket)
    with dagster_dev(tmp_path_factory.mktemp("held"), s3, bucket) as site:
        for name, rows in (valid_year() | REFUSED_VALUE).items():
            site.put(name, rows)
        yield site


def test_a_backfill_publishes_eleven_months_and_its_run_names_the_held_one(
    page: Page, site: Site, shoot: Shoot
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
    assert site.count_jobs() == {month: 1 for month in YEAR if month != MARCH}
    page.goto(f"{site.address}/runs/{run['runId']}")
    page.wait_for_timeout(CHART_ANIMATION_MS)
    shoot("41-held-run")
    page.set_viewport_size({"width": 1600, "height": 3000})
    page.wait_for_timeout(CHART_ANIMATION_MS)
    shoot("41-held-run-long")
    expect(page.get_by_text("11 of 12 months were published").first).to_be_visible()


def test_the_partitions_of_a_table_show_which_month_is_held(page: Page, site: Site, shoot: Shoot) -> None:
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=partitions")
    page.wait_for_timeout(3000)
    shoot("42-held-partitions")
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=partitions&partition={MARCH}")
    page.wait_for_timeout(3000)
    shoot("43-held-partition")
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=overview")
    page.wait_for_timeout(3000)
    shoot("44-held-overview")
    page.goto(f"{site.address}/locations/scx_pipeline/asset-groups/scx")
    page.wait_for_timeout(5000)
    shoot("45-held-graph")


def test_the_checks_show_only_the_violated_one_as_failed(page: Page, site: Site, shoot: Shoot) -> None:
    page.goto(f"{site.address}/assets/scx/{STAGING}?view=checks")
    page.wait_for_timeout(3000)
    shoot("46-held-checks")
    page.goto(f"{site.address}/assets/scx/{STAGING}?view=checks&checkDetail=range_plan_id")
    page.wait_for_timeout(3000)
    shoot("47-held-check")
    page.goto(f"{site.address}/assets/scx/{STAGING}?view=checks&checkDetail=row_count")
    page.wait_for_timeout(3000)
    shoot("48-passed-check")
    expect(page.get_by_text(REFUSED[:20]).first).to_be_visible()
