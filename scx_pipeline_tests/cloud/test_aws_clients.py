"""Clients of AWS: their credentials, region and profile, and what a user sees without any.

What the clients are used for is not tested here.
"""

from __future__ import annotations

import pytest
from botocore.exceptions import NoCredentialsError

from scx_pipeline import aws
from scx_pipeline.cloud.stacks import CloudError
from scx_pipeline_tests.cloud.cloud_command import Cloud


def test_a_new_client_uses_the_current_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon lives longer than keys do, and the tests of one process have several stores."""

    def signed() -> str:
        client = aws.create_client("s3", CloudError)
        return str(client.generate_presigned_url("list_objects_v2", Params={"Bucket": "logs"}))

    for key in ("AKIAFIRST", "AKIASECOND"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert key in signed()


def test_client_region_is_the_given_one_then_aws_region_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert aws.create_client("redshift", CloudError).meta.region_name == "eu-west-1"  # of AWS_DEFAULT_REGION
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert aws.create_client("redshift", CloudError).meta.region_name == "us-west-2"
    assert aws.create_client("redshift", CloudError, "us-east-1").meta.region_name == "us-east-1"


def test_a_client_without_a_region_or_with_an_unknown_profile_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(
        CloudError, match="cannot create an AWS client for cloudformation: .*region.*; set AWS_REGION"
    ):
        aws.create_client("cloudformation", CloudError)
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(CloudError, match="cannot create an AWS client for cloudformation: .*absent"):
        aws.create_client("cloudformation", CloudError)


def test_missing_credentials_say_how_to_log_in(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    done = cloud("status", "emr-serverless")
    assert isinstance(done.exception, CloudError)
    assert "cannot describe the stack scx-emr-serverless: there are no credentials: log in" in str(
        done.exception
    )
