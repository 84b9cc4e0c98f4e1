"""Objects that change between the listing and the reading: each is named, and the next load has them.

Objects that change between two loads are not tested here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scx_pipeline.errors import BucketError
from scx_pipeline_tests.loading.bad_input.refusals import APRIL_JOBS
from scx_pipeline_tests.support.load_env import APRIL, MARCH, PREFIX, LoadEnv, job, jobs_of, range_of_keys


def meddling(load_env: LoadEnv, meddle: Callable[[], object]) -> None:
    """Do something to the bucket between the listing and the reading of the objects."""

    def say(message: str) -> None:
        if "objects," in message and "read" not in message:
            meddle()

    load_env.loader(say).load(range_of_keys(APRIL))


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.s3)])
@pytest.mark.parametrize("what", ["deleted", "overwritten", "overwritten alike"])
def test_an_object_that_changes_after_the_listing_is_named(
    what: str, kind: str, duckdb_env: LoadEnv, request: pytest.FixtureRequest
) -> None:
    if kind == "s3":
        duckdb_env.bucket_url = request.getfixturevalue("s3_bucket")
    duckdb_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    duckdb_env.load(MARCH)
    before = duckdb_env.snapshot()
    duckdb_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    changes: dict[str, Callable[[], object]] = {
        "deleted": lambda: duckdb_env.delete("2021/04/a.csv"),
        "overwritten": lambda: duckdb_env.put(
            "2021/04/a.csv", [job(3, "2021-04-05 10:00:00"), job(4, "2021-04-05 10:00:00")]
        ),
        "overwritten alike": lambda: duckdb_env.put("2021/04/a.csv", [job(3, "2021-04-05 10:00:00")]),
    }
    with pytest.raises(BucketError, match=f"{duckdb_env.bucket_url}/{PREFIX}2021/04/a.csv") as caught:
        meddling(duckdb_env, changes[what])
    assert "run again" in str(caught.value) or (what, kind) == ("deleted", "s3")
    assert duckdb_env.snapshot() == before
    duckdb_env.load(APRIL)
    assert (
        jobs_of(duckdb_env) == {"deleted": [1], "overwritten": [1, 3, 4], "overwritten alike": [1, 3]}[what]
    )


def test_an_object_added_after_the_listing_is_loaded_by_the_next_load(duckdb_env: LoadEnv) -> None:
    duckdb_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    meddling(duckdb_env, lambda: duckdb_env.put("2021/04/b.csv", [job(3, "2021-04-05 10:00:00")]))
    assert jobs_of(duckdb_env) == [2]
    assert APRIL in duckdb_env.changed()
    duckdb_env.load_changed()
    assert jobs_of(duckdb_env) == [2, 3]


def test_a_truncated_object_is_named(
    duckdb_env: LoadEnv, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb_env.bucket_url = s3_bucket
    duckdb_env.put("2021/04/a.csv", APRIL_JOBS)
    listed = duckdb_env.bucket.list_objects
    monkeypatch.setattr(
        "scx_pipeline.storage.bucket.Bucket.list_objects",
        lambda bucket, prefix: [
            type(item)(item.key, item.size + 1, item.etag, item.last_modified) for item in listed(prefix)
        ],
    )
    with pytest.raises(
        BucketError, match=f"{PREFIX}2021/04/a.csv: only a part of it was received; run again"
    ):
        duckdb_env.load(APRIL)
