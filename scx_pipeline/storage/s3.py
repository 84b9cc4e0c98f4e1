"""S3 buckets opened as AWS's own settings say: endpoint, region, profile, role, keys; what a store refuses, in one line.
What lies in them, and what it is for, is decided by whoever opens them."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from scx_pipeline.aws import environment_region, session
from scx_pipeline.errors import BucketError

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ObjectStore

Answer = TypeVar("Answer")

RETRY_SECONDS = 180.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.25, 10.0
MESSAGE_SECONDS = 30.0  # between two messages that a store makes us wait
# The library tries again without a word, so it does so for a moment only; beyond that, `Retries` does.
_OF_THE_LIBRARY: Any = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(milliseconds=500),
        "base": 2,
    },
}
_BUSY = "the store was asked several times, and is still busy: run again later"
_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_REGION = "the bucket is in another region: set AWS_REGION to it"
_EXPIRED = "the credentials have expired: log in again (aws sso login), or renew the keys"
# What a store answers → what to do.
ADVICE = {
    "AccessDenied": "the credentials may not {right}",
    "AllAccessDisabled": "the account or the bucket is disabled: ask its owner",
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _EXPIRED,
    "InternalError": _BUSY,
    "InvalidAccessKeyId": f"the store does not know this access key: {_KEYS}",
    "InvalidObjectState": "the object is archived: restore it, or move it to where no pattern matches it",
    "InvalidToken": _EXPIRED,
    "MovedPermanently": _REGION,
    "NoSuchBucket": "there is no such bucket: check its name, AWS_ENDPOINT_URL and AWS_REGION",
    "NoSuchKey": "it no longer exists: run again",
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": "this machine's clock differs from the store's by more than 15 minutes: correct it",
    "ServiceUnavailable": _BUSY,
    "SignatureDoesNotMatch": f"the secret key does not belong to the access key: {_KEYS}",
    "SlowDown": _BUSY,
    "TemporaryRedirect": _REGION,
    "TokenRefreshRequired": _EXPIRED,
    "TooManyRequests": _BUSY,
}
_RIGHTS = {
    "list": "list the bucket: allow s3:ListBucket",
    "GET": "read the object: allow s3:GetObject",
    "HEAD": "read the object: allow s3:GetObject",
    "PUT": "write to the bucket: allow s3:PutObject",
    "POST": "write to the bucket: allow s3:PutObject",
    "DELETE": "delete the object: allow s3:DeleteObject",
}
# What is in the message of a library that had no answer → what that means.
_NO_ANSWER = (
    ("ConnectionRefused", "refuses the connection: is the store running, and is AWS_ENDPOINT_URL right?"),
    (
        "dns error",
        "has a host name that cannot be resolved: check AWS_ENDPOINT_URL, AWS_REGION and the network",
    ),
    ("ertificate", "has a certificate that is not trusted: check AWS_ENDPOINT_URL, or add its authority"),
    ("TimedOut", "did not answer in time: check the network and AWS_ENDPOINT_URL"),
    ("body error", "ended its answer early: run again"),
    ("error sending request", "dropped the connection: check the network, and run again"),
)
_BROKEN_OFF = re.compile("body error|error sending request|decoding response|connection (?:closed|reset)")
_HOPELESS = re.compile("ConnectionRefused|dns error|ertificate")
_BUSY_STATUSES = ("429", "500", "502", "503", "504")
_TRANSIENT = re.compile(rf"status code: ({'|'.join(_BUSY_STATUSES)})\b(?: ([A-Za-z ]+))?")


def open_s3(bucket: str, prefix: str = "", own_retries: bool = False) -> ObjectStore:
    """A bucket, or what is below a prefix of it. A caller that retries by `Retries` says so.

    Raises BucketError where no credentials are found, or no address is one.
    """
    from obstore.store import S3Store

    endpoint = _endpoint()
    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=endpoint,
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://")), "timeout": "300s"},
        credential_provider=_credential_provider(),
        **({"retry_config": _OF_THE_LIBRARY} if own_retries else {}),
    )


def list_exactly(bucket: str, below: str) -> Iterator[dict[str, Any]]:
    """Every key that begins with `below`, whatever its characters; keys are whole. Raises BucketError."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    endpoint = _endpoint()
    config = Config(
        s3={"addressing_style": "path" if endpoint else "auto"},
        retries={"mode": "standard", "max_attempts": 3},  # beyond that, `Retries` asks again
    )
    try:
        client = session().create_client(
            "s3", endpoint_url=endpoint, region_name=environment_region(), config=config
        )
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below):
            for item in page.get("Contents", ()):
                yield {
                    "path": item["Key"],
                    "size": item["Size"],
                    "e_tag": item.get("ETag"),
                    "last_modified": item["LastModified"],
                }
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise BucketError(_advised(code, "list") or " ".join(str(error).split())) from error
    except BotoCoreError as error:
        raise BucketError(" ".join(str(error).split())) from error


@dataclass(frozen=True)
class Retries:
    """Asks a store again that is busy, or drops the connection, with growing waits; and says so now and then."""

    seconds: float = RETRY_SECONDS
    notify: Callable[[str], None] = lambda message: None
    sleep: Callable[[float], None] = time.sleep
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _told: list[float] = field(default_factory=list, repr=False)

    def run(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives in the end. Raises what it raises, where that is not for a moment, or was for too long."""
        started, wait = time.monotonic(), FIRST_WAIT_SECONDS
        while True:
            try:
                return ask()
            except Exception as error:
                answer = busy(error)
                if not answer or time.monotonic() + wait - started > self.seconds:
                    raise
            self._tell(answer)
            self.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _tell(self, answer: str) -> None:
        now = time.monotonic()
        with self._lock:
            if self._told and now - self._told[-1] < MESSAGE_SECONDS:
                return
            self._told[:] = [now]
        self.notify(f"the bucket {answer}; retrying for up to {self.seconds:g} s")


def busy(error: Exception) -> str:
    """How a store answered that may answer otherwise in a moment; nothing where it makes no sense to ask again."""
    answer: Any = getattr(error.__cause__, "response", None)  # of botocore, which `list_exactly` asks by
    status = str(answer["ResponseMetadata"]["HTTPStatusCode"]) if answer else ""
    if status in _BUSY_STATUSES:
        return f"answers {status} {answer['Error']['Code']}"
    text = str(error)
    found = _TRANSIENT.search(text)
    if found:
        code = re.search(r"<Code>(\w+)</Code>", text)
        return f"answers {found[1]} {code[1] if code else (found[2] or '').strip()}".rstrip()
    if _BROKEN_OFF.search(text) and not _HOPELESS.search(text):
        return "drops the connection"
    return ""


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

    found = boto3.Session()
    if found.get_credentials() is None:
        raise BucketError(
            "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return Boto3CredentialProvider(found)


def reason_of(error: Exception) -> str:
    """What a store refuses, and what to do, in one line; of other messages the first line, as the rest are debug dumps."""
    if isinstance(error, BucketError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or "it"
        return f"{error.strerror}: restore {where}, or let this user read it"
    message = str(error).strip() or type(error).__name__
    text = message.splitlines()[0].partition("<?xml")[0].rstrip(" :")
    if type(error).__name__ == "PreconditionError" or "status code: 412" in text:
        return "it was overwritten after the listing; run again"
    found = re.search(r"<Code>(\w+)</Code>", message)
    code = found[1] if found else _code_of(text)
    method = (
        "list" if "list request" in text else (re.search("Error performing ([A-Z]+)", text) or [""] * 2)[1]
    )
    return _advised(code, method) or _unanswered(message) or text[:300] + (f" ({code})" if code else "")


def _code_of(text: str) -> str:
    """A store's code where it sent none: an answer to HEAD has no body."""
    if "redirect without LOCATION" in text:
        return "PermanentRedirect"
    status = re.search(r"status code: (\d+)", text)
    codes = dict.fromkeys(_BUSY_STATUSES, "ServiceUnavailable")
    codes |= {"403": "AccessDenied", "404": "NoSuchKey", "429": "TooManyRequests"}
    return codes.get(status[1], "") if status else ""


def _advised(code: str, method: str) -> str:
    advice = ADVICE.get(code)
    right = _RIGHTS.get(method, "do this: see the bucket's policy and the role's rights")
    return f"{code}: {advice.format(right=right)}" if advice else ""


def _unanswered(message: str) -> str:
    """What it means that a library had no answer, or only a part of it."""
    if "HTTP error" not in message:
        return ""
    address = re.search(r"https?://[^/\s,]+", message)
    meaning = next((meaning for sign, meaning in _NO_ANSWER if sign in message), "")
    return f"{address[0] if address else 'the store'} {meaning}" if meaning else ""
