"""What a declared star and SCX_STARS change in the definitions: which stars there are, schedules, owners, tags.

What all stars have in common is not tested here.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline import definitions
from scx_pipeline_tests.support.stars import StarCopy


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StarCopy:
    """A copy of songplays, which is the only star."""
    monkeypatch.setenv("SCX_STARS", str(tmp_path))
    return StarCopy.of("songplays", tmp_path)


def declared(copy: StarCopy, line: str) -> dg.RepositoryDefinition:
    """Return the definitions after a line was added to the star."""
    path = copy.folder / "defs.yaml"
    path.write_text(path.read_text("utf-8").replace("  owners:", f"  {line}\n  owners:"), "utf-8")
    return definitions.defs().get_repository_def()


@pytest.mark.usefixtures("copy")
def test_the_stars_of_the_setting_replace_the_samples() -> None:
    found = definitions.defs().get_repository_def()
    assert {item.name for item in found.sensor_defs} == {"songplays_objects", "songplays_report", "alerts"}


def test_a_declared_schedule_replaces_the_hourly_ones(copy: StarCopy) -> None:
    found = declared(copy, "schedule: 30 6 * * 1-5")
    assert {item.name: item.cron_schedule for item in found.schedule_defs} == {
        "songplays_schedule": "30 6 * * 1-5",
        "songplays_refresh_schedule": "30 6 * * 1-5",
        "maintain_weekly": "0 3 * * 0",
    }
    assert found.get_schedule_def("songplays_schedule").execution_timezone == "UTC"


def test_jobs_have_the_owners_and_tags_of_their_star(copy: StarCopy) -> None:
    found = declared(copy, "tags: {team: music, example.com/cost: low}")
    for name in ("songplays", "songplays_refresh_job"):
        job = found.get_job(name)
        assert job.owners == ["team:data"]
        assert {"team": "music", "example.com/cost": "low"}.items() <= job.tags.items()


def test_steps_have_the_op_tags_of_their_star(copy: StarCopy) -> None:
    limits = "{container_config: {resources: {limits: {memory: 4Gi}}}}"
    found = declared(copy, f"op_tags: {{dagster-k8s/config: {limits}}}")
    tags = found.asset_graph.get(dg.AssetKey(["songplays", "users"])).assets_def.op.tags
    assert "4Gi" in tags["dagster-k8s/config"]
    assert tags["star"] == "songplays"
