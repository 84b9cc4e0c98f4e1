"""The scx star in the Dagster UI, in a real browser; the tests run in order, and save screenshots."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import pytest
from playwright.sync_api import Locator, Page, expect

from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START
from scx_pipeline_tests.support.load_env import FACTS, STAGING, job, scx_star
from scx_pipeline_tests.ui.screenshots import Shoot
from scx_pipeline_tests.ui.site import Site

FACT: Table = scx_star().star.table(FACTS)
JOB = "/locations/scx_pipeline/jobs/scx"
CHART_ANIMATION_MS = 1500
SENSOR = "/locations/scx_pipeline/sensors/scx_objects"


@pytest.fixture(scope="module")
def log(site: Site) -> dict[str, int]:
    """Generate the jobs of three months before the first test."""
    return dict(site.generate(to="2021-03", months=3, jobs=900))


def node(page: Page, name: str) -> Locator:
    """Find an asset's box in the graph of its group; boxes of other groups, such as the lake's, show only a name."""
    boxes = page.locator("foreignObject").filter(has=page.get_by_text(name, exact=True))
    return boxes.filter(has_text="Latest event")


def test_the_graph_shows_source_staging_dimensions_fact_and_report_in_order(
    page: Page, site: Site, shoot: Shoot, log: Mapping[str, int]
) -> None:
    page.goto(f"{site.address}/locations/scx_pipeline/asset-groups/scx")
    page.get_by_text("Hide navigation").click()  # with more room, the boxes show their contents
    columns = [["auto_classify_jobs"], [STAGING], [FACTS, "projects", "time", "users"], ["report"]]
    for names in columns:
        for name in names:
            expect(node(page, name)).to_be_visible()
    expect(node(page, "users")).to_contain_text("DuckDB")
    expect(node(page, "auto_classify_jobs")).to_contain_text("S3")
    expect(node(page, "report")).to_contain_text("Never materialized")
    lefts = [[left(node(page, name)) for name in names] for names in columns]
    assert all(max(before) < min(after) for before, after in pairwise(lefts))
    shoot("01-graph")


def left(box: Locator) -> float:
    """Return the left edge of a box."""
    found = box.bounding_box()
    assert found is not None
    return found["x"]


def test_a_backfill_of_several_months_is_a_single_run_that_loads_them(
    page: Page, site: Site, shoot: Shoot, log: Mapping[str, int]
) -> None:
    page.goto(site.address + JOB)
    page.get_by_role("button", name="Materialize all").click()
    months = page.get_by_placeholder("ex: 2020-01", exact=False)
    months.fill("[2020-12...2021-03]")
    months.press("Tab")
    expect(page.get_by_text("4 partitions", exact=True)).to_be_visible()
    shoot("02-backfill-dialog")
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_text("Created backfill")).to_be_visible()
    run = site.wait_for_run(1)
    assert run["status"] == "SUCCESS"
    assert (run["tags"][RANGE_START], run["tags"][RANGE_END]) == ("2020-12", "2021-03")
    assert len(site.runs()) == 1
    assert site.count_jobs() == log
    page.goto(f"{site.address}/runs/{run['runId']}")
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    page.wait_for_timeout(CHART_ANIMATION_MS)
    shoot("03-backfill-run")


def test_the_page_of_a_table_shows_its_description_and_metadata(
    page: Page, site: Site, shoot: Shoot, log: Mapping[str, int]
) -> None:
    page.goto(f"{site.address}/assets/scx/{FACTS}")
    expect(page.get_by_text(FACT.description)).to_be_visible()
    expect(page.get_by_text(f"dev.public.{FACTS}").first).to_be_visible()
    expect(page.get_by_role("link", name=re.compile(rf"{FACTS}\.sql"))).to_be_visible()
    for column in FACT.columns:
        row = page.locator("tr").filter(has=page.get_by_text(column.name, exact=True)).first
        expect(row).to_contain_text(column.description)
        expect(row).to_contain_text(column.type)
    shoot("04-table")
    rows = page.locator("tr").filter(has_text="dagster/partition_row_count")
    rows.scroll_into_view_if_needed()
    expect(rows).to_contain_text(str(log["2021-03"]))
    shoot("05-table-metadata")
    page.get_by_role("columnheader", name=f"from {STAGING}").scroll_into_view_if_needed()
    shoot("06-table-lineage")


def test_the_checks_of_a_table_have_passed(page: Page, site: Site, shoot: Shoot) -> None:
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=checks")
    for name in ("row_count", "unique_job_id", "not_null_user_id", "references_users", "references_time"):
        expect(_check(page, name)).to_contain_text("Succeeded")
    page.get_by_text("references_users", exact=True).first.click()
    expect(page.get_by_text("Every user_id exists in users.")).to_be_visible()
    expect(page.get_by_text("2020-12…2021-03")).to_be_visible()
    shoot("07-checks")


def _check(page: Page, name: str) -> Locator:
    """Find a check with its state, in the list of an asset's checks page."""
    return page.get_by_text(name, exact=True).first.locator("xpath=ancestor::a[1] | ancestor::div[5]").last


def april() -> list[Mapping[str, object]]:
    """Return 28 jobs of April 2021."""
    profiles = ["city", "forestry", "city", "urban"]
    return [
        job(900_000_000 + day, f"2021-04-{day:02d} 09:00:00", ground_profile=profiles[day % 4])
        for day in range(1, 29)
    ]


def test_the_sensor_starts_a_run_after_an_object_is_uploaded(page: Page, site: Site, shoot: Shoot) -> None:
    page.goto(site.address + SENSOR)
    switch = page.get_by_role("checkbox")
    expect(switch).not_to_be_checked()
    switch.press("Space")
    expect(switch).to_be_checked()
    site.put("2021/04/jobs.csv", april())
    run = site.wait_for_run(2)
    assert run["status"] == "SUCCESS"
    assert run["tags"]["dagster/sensor_name"] == "scx_objects"
    assert site.count_jobs()["2021-04"] == 28
    page.reload()
    expect(page.get_by_text("1 run requested").first).to_be_visible()
    page.get_by_text("Runs", exact=True).last.click()
    expect(page.get_by_text("months: 2021-03…2021-04")).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    shoot("08-sensor")


def test_the_report_shows_a_chart_and_a_table(page: Page, site: Site, shoot: Shoot) -> None:
    page.goto(f"{site.address}/assets/scx/report")
    expect(page.get_by_text("Never materialized")).to_be_visible()
    page.get_by_role("button", name=re.compile("Materialize$")).click()
    assert site.wait_for_run(3)["status"] == "SUCCESS"
    page.reload()  # without it, the page only shows that there is something new
    expect(page.get_by_text("ground_profile_by_month chart")).to_be_visible()
    table = page.locator("tr").filter(has_text="ground_profile_by_month").get_by_role("table").first
    expect(table).to_contain_text("forestry")
    page.set_viewport_size({"width": 1600, "height": 1500})
    shoot("09-report")
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.get_by_text("[Show Markdown]").first.click()
    chart = page.get_by_role("img", name="Ground profile by month, for the busiest user")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 500
    shoot("10-chart")


def test_a_failed_month_shows_its_check_and_keeps_the_previous_rows(
    page: Page, site: Site, shoot: Shoot
) -> None:
    before = site.count_jobs()
    duplicate = site.find_job("2021-01")
    site.put("2021/03/again.csv", [job(duplicate, "2021-03-20 10:00:00")])
    run = site.wait_for_run(4)
    assert run["status"] == "FAILURE"
    assert site.count_jobs() == before
    page.goto(f"{site.address}/runs/{run['runId']}")
    expect(page.get_by_text("1 of 2 months was published; 2021-03 is held").first).to_be_visible()
    page.wait_for_timeout(CHART_ANIMATION_MS)
    shoot("11-failed-run")
    page.goto(f"{site.address}/assets/scx/{STAGING}?view=checks&checkDetail=unique_job_id")
    expect(_check(page, "unique_job_id")).to_contain_text("Failed")
    expect(page.get_by_text(f"job_id {duplicate} occurs in 2021-01 and in 2021-03").first).to_be_visible()
    shoot("12-failed-check")
    page.goto(f"{site.address}/assets/scx/{FACTS}?view=partitions&partition=2021-03")
    expect(page.get_by_text("failed, and did not materialize this asset")).to_be_visible()
    expect(page.locator("tr").filter(has_text="dagster/partition_row_count")).to_contain_text(
        str(before["2021-03"])
    )
    shoot("13-previous-rows-kept")


def test_the_list_of_runs_shows_every_run_with_its_status(page: Page, site: Site, shoot: Shoot) -> None:
    page.goto(f"{site.address}/runs")
    expect(page.get_by_text("4 partitions", exact=True)).to_be_visible()
    expect(page.get_by_text("Failure", exact=True).first).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_have_count(3)
    shoot("14-runs")
    page.goto(f"{site.address}/locations/scx_pipeline/asset-groups/scx")
    expect(node(page, "report")).to_contain_text("Materialized")
    shoot("15-graph-after")
