"""Objects in S3 that the cluster reads itself: what is sent, what is left to the parser, and what is refused.
That the tables come out as on the other engines is tested in pipeline/, which runs so as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.pipeline.world import APRIL, World, folder_world, job, jobs_of
from scx_pipeline_tests.standin.server import StandIn


@pytest.fixture
def world(tmp_path: Path, redshift_url: str, s3_bucket: str) -> World:
    """A bucket in S3 that the stand-in reads, however little there is to read."""
    made = folder_world(tmp_path, f"{redshift_url}&copy_from=0")
    made.bucket_url = f"{s3_bucket}/logs"
    return made


def sent(redshift: StandIn, words: str) -> list[str]:
    return [sql for sql in redshift.statements if words in sql]


def test_small_objects_are_read_by_one_statement(redshift: StandIn, world: World) -> None:
    for n in (1, 2, 3):
        world.put(f"2021/04/{n}.csv", [job(n, f"2021-04-0{n} 10:00:00")])
    world.load(APRIL)
    assert jobs_of(world) == [1, 2, 3]
    assert len(sent(redshift, "FORMAT AS CSV")) == 1
    assert world.state("objects", "object_key, rows_read, rows_loaded") == []
