"""The errors of object stores, each described in one line with what to do.

Requests are made and repeated by the package's other modules.
"""

from __future__ import annotations

import re
from typing import Any

from scx_pipeline.error_translation import find_advice
from scx_pipeline.errors import BucketError

_BUSY = "the store is still busy after several attempts: run again later"
_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_REGION = "the bucket is in another region: set AWS_REGION to it"
_EXPIRED = "the credentials have expired: log in again (aws sso login), or renew the keys"
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
_PERMISSIONS = {
    "list": "list the bucket: allow s3:ListBucket",
    "GET": "read the object: allow s3:GetObject",
    "HEAD": "read the object: allow s3:GetObject",
    "PUT": "write to the bucket: allow s3:PutObject",
    "POST": "write to the bucket: allow s3:PutObject",
    "DELETE": "delete the object: allow s3:DeleteObject",
}
# Errors of requests that got no response, or only a part of it.
_NO_RESPONSE = (
    ("ConnectionRefused", "refuses the connection: is the store running, and is AWS_ENDPOINT_URL right?"),
    (
        "dns error",
        "has a host name that cannot be resolved: check AWS_ENDPOINT_URL, AWS_REGION and the network",
    ),
    ("ertificate", "has a certificate that is not trusted: check AWS_ENDPOINT_URL, or add its authority"),
    ("TimedOut", "did not answer in time: check the network and AWS_ENDPOINT_URL"),
    ("body error", "sent only a part of its response: run again"),
    ("error sending request", "dropped the connection: check the network, and run again"),
)
_DROPPED = re.compile("body error|error sending request|decoding response|connection (?:closed|reset)")
_PERMANENT = re.compile("ConnectionRefused|dns error|ertificate")
_BUSY_STATUSES = ("429", "500", "502", "503", "504")
_TRANSIENT = re.compile(rf"status code: ({'|'.join(_BUSY_STATUSES)})\b(?: ([A-Za-z ]+))?")
_CODE = re.compile(r"<Code>(\w+)</Code>")


def describe_transient_error(error: Exception) -> str:
    """Describe an error that may be gone at the next attempt; an empty text for any other."""
    response: Any = getattr(error.__cause__, "response", None)  # of botocore
    status = str(response["ResponseMetadata"]["HTTPStatusCode"]) if response else ""
    if status in _BUSY_STATUSES:
        return f"answers {status} {response['Error']['Code']}"
    text = str(error)
    if found := _TRANSIENT.search(text):
        code = _CODE.search(text)
        return f"answers {found[1]} {code[1] if code else (found[2] or '').strip()}".rstrip()
    return "drops the connection" if _DROPPED.search(text) and not _PERMANENT.search(text) else ""


def describe_store_error(error: Exception) -> str:
    """Describe in one line what a store refused, and what to do.

    Of messages that are not known, only the first line is kept: the others are debug output.
    """
    if isinstance(error, BucketError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: restore {error.filename or 'it'}, or let this user read it"
    message = str(error).strip() or type(error).__name__
    text = message.splitlines()[0].partition("<?xml")[0].rstrip(" :")
    if type(error).__name__ == "PreconditionError" or "status code: 412" in text:
        return "it was overwritten after the listing; run again"
    found = _CODE.search(message)
    code = found[1] if found else _implied_code(text)
    method = re.search("Error performing ([A-Z]+)", text)
    action = "list" if "list request" in text else method[1] if method else ""
    return (
        describe_code(code, action)
        or _describe_no_response(message)
        or text[:300] + (f" ({code})" if code else "")
    )


def describe_code(code: str, action: str) -> str:
    """Describe an error code of S3, for a request by this HTTP method or "list"; an empty text for unknown codes."""
    advice = ADVICE.get(code)
    permission = _PERMISSIONS.get(action, "do this: check the bucket's policy and the role's permissions")
    return f"{code}: {advice.format(right=permission)}" if advice else ""


def _implied_code(text: str) -> str:
    """Return the error code that a status implies: the response to HEAD has no body that names one."""
    if "redirect without LOCATION" in text:
        return "PermanentRedirect"
    status = re.search(r"status code: (\d+)", text)
    codes = dict.fromkeys(_BUSY_STATUSES, "ServiceUnavailable")
    codes |= {"403": "AccessDenied", "404": "NoSuchKey", "429": "TooManyRequests"}
    return codes.get(status[1], "") if status else ""


def _describe_no_response(message: str) -> str:
    meaning = find_advice(message, _NO_RESPONSE) if "HTTP error" in message else ""
    address = re.search(r"https?://[^/\s,]+", message)
    return f"{address[0] if address else 'the store'} {meaning}" if meaning else ""
