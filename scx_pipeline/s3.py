"""S3 buckets opened as AWS's own settings say: endpoint, region, profile, role, keys.
What lies in them, and what it is for, is decided by whoever opens them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from scx_pipeline.errors import BucketError

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ObjectStore


def open_s3(bucket: str, prefix: str = "") -> ObjectStore:
    """A bucket, or what is below a prefix of it. Raises BucketError where no credentials are found, or no address is one."""
    from obstore.store import S3Store

    endpoint = _endpoint()
    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=endpoint,
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://")), "timeout": "300s"},
        credential_provider=_credential_provider(),
    )


def _endpoint() -> str | None:
    """The address of another server than AWS's; the library would end the process for one that is no URL."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        value = os.environ.get(name)
        if value is not None and not value.startswith(("http://", "https://")):
            raise BucketError(
                f"{name} is {value!r}: give a URL, such as https://s3.example.com, or unset it for AWS itself"
            )
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _credential_provider() -> Boto3CredentialProvider | None:
    """boto3's chain (profiles, SSO, roles) unless plain keys are in the environment, which need no boto3 import."""
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


def reason_of(error: Exception) -> str:
    """The first line of a library's message, with the store's own word for it; the rest of obstore's are debug dumps."""
    if isinstance(error, BucketError):
        return str(error)
    told = str(error).strip() or type(error).__name__
    text = told.splitlines()[0].partition("<?xml")[0].rstrip(" :")
    if "precondition" in text.lower() or "412" in text:
        return "it was overwritten after the listing; run again"
    code = re.search(r"<Code>(\w+)</Code>", told)
    return text[:300] + (f" ({code[1]})" if code else "")
