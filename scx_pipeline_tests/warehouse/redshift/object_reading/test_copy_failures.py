"""Objects and settings that fail a load of objects which the cluster reads.

A failed load changes nothing.
"""

from __future__ import annotations

import obstore
import pytest

from scx_pipeline.errors import BucketError, SourceFileError, WarehouseError
from scx_pipeline.warehouse.redshift import redshift_warehouse as adapter
from scx_pipeline_tests.support.load_env import APRIL, MARCH, LoadEnv, compress, csv_text, jobs_of
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure
from scx_pipeline_tests.warehouse.redshift.april_loads import cut_at_statements
from scx_pipeline_tests.warehouse.redshift.object_reading.object_reading import april, before_first_copy, sent


@pytest.mark.parametrize("act", ["delete", "overwrite"])
def test_an_object_deleted_or_changed_before_the_copy_is_named_and_the_next_plan_is_right(
    redshift: StandIn, load_env: LoadEnv, act: str
) -> None:
    load_env.put("2021/04/a.csv", [april(1)])
    load_env.load(APRIL)
    before = load_env.snapshot()
    load_env.put("2021/04/b.csv", [april(2)])
    load_env.put("2021/04/c.csv", [april(3)])
    before_first_copy(
        redshift,
        lambda: (
            load_env.delete("2021/04/b.csv") if act == "delete" else load_env.put("2021/04/b.csv", [april(4)])
        ),
    )
    with pytest.raises(
        BucketError, match=r"2021/04/b\.csv was removed or overwritten after the listing; run again"
    ):
        load_env.load(APRIL)
    assert load_env.snapshot() == before
    assert load_env.changed() == [MARCH, APRIL], "an April's file may hold rows of March"
    load_env.load_changed()
    assert jobs_of(load_env) == ([1, 3] if act == "delete" else [1, 3, 4])
    assert load_env.changed() == []


def test_a_damaged_object_fails_the_load_and_is_named(redshift: StandIn, load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv", [april(1)])
    load_env.load(APRIL)
    before = load_env.snapshot()
    to_parquet = compress(
        csv_text(april(n % 28 + 1, summary=str(n * 7919)) for n in range(9000)).encode(), "a.gz"
    )
    load_env.put_raw("2021/04/b.csv.gz", to_parquet[: len(to_parquet) // 2])
    with pytest.raises(
        SourceFileError, match=r"2021/04/b\.csv\.gz: the compressed file is damaged or truncated"
    ):
        load_env.load(APRIL)
    assert load_env.snapshot() == before
    assert any(
        "trying again, parsing the objects on this machine" in message for message in load_env.messages
    )


def test_objects_that_the_cluster_cannot_read_are_parsed_by_the_client(
    redshift: StandIn, load_env: LoadEnv
) -> None:
    load_env.put("2021/04/a.csv", [april(1)])
    before_first_copy(redshift, lambda: refuse("Spectrum Scan Error: something is not supported"))
    load_env.load(APRIL)
    assert jobs_of(load_env) == [1]
    [message] = [message for message in load_env.messages if "trying again, parsing" in message]
    assert "COPY of staging_cleansed_logs's objects failed: Spectrum Scan Error" in message


def refuse(message: str) -> None:
    raise Failure("XX000", message)


def test_a_role_without_access_to_the_bucket_fails_the_load(redshift: StandIn, load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv", [april(1)])
    before_first_copy(
        redshift, lambda: refuse("S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid X")
    )
    with pytest.raises(WarehouseError, match="the cluster's role must be allowed to read the bucket"):
        load_env.load(APRIL)
    assert not [message for message in load_env.messages if "trying again, parsing" in message]


def test_a_bucket_in_another_region_is_read_by_a_manifest_in_that_region(
    redshift: StandIn, load_env: LoadEnv, s3_bucket: str
) -> None:
    """The logs, and their manifest, are in a bucket of another region."""
    away = f"{s3_bucket}-away"
    redshift.s3.create_bucket(away.removeprefix("s3://"))  # type: ignore[union-attr]
    redshift.elsewhere[away.removeprefix("s3://")] = "eu-west-1"
    load_env.bucket_url = f"{away}/logs"
    load_env.put("2021/04/a.csv", [april(1)])
    with pytest.raises(
        WarehouseError, match="the bucket is in another region: set region= and region_staging="
    ):
        load_env.load(APRIL)
    load_env.warehouse_url += "&region=eu-west-1"
    load_env.load(APRIL)  # by the client, as there is no prefix for a manifest
    assert sent(redshift, "REGION") == []
    load_env.warehouse_url += f"&region_staging={away}/manifests"
    load_env.load(APRIL)
    assert len(sent(redshift, "REGION 'eu-west-1'")) == 1
    assert jobs_of(load_env) == [1]
    store = redshift.store(away.removeprefix("s3://"))
    assert [item["path"] for page in obstore.list(store, "manifests") for item in page] == []
    redshift.s3.delete_bucket(away.removeprefix("s3://"))  # type: ignore[union-attr]


def test_an_invalid_copy_from_is_reported(load_env: LoadEnv) -> None:
    load_env.warehouse_url = load_env.warehouse_url.replace("copy_from=0", "copy_from=much")
    with pytest.raises(
        WarehouseError, match="copy_from in SCX_WAREHOUSE_URL is 'much': use a number of megabytes"
    ):
        load_env.load(APRIL)


def test_a_connection_cut_at_any_third_statement_changes_nothing(
    redshift: StandIn, load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter.RedshiftWarehouse, "max_attempts", 1)
    load_env.put("2021/04/a.csv", [april(1)])
    load_env.put(
        "2021/04/b.csv.gz", ["1,10,short", *(april(n) for n in range(2, 28))]
    )  # parsed by the client in the end
    load_env.load(APRIL)
    number = cut_at_statements(
        redshift, load_env, lambda number: load_env.put("2021/04/a.csv", [april(28 + number % 2)]), step=3
    )
    assert number > 27
    assert max(jobs_of(load_env)) == 28 + number % 2
