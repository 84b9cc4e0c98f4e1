"""Parameters of a template: from a file and options, completed, checked and priced. AWS is not asked.

Whether CloudFormation takes them is not tested here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scx_pipeline.cloud.prices import describe_price
from scx_pipeline.cloud.templates import complete_parameters, load_template, read_parameters
from scx_pipeline.errors import SettingsError
from scx_pipeline_tests.cloud.cloud_command import TEMPLATES


def complete(template: str, **given: str) -> dict[str, str]:
    places = {"Bucket": "s3://scx-logs", "Lake": "s3://scx-lake"}
    return complete_parameters(load_template(template), {**places, **given})


def test_read_parameters_prefers_assignments_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "redshift.yaml"
    file.write_text(
        "Bucket: s3://scx-logs/raw/\nBaseCapacity: 16\nMaxCapacity: 32\nPubliclyAccessible: true\nSubnetIds: [a, b]\nLake:\n"
    )
    assert read_parameters(file, ["BaseCapacity=24", "PipelineRole=a=b"]) == {
        "Bucket": "s3://scx-logs/raw/",
        "BaseCapacity": "24",
        "MaxCapacity": "32",
        "PubliclyAccessible": "true",
        "SubnetIds": "a,b",
        "Lake": "",
        "PipelineRole": "a=b",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- Bucket", "parameters.yaml: write one parameter a line"),
        ("a: [", "parameters.yaml: cannot be read"),
    ],
)
def test_read_parameters_refuses_a_file_without_a_mapping(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=message):
        read_parameters(file, [])


def test_read_parameters_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="absent.yaml: cannot be read"):
        read_parameters(tmp_path / "absent.yaml", [])


def test_read_parameters_refuses_an_assignment_without_a_value() -> None:
    with pytest.raises(SettingsError, match="--parameter BaseCapacity: write Key=Value"):
        read_parameters(None, ["BaseCapacity"])


@pytest.mark.parametrize(
    ("url", "bucket", "prefix", "staging"),
    [
        ("s3://scx-logs", "scx-logs", "", "_scx_pipeline/"),
        ("s3://scx-logs/", "scx-logs", "", "_scx_pipeline/"),
        ("s3://scx-logs/raw/scx", "scx-logs", "raw/scx/", "raw/scx/_scx_pipeline/"),
    ],
)
def test_complete_parameters_splits_the_bucket_url_and_places_staging_below(
    url: str, bucket: str, prefix: str, staging: str
) -> None:
    found = complete("redshift-serverless", Bucket=url)
    assert (found["Bucket"], found["BucketPrefix"]) == (bucket, prefix)
    assert (found["Staging"], found["StagingPrefix"]) == (bucket, staging)


def test_complete_parameters_keeps_a_given_staging_prefix() -> None:
    found = complete("redshift-serverless", Staging="s3://scx-staging")
    assert (found["Staging"], found["StagingPrefix"]) == ("scx-staging", "")


def test_complete_parameters_places_code_below_the_bucket_by_default() -> None:
    found = complete("emr-serverless", Bucket="s3://scx-logs/raw")
    assert (found["Code"], found["CodePrefix"]) == ("scx-logs", "raw/_scx_pipeline/code/")


@pytest.mark.parametrize("template", TEMPLATES)
def test_complete_parameters_gives_every_parameter_a_value(template: str) -> None:
    assert set(complete(template)) == set(load_template(template).parameters)


def test_complete_parameters_names_a_missing_bucket() -> None:
    with pytest.raises(SettingsError, match=r"redshift-serverless needs the parameter Bucket \(Bucket with"):
        complete_parameters(load_template("redshift-serverless"), {})


def test_complete_parameters_names_a_missing_lake_for_spark_only() -> None:
    with pytest.raises(SettingsError, match="emr-serverless needs the parameter Lake"):
        complete_parameters(load_template("emr-serverless"), {"Bucket": "s3://scx-logs"})
    assert complete("redshift-provisioned", Lake="")["Lake"] == ""


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", ["No Name", "a", "a" * 51, "two--hyphens", "ends-", "1st"])
def test_complete_parameters_refuses_a_name_that_aws_does_not_accept(template: str, name: str) -> None:
    with pytest.raises(SettingsError, match="Name is .*: must match .*lowercase"):
        complete(template, Name=name)


@pytest.mark.parametrize("template", ["redshift-serverless", "redshift-provisioned"])
@pytest.mark.parametrize("reserved", [{"Name": "default"}, {"Name": "public"}, {"AdminUser": "public"}])
def test_complete_parameters_refuses_a_name_that_redshift_reserves(
    template: str, reserved: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match=f"{next(iter(reserved))} is .*: must match"):
        complete(template, **reserved)


@pytest.mark.parametrize(
    ("template", "given", "message"),
    [
        ("redshift-serverless", {"Bucket": "scx-logs"}, "Bucket is 'scx-logs': write s3://bucket"),
        ("redshift-serverless", {"Bucket": "https://scx-logs"}, "Bucket is .*: write s3://bucket"),
        ("redshift-serverless", {"Bucket": "s3://UPPER"}, "Bucket is 'UPPER': must match"),
        ("redshift-serverless", {"Bucket": "s3://scx-logs/a*"}, r"BucketPrefix is 'a\*/': must match"),
        ("redshift-serverless", {"Bucket": ""}, "needs the parameter Bucket"),
        ("redshift-serverless", {"BaseCapacty": "8"}, "has no parameter BaseCapacty; did you mean BaseCapacity?"),
        ("redshift-serverless", {"basecapacity": "8"}, "did you mean BaseCapacity?"),
        ("redshift-serverless", {"BucketPrefix": "raw/"}, "has no parameter BucketPrefix; did you mean Bucket?"),
        ("redshift-serverless", {"Colour": "red"}, "has no parameter Colour; there are: Name, Bucket, Staging"),
        ("redshift-serverless", {"Nodes": "2"}, "redshift-serverless has no parameter Nodes"),
        ("redshift-serverless", {"MaxCapacity": "5640"}, "must be at least 0 and at most 5632"),
        ("redshift-serverless", {"MaxCapacity": "many"}, "MaxCapacity is 'many': must match"),
        ("redshift-serverless", {"PubliclyAccessible": "yes"}, "must be one of true, false"),
        ("redshift-serverless", {"Database": "Dev"}, "Database is 'Dev': must match"),
        ("redshift-provisioned", {"Nodes": "0"}, "Nodes is '0': must be at least 1 and at most 100"),
        ("redshift-provisioned", {"Nodes": "101"}, "Nodes is '101': must be at least 1 and at most 100"),
        ("redshift-provisioned", {"NodeType": "large"}, "NodeType is 'large': must match"),
        ("emr-serverless", {"Release": "7.12.0"}, "Release is '7.12.0': must match"),
        ("emr-serverless", {"Architecture": "arm"}, "must be one of X86_64, ARM64"),
        ("emr-serverless", {"MaxVcpu": "0"}, "MaxVcpu is '0': must be at least 1 .*quota of 16"),
        ("emr-serverless", {"IdleMinutes": "0"}, "IdleMinutes is '0': must be at least 1"),
        ("emr-serverless", {"WarmVcpu": "3"}, "must be one of 1, 2, 4, 8, 16"),
        ("emr-serverless", {"Name": "a" * 41}, "Name is"),
    ],
)  # fmt: skip
def test_complete_parameters_refuses_and_names_a_wrong_value(
    template: str, given: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        complete(template, **given)


@pytest.mark.parametrize("capacity", [4, 8, 16, 512, 544, 1024])
def test_complete_parameters_accepts_a_capacity_that_aws_offers(capacity: int) -> None:
    found = complete("redshift-serverless", BaseCapacity=str(capacity), MaxCapacity="5632")
    assert found["BaseCapacity"] == str(capacity)


@pytest.mark.parametrize("capacity", [5, 6, 7, 12, 508, 516, 520, 528, 1000, 1032])
def test_complete_parameters_refuses_a_capacity_that_aws_does_not_offer(capacity: int) -> None:
    with pytest.raises(SettingsError, match=f"BaseCapacity is '{capacity}': must be one of 4, 8, 16"):
        complete("redshift-serverless", BaseCapacity=str(capacity))


@pytest.mark.parametrize(
    ("template", "given", "price"),
    [
        ("redshift-serverless", {}, "about 3.00 an hour while queries run; nothing for compute otherwise"),
        ("redshift-serverless", {"MaxCapacity": "16"}, "while queries run, at most 6.00;"),
        ("redshift-provisioned", {}, "about 0.54 an hour until the cluster is paused"),
        ("redshift-provisioned", {"Nodes": "2"}, "about 1.09 an hour until the cluster is paused, also while no"),
        ("redshift-provisioned", {"NodeType": "dc9.huge"}, "1 × dc9.huge by the hour .*see AWS's price list"),
        ("emr-serverless", {}, "at most about 1.60 an hour with all capacity in use; nothing while no job runs"),
        ("emr-serverless", {"Architecture": "ARM64"}, "at most about 1.29 an hour"),
        ("emr-serverless", {"WarmExecutors": "3"}, "about 1.21 for the workers kept ready, until 15 minutes after"),
        ("emr-serverless", {"WarmExecutors": "1", "WarmDisk": "100"}, "about 0.62 for the workers kept ready"),
    ],
)  # fmt: skip
def test_describe_price_names_the_price_of_each_template(
    template: str, given: dict[str, str], price: str
) -> None:
    found = describe_price(template, complete(template, **given))
    assert re.search(price, found)
    assert found.endswith("(US dollars by the list prices of us-east-1)")
