"""What a cluster is to be: settings by file and flags, the policies of its role, its price, and the URL to use.
Making one is tested in cluster/."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.cluster.plan import (
    ClusterPlan,
    loader_policy,
    price,
    read_plan,
    read_policy,
    trust_policy,
    url_of,
)
from scx_pipeline.errors import SettingsError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse


def plan(**settings: object) -> ClusterPlan:
    return read_plan(None, {"bucket": "s3://scx-logs", **settings})


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("bucket: s3://scx-logs/raw/\nname: one\ncapacity: 16\n")
    found = read_plan(file, {"name": "two", "capacity": None})
    assert (found.name, found.capacity, found.bucket, found.kind) == (
        "two",
        16,
        "s3://scx-logs/raw",
        "serverless",
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"bucket": "scx-logs"}, r"--bucket: .*write s3://bucket"),
        ({"bucket": None}, r"--bucket|bucket: Field required"),
        ({"name": "No Name"}, "--name"),
        ({"name": "a" * 51}, "--name: .*at most 50 characters"),
        ({"name": "default"}, "--name: .*the name default is reserved by AWS"),
        ({"name": "two--hyphens"}, "--name"),
        ({"name": "ends-"}, "--name"),
        ({"admin_user": "public"}, "--admin-user: .*the name public is reserved by AWS"),
        ({"capacity": 1032}, "--capacity: .*less than or equal to 1024"),
        ({"max_capacity": 5640}, "--max-capacity: .*less than or equal to 5632"),
        ({"max_capacity": 100}, "--max-capacity: .*multiple of 8"),
        ({"capacity": 32, "max_capacity": 16}, "--max-capacity: .*16 is less than the base capacity of 32"),
        ({"kind": "provisioned", "nodes": 0}, "--nodes: .*greater than or equal to 1"),
        ({"kind": "provisioned", "nodes": 101, "node_type": "dc9"}, "--nodes: .*less than or equal to 100"),
        ({"kind": "provisioned", "nodes": 17}, "--nodes: .*a cluster of ra3.large has 1 to 16 nodes"),
        (
            {"kind": "provisioned", "node_type": "ra3.4xlarge"},
            "nodes: .*ra3.4xlarge has 2 to 32 nodes .*not 1",
        ),
        ({"kind": "cheap"}, "--kind: .*'serverless' or 'provisioned'"),
        ({"colour": "red"}, "--colour: .*there are: name, kind, bucket"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        plan(**settings)


@pytest.mark.parametrize("capacity", [4, 8, 16, 512, 544, 1024])
def test_base_capacities_of_awss_are_taken(capacity: int) -> None:
    assert plan(capacity=capacity, max_capacity=5632).capacity == capacity


@pytest.mark.parametrize("capacity", [5, 6, 7, 12, 508, 516, 520, 528, 1000])
def test_base_capacities_that_aws_refuses_are_refused_before_it_is_asked(capacity: int) -> None:
    told = f"--capacity: .*AWS has no base capacity of {capacity}: take 4, 8 to 512 in steps of 8, or 544 to 1024 in steps of 32"
    with pytest.raises(SettingsError, match=told):
        plan(capacity=capacity)


@pytest.mark.parametrize(
    ("node_type", "nodes"), [("ra3.large", 16), ("ra3.4xlarge", 2), ("ra3.16xlarge", 100), ("dc9", 100)]
)
def test_numbers_of_nodes_of_awss_are_taken(node_type: str, nodes: int) -> None:
    assert plan(kind="provisioned", node_type=node_type, nodes=nodes).nodes == nodes


def test_the_role_of_the_longest_name_is_one_that_iam_takes() -> None:
    assert len(plan(name="a" * 50).role) == 64


def test_a_file_that_is_no_list_of_settings_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("- bucket")
    with pytest.raises(SettingsError, match=r"cluster.yaml: write one setting a line"):
        read_plan(file, {})
    with pytest.raises(SettingsError, match="cannot be read"):
        read_plan(tmp_path / "absent.yaml", {})


def test_only_redshift_may_use_the_role() -> None:
    [statement] = trust_policy()["Statement"]
    assert statement["Principal"] == {
        "Service": ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]
    }
    assert statement["Action"] == "sts:AssumeRole"


def test_the_role_may_read_the_bucket_and_nothing_else() -> None:
    policy = read_policy(plan())
    actions = {
        a
        for s in policy["Statement"]
        for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    }
    assert actions == {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    assert policy["Statement"][0]["Resource"] == [
        "arn:aws:s3:::scx-logs/*",
        "arn:aws:s3:::scx-logs/_scx_pipeline/*",
    ]


def test_below_a_prefix_the_role_sees_nothing_else() -> None:
    objects, logs, staging, regions = read_policy(plan(bucket="s3://all/scx", staging="s3://tmp"))[
        "Statement"
    ]
    assert objects["Resource"] == ["arn:aws:s3:::all/scx/*", "arn:aws:s3:::tmp/*"]
    assert logs["Condition"] == {"StringLike": {"s3:prefix": ["scx/*"]}}
    assert "Condition" not in staging
    assert (regions["Action"], "Condition" in regions) == ("s3:GetBucketLocation", False)
    assert regions["Resource"] == ["arn:aws:s3:::all", "arn:aws:s3:::tmp"]


def test_the_pipeline_may_write_only_where_it_stages() -> None:
    writing = [s for s in loader_policy(plan())["Statement"] if "s3:PutObject" in s["Action"]]
    assert [item["Resource"] for item in writing] == [["arn:aws:s3:::scx-logs/_scx_pipeline/*"]]


def test_into_a_lake_the_role_may_write_only_what_is_not_in_its_place_yet() -> None:
    with_lake, without = (
        read_policy(plan(**more))["Statement"] for more in ({"lake": "s3://lake/stars/"}, {})
    )
    reading, writing, place, listing = with_lake[len(without) :]
    assert (reading["Action"], reading["Resource"]) == ("s3:GetObject", ["arn:aws:s3:::lake/stars/*"])
    assert with_lake[: len(without)] == without
    assert writing["Resource"] == ["arn:aws:s3:::lake/stars/*/_writing/*"]
    assert not {"s3:DeleteObject", "s3:*"} & set(writing["Action"])
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["stars/*/_writing/*"]}}
    assert place["Action"] == "s3:GetBucketLocation"


def test_the_pipeline_may_write_the_lake() -> None:
    policy = loader_policy(plan(lake="s3://lake"))["Statement"]
    [writing] = [s for s in policy if "s3:PutObject" in s["Action"]]
    assert writing["Resource"] == ["arn:aws:s3:::scx-logs/_scx_pipeline/*", "arn:aws:s3:::lake/*"]
    [listing] = [s for s in policy if s["Action"] == "s3:ListBucket"]
    assert listing["Resource"] == ["arn:aws:s3:::scx-logs", "arn:aws:s3:::lake"]


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("serverless", "redshift-serverless:GetCredentials"),
        ("provisioned", "redshift:GetClusterCredentialsWithIAM"),
    ],
)
def test_the_pipeline_may_log_in_by_iam(kind: str, action: str) -> None:
    [allowed] = [s for s in loader_policy(plan(kind=kind))["Statement"] if action in s["Action"]]
    assert "scx" in str(allowed.get("Condition", allowed["Resource"]))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"capacity": 8}, "about 3.00 US dollars an hour while queries run, nothing for compute"),
        ({"capacity": 8, "max_capacity": 16}, "at most 6.00"),
        ({"kind": "provisioned", "nodes": 2}, "about 1.09 US dollars an hour, also while no queries run"),
        ({"kind": "provisioned", "node_type": "dc9.huge"}, "1 × dc9.huge: see AWS's price list"),
    ],
)
def test_the_price_is_told_beforehand(settings: dict[str, object], told: str) -> None:
    assert told in price(plan(**settings))


def test_the_url_has_no_password_and_can_be_used() -> None:
    url = url_of(
        plan(),
        "scx.1.eu-west-1.redshift-serverless.amazonaws.com",
        "arn:aws:secretsmanager:eu-west-1:1:secret:redshift!scx-a",
    )
    assert url == (
        "redshift://scx.1.eu-west-1.redshift-serverless.amazonaws.com:5439/dev"
        "?secret=arn:aws:secretsmanager:eu-west-1:1:secret:redshift!scx-a&staging=s3://scx-logs/_scx_pipeline"
    )
    assert (
        open_warehouse(url, Limits()).url
        == "redshift://scx.1.eu-west-1.redshift-serverless.amazonaws.com:5439/dev"
    )
