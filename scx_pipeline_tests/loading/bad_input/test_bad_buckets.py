"""Months out of range, and buckets that are not there or do not answer: each is named, and no secret is shown.

Objects that change during a load are not tested here.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scx_pipeline.errors import BucketError, PipelineError
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline_tests.loading.bad_input.refusals import assert_load_refused
from scx_pipeline_tests.support.load_env import LoadEnv
from scx_pipeline_tests.support.servers.ports import free_ports


@pytest.mark.parametrize(
    ("first", "last"), [("2019-12", "2020-01"), ("2020-01", "2999-01"), ("2019-01", "2019-02")]
)
def test_a_month_out_of_range_is_named_with_the_range(first: str, last: str, march: LoadEnv) -> None:
    before = march.snapshot()
    wrong = last if last > "2100" else first
    with pytest.raises(PipelineError, match=f"^{wrong} is not a month of scx, which goes from 2020-01 to 20"):
        march.load(first, last)
    assert march.snapshot() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BucketError, match=f"{tmp_path}/none is not a folder"):
        open_bucket((tmp_path / "none").as_uri())
    (tmp_path / "file").touch()
    with pytest.raises(BucketError, match=f"{tmp_path}/file is not a folder"):
        open_bucket((tmp_path / "file").as_uri())


@pytest.mark.parametrize("url", ["/tmp/bucket", "file://host/bucket", "gs://bucket", "s3://", "bucket"])
def test_a_bucket_url_of_an_unknown_scheme_is_refused(url: str) -> None:
    with pytest.raises(BucketError, match="SCX_BUCKET_URL is .*: write file:///folder or s3://bucket"):
        open_bucket(url)


def test_an_unknown_s3_bucket_is_named(march: LoadEnv, s3_bucket: str) -> None:
    march.bucket_url = f"{s3_bucket}-unknown"
    message = assert_load_refused(march, BucketError, f"cannot list {s3_bucket}-unknown/")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in message


def test_a_wrong_s3_secret_is_reported_without_the_secret(
    march: LoadEnv, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    march.bucket_url = s3_bucket
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-another-secret")
    assert "quite-another-secret" not in assert_load_refused(march, BucketError, f"cannot list {s3_bucket}/")


def test_an_unresponsive_s3_server_is_named(
    march: LoadEnv, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    march.bucket_url = s3_bucket
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert_load_refused(march, BucketError, f"cannot list {s3_bucket}/")


def test_an_empty_bucket_has_no_due_months(load_env: LoadEnv) -> None:
    assert load_env.changed() == []
    assert load_env.plan().selection.objects == ()
