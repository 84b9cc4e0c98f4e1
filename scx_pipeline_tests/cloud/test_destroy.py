"""`scx cloud destroy` as a user types it, on moto: confirmation, repetition and final snapshots.

Stacks whose deletion fails, and those of others, are not tested here.
"""

from __future__ import annotations

import re

import boto3
import pytest
from botocore.stub import Stubber

from scx_pipeline.errors import PipelineError
from scx_pipeline_tests.cloud.cloud_command import MOTO_TEMPLATES, PLACES, Cloud, stack_names, stack_of


@pytest.mark.parametrize("template", MOTO_TEMPLATES)
def test_destroy_with_another_name_deletes_nothing(cloud: Cloud, template: str) -> None:
    cloud("create", template, *PLACES, "--yes")
    done = cloud("destroy", template, answer="yes\n")
    assert isinstance(done.exception, PipelineError)
    assert "'yes' is not 'scx': nothing was changed" in str(done.exception)
    assert stack_names() == [f"scx-{template}"]


def test_destroy_dry_run_shows_resources_and_deletes_nothing(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    done = cloud("destroy", "redshift-provisioned", "--dry-run")
    assert re.search("Cluster +AWS::Redshift::Cluster +scx ", done.stdout)
    assert "a final snapshot is kept" in done.stdout
    assert stack_names() == ["scx-redshift-provisioned"]


@pytest.mark.parametrize("template", MOTO_TEMPLATES)
def test_destroy_again_finds_nothing_to_delete(cloud: Cloud, template: str) -> None:
    cloud("create", template, *PLACES, "--yes")
    cloud("destroy", template, "--yes")
    done = cloud("destroy", template)
    assert (done.exit_code, f"there is no stack scx-{template}" in done.stdout) == (0, True)


def manual_snapshots() -> list[str]:
    found = boto3.client("redshift").describe_cluster_snapshots()["Snapshots"]
    return [item["SnapshotIdentifier"] for item in found if item["SnapshotType"] == "manual"]


def test_destroy_cluster_keeps_a_final_snapshot(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    assert "a final snapshot is kept" in cloud("destroy", "redshift-provisioned", "--yes").stdout
    assert manual_snapshots() == ["scx-snapshot"]


def test_destroy_cluster_no_snapshot_keeps_none(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    done = cloud("destroy", "redshift-provisioned", "--no-snapshot", "--yes")
    assert "no snapshot is kept: all tables are lost" in done.stdout
    assert (stack_names(), manual_snapshots()) == ([], [])


def test_destroy_namespace_no_snapshot_updates_the_stack_first(cloud: Cloud, secret: Stubber) -> None:
    cloud("create", "redshift-serverless", *PLACES, "--yes")
    identity = stack_of("scx-redshift-serverless")["StackId"]
    cloud("destroy", "redshift-serverless", "--no-snapshot", "--yes")
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack_of(identity)["Parameters"]}
    assert parameters["FinalSnapshot"] == "false"
    assert stack_names() == []
