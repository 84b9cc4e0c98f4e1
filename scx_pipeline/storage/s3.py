"""Open and list S3 buckets with AWS's own settings: endpoint, region, profile, role and keys.

What the buckets contain is decided in other packages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from scx_pipeline.aws import create_session, environment_region
from scx_pipeline.errors import BucketError
from scx_pipeline.storage.store_errors import describe_code

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ObjectStore as Store

# The library retries silently, so it may do so only briefly where the caller retries and reports.
_SHORT_RETRIES: Any = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(milliseconds=500),
        "base": 2,
    },
}


@dataclass(frozen=True)
class S3Access:
    """How a bucket is reached where that differs from AWS's own settings."""

    region: str | None = None
    endpoint: str | None = None
    anonymous: bool = False  # without credentials, as a public bucket is read


AS_CONFIGURED = S3Access()


def open_s3(
    bucket: str, prefix: str = "", caller_retries: bool = False, access: S3Access = AS_CONFIGURED
) -> Store:
    """Open a bucket, or a prefix of it.

    Args:
        bucket: The bucket's name.
        prefix: What keys are relative to.
        caller_retries: Whether the caller retries failed requests, so that the library gives up early.
        access: What differs from AWS's own settings.

    Raises:
        BucketError: No credentials are found, or the endpoint is not a URL.
    """
    from obstore.store import S3Store

    endpoint = access.endpoint or _endpoint()
    options: dict[str, Any] = {"retry_config": _SHORT_RETRIES} if caller_retries else {}
    if access.region:
        options["region"] = access.region
    if access.anonymous:
        options["skip_signature"] = True
    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=endpoint,
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://")), "timeout": "300s"},
        credential_provider=None if access.anonymous else _credential_provider(),
        **options,
    )


def list_any_keys(
    bucket: str, key_start: str, delimiter: str = "", access: S3Access = AS_CONFIGURED
) -> Iterator[dict[str, Any]]:
    """List the objects whose full keys begin with this text, whatever characters they contain. Raises BucketError.

    With a delimiter, only those whose keys do not contain it after this text. Slower than obstore's listing, which rejects some keys.
    """
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    endpoint = access.endpoint or _endpoint()
    config = Config(
        s3={"addressing_style": "path" if endpoint else "auto"},
        retries={"mode": "standard", "max_attempts": 3},  # the caller retries for longer
        **({"signature_version": UNSIGNED} if access.anonymous else {}),
    )
    try:
        client = create_session().create_client(
            "s3", endpoint_url=endpoint, region_name=access.region or environment_region(), config=config
        )
        for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=key_start, Delimiter=delimiter
        ):
            for item in page.get("Contents", ()):
                yield {
                    "path": item["Key"],
                    "size": item["Size"],
                    "e_tag": item.get("ETag"),
                    "last_modified": item["LastModified"],
                }
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise BucketError(describe_code(code, "list") or " ".join(str(error).split())) from error
    except BotoCoreError as error:
        raise BucketError(" ".join(str(error).split())) from error


def _endpoint() -> str | None:
    """Return the address of a server other than AWS's; the library would end the process for one that is not a URL."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        value = os.environ.get(name)
        if value is not None and not value.startswith(("http://", "https://")):
            raise BucketError(
                f"{name} is {value!r}: give a URL, such as https://s3.example.com, or unset it for AWS itself"
            )
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _credential_provider() -> Boto3CredentialProvider | None:
    """Return boto3's chain (profiles, SSO, roles), or None if keys are in the environment, which need no boto3."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return None
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session()
    if session.get_credentials() is None:
        raise BucketError(
            "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return Boto3CredentialProvider(session)
