"""How to log in to Redshift: IAM for a workgroup or a cluster, a secret of AWS Secrets Manager, or a password that was given.
Credentials are fetched for each connection, and never kept, told or logged; connecting is in `redshift`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.wire import Address

SECONDS = 900  # that temporary credentials are good for: they are used at once, and for one connection


@dataclass(frozen=True)
class Login:
    """Where to connect, and as whom."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def log_in(address: Address) -> Login:
    """Find host and credentials by what the URL names: workgroup, cluster or secret; else as it gives them itself.

    Raises WarehouseError with AWS's own reason, and what to do.
    """
    query = address.query
    if "workgroup" in query:
        return _of_workgroup(address, query["workgroup"])
    if "cluster" in query:
        return _of_cluster(address, query["cluster"])
    if "secret" in query:
        return _of_secret(address, query["secret"])
    # Without a password here, the driver looks for PGPASSWORD and its password file.
    return Login(address.host, address.port, address.user, address.password)


def _of_workgroup(address: Address, name: str) -> Login:
    client = aws_client("redshift-serverless")
    with _told(f"workgroup {name}"):
        host, port = address.host, address.port
        if not host:
            endpoint = client.get_workgroup(workgroupName=name)["workgroup"].get("endpoint") or {}
            host, port = _found(endpoint, f"workgroup {name}")
        given = client.get_credentials(workgroupName=name, dbName=address.database, durationSeconds=SECONDS)
    return Login(host, port, given["dbUser"], given["dbPassword"])


def _of_cluster(address: Address, name: str) -> Login:
    client = aws_client("redshift")
    with _told(f"cluster {name}"):
        found = client.describe_clusters(ClusterIdentifier=name)["Clusters"][0]
        status = found["ClusterStatus"]
        if status != "available":
            raise WarehouseError(
                f"the Redshift cluster {name} is {status}: {_ADVICE.get(status, 'wait for it')}"
            )
        host, port = (
            (address.host, address.port)
            if address.host
            else _found(found.get("Endpoint") or {}, f"cluster {name}")
        )
        asked = {"ClusterIdentifier": name, "DbName": address.database, "DurationSeconds": SECONDS}
        if address.user:
            given = client.get_cluster_credentials(DbUser=address.user, AutoCreate=False, **asked)
        else:
            given = client.get_cluster_credentials_with_iam(**asked)
    return Login(host, port, given["DbUser"], given["DbPassword"])


def _of_secret(address: Address, name: str) -> Login:
    with _told(f"secret {name}"):
        text = aws_client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    try:
        found = json.loads(text)
        user, password = str(found["username"]), str(found["password"])
    except (ValueError, KeyError, TypeError):
        raise WarehouseError(
            f"the secret {name} is not what Redshift's secrets are: JSON with username and password"
        ) from None
    host = address.host or str(found.get("host") or "")
    if not host:
        raise WarehouseError(f"neither SCX_WAREHOUSE_URL nor the secret {name} names a host")
    return Login(
        host, int(found.get("port") or address.port) if not address.host else address.port, user, password
    )


def _found(endpoint: Mapping[str, Any], what: str) -> tuple[str, int]:
    host = endpoint.get("address") or endpoint.get("Address")
    if not host:
        raise WarehouseError(f"the Redshift {what} has no address yet: wait until it is available")
    return str(host), int(endpoint.get("port") or endpoint.get("Port") or 5439)


def aws_client(service: str) -> Any:
    """A client by AWS's own settings. Raises WarehouseError where they name no region."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client(service)
    except BotoCoreError as error:
        raise WarehouseError(
            f"cannot ask AWS for {service}: {error}; set AWS_REGION or AWS_PROFILE"
        ) from None


@contextmanager
def _told(what: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        advice = _ADVICE.get(code)
        told = error.response.get("Error", {}).get("Message", "") or code
        raise WarehouseError(
            f"cannot log in by the Redshift {what}: {told}{f': {advice}' if advice else ''}"
        ) from None
    except BotoCoreError as error:
        raise WarehouseError(f"cannot log in by the Redshift {what}: {error}") from None


_EXPIRED = "log in to AWS again (aws sso login), or renew its keys"
_ADVICE = {
    "paused": "run `scx cluster resume`",
    "AccessDeniedException": "let this user or role call it (docs/redshift.md lists the policy)",
    "AccessDenied": "let this user or role call it (docs/redshift.md lists the policy)",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "UnrecognizedClientException": _EXPIRED,
    "ClusterNotFound": "see its name, and AWS_REGION",
    "ResourceNotFoundException": "see its name, and AWS_REGION",
}
