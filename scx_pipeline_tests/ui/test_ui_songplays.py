"""The songplays star in the Dagster UI: songs first, then months, late songs, checks and the report."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import obstore
import pytest
from playwright.sync_api import Page, expect

from scx_pipeline.samples.songplays.songplays_bucket import GeneratedMusic, SongplaysOptions
from scx_pipeline_tests.support.music_env import SONGS, song
from scx_pipeline_tests.ui.screenshots import Shoot
from scx_pipeline_tests.ui.site import Site
from scx_pipeline_tests.ui.test_ui import left, node

JOBS = ("songplays", "songplays_refresh_job")
GROUP = "/locations/scx_pipeline/asset-groups/songplays"
PLAYED_IN_ONE_MONTH = """
SELECT song, artist, length FROM songplays.staging_events WHERE page = 'NextSong'
AND (song, artist, length) NOT IN (SELECT title, name, duration FROM songplays.songs JOIN songplays.artists USING (artist_id))
GROUP BY ALL HAVING MIN(ts) >= '2018-10-01' ORDER BY ALL LIMIT 1
"""
REFRESH = "/locations/scx_pipeline/jobs/songplays_refresh_job"
SENSOR = "/locations/scx_pipeline/sensors/songplays_objects"


@pytest.fixture(scope="module")
def music(site: Site) -> GeneratedMusic:
    """Generate two months of events and some songs before the first test."""
    return site.generate_music(SongplaysOptions(to="2018-10", months=2, events=2000, songs=60, matching=12))


def test_the_graph_has_two_sources_and_joins_them_in_the_fact(
    page: Page, site: Site, shoot: Shoot, music: GeneratedMusic
) -> None:
    page.goto(site.address + GROUP)
    paths = [
        ("song_data", "staging_songs", "songs", "songplays", "report"),
        ("song_data", "staging_songs", "artists", "songplays"),
        ("log_data", "staging_events", "songplays"),
        ("log_data", "staging_events", "users"),
        ("log_data", "staging_events", "time"),
    ]
    for name in {name for path in paths for name in path}:
        expect(node(page, name)).to_be_visible()
    for before, after in (pair for path in paths for pair in pairwise(path)):
        assert left(node(page, before)) < left(node(page, after))
    expect(node(page, "song_data")).to_contain_text("json")
    shoot("21-songplays-graph")


def test_the_sensor_loads_songs_first_and_then_the_months(
    page: Page, site: Site, shoot: Shoot, music: GeneratedMusic
) -> None:
    page.goto(site.address + SENSOR)
    page.get_by_role("checkbox").press("Space")
    expect(page.get_by_role("checkbox")).to_be_checked()
    first, second = site.wait_for_run(1, JOBS), site.wait_for_run(2, JOBS)
    assert [(run["jobName"], run["status"]) for run in (first, second)] == [
        ("songplays_refresh_job", "SUCCESS"),
        ("songplays", "SUCCESS"),
    ]
    counted = "SELECT COUNT(*), COUNT(song_id) FROM songplays.songplays"
    assert site.query_songplays(counted) == [(music.songplays, music.matched)]
    assert site.query_songplays("SELECT COUNT(*) FROM songplays.songs") == [(music.songs,)]
    page.goto(site.address + GROUP)
    expect(node(page, "songs")).to_contain_text("Materialized")
    shoot("22-songplays-loaded")


def test_the_page_of_an_unpartitioned_table_shows_its_metadata_and_checks(
    page: Page, site: Site, shoot: Shoot, music: GeneratedMusic
) -> None:
    page.goto(f"{site.address}/assets/songplays/songs")
    expect(page.get_by_text("One row per song, from the document with the latest year.")).to_be_visible()
    row = (
        page.locator("tr").filter(has_text="fingerprint").first
    )  # the UI shows the row count apart from the table
    row.scroll_into_view_if_needed()
    expect(row).to_be_visible()
    shoot("23-songs")
    page.goto(f"{site.address}/assets/songplays/songs?view=checks")
    for name in ("row_count", "unique_song_id", "references_artists"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    shoot("24-songs-checks")


def test_a_late_song_marks_exactly_its_month_as_stale(
    page: Page, site: Site, shoot: Shoot, music: GeneratedMusic
) -> None:
    """The month is materialized by hand; the sensor is off."""
    page.goto(site.address + SENSOR)
    expect(page.get_by_role("checkbox")).to_be_checked()
    page.get_by_role("checkbox").press("Space")
    expect(page.get_by_role("checkbox")).not_to_be_checked()
    [(title, artist, length)] = site.query_songplays(PLAYED_IN_ONE_MONTH)
    document = song("SOLATE", artist_id="ARLATE", artist_name=artist, title=title, duration=length)
    obstore.put(site.store, f"{SONGS}L/A/T/TRLATE.json", json.dumps(document).encode())
    page.goto(site.address + REFRESH)
    page.get_by_role("button", name="Materialize all").click()
    assert site.wait_for_run(3, JOBS)["status"] == "SUCCESS"
    page.goto(f"{site.address}/assets/songplays/songs")
    row = page.locator("tr").filter(has_text="stale_months")
    row.scroll_into_view_if_needed()
    expect(row).to_contain_text("2018-10")
    shoot("25-stale-month")


def test_the_report_shows_charts_and_tables(page: Page, site: Site, shoot: Shoot) -> None:
    page.goto(f"{site.address}/assets/songplays/report")
    reports = ("__ASSET_JOB",)
    before = len([run for run in site.runs() if run["jobName"] in reports])
    page.get_by_role("button", name=re.compile("Materialize$")).click()
    assert site.wait_for_run(before + 1, reports)["status"] == "SUCCESS"
    page.reload()
    expect(page.get_by_text("most_played_artists chart")).to_be_visible()
    expect(page.locator("tr").filter(has_text="table_counts").get_by_role("table").first).to_contain_text(
        "staging_events"
    )
    page.set_viewport_size({"width": 1600, "height": 1800})
    shoot("26-songplays-report")
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.locator("tr").filter(has_text="most_played_songs chart").get_by_text("[Show Markdown]").click()
    chart = page.get_by_role("img", name="Most played songs")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 500
    shoot("27-songplays-chart")
