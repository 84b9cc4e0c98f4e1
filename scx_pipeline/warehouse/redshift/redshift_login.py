"""Logins to Redshift: IAM for a workgroup or a cluster, a secret of AWS Secrets Manager, or a given password.

Credentials are fetched for each connection, and never stored, shown or logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scx_pipeline.aws import create_client, translate_aws_errors
from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.psycopg import Address

aws_client = partial(create_client, kind=WarehouseError)
CREDENTIALS_SECONDS = 900  # their validity: they are used immediately, and for one connection


@dataclass(frozen=True)
class Login:
    """The address of a cluster or workgroup, and the user to connect as."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def log_in(address: Address) -> Login:
    """Return the host and the credentials: of the workgroup, cluster or secret in the URL, or the URL's own.

    Raises:
        WarehouseError: AWS refuses; it has AWS's reason, and what to do.
    """
    query = address.query
    if "workgroup" in query:
        return _log_in_to_workgroup(address, query["workgroup"])
    if "cluster" in query:
        return _log_in_to_cluster(address, query["cluster"])
    if "secret" in query:
        return _log_in_by_secret(address, query["secret"])
    # Without a password here, the driver looks for PGPASSWORD and its password file.
    return Login(address.host, address.port, address.user, address.password)


def _log_in_to_workgroup(address: Address, name: str) -> Login:
    service = aws_client("redshift-serverless")
    with translate_aws_errors(f"log in to the Redshift workgroup {name}", WarehouseError):
        endpoint = (
            None if address.host else service.get_workgroup(workgroupName=name)["workgroup"].get("endpoint")
        )
        given = service.get_credentials(
            workgroupName=name, dbName=address.database, durationSeconds=CREDENTIALS_SECONDS
        )
    host, port = _find_endpoint(address, endpoint, f"workgroup {name}")
    return Login(host, port, given["dbUser"], given["dbPassword"])


def _log_in_to_cluster(address: Address, name: str) -> Login:
    service = aws_client("redshift")
    with translate_aws_errors(f"log in to the Redshift cluster {name}", WarehouseError):
        found = service.describe_clusters(ClusterIdentifier=name)["Clusters"][0]
        status = found["ClusterStatus"]
        if status != "available":
            advice = "run `scx cloud resume redshift-provisioned`" if status == "paused" else "wait for it"
            raise WarehouseError(f"the Redshift cluster {name} is {status}: {advice}")
        request = {
            "ClusterIdentifier": name,
            "DbName": address.database,
            "DurationSeconds": CREDENTIALS_SECONDS,
        }
        if address.user:
            given = service.get_cluster_credentials(DbUser=address.user, AutoCreate=False, **request)
        else:
            given = service.get_cluster_credentials_with_iam(**request)
    host, port = _find_endpoint(address, found.get("Endpoint"), f"cluster {name}")
    return Login(host, port, given["DbUser"], given["DbPassword"])


def _log_in_by_secret(address: Address, name: str) -> Login:
    with translate_aws_errors(f"log in by the Redshift secret {name}", WarehouseError):
        text = aws_client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    try:
        found = json.loads(text)
        user, password = str(found["username"]), str(found["password"])
    except (ValueError, KeyError, TypeError):
        raise WarehouseError(
            f"the secret {name} is not a Redshift secret: it must be JSON with username and password"
        ) from None
    if not (address.host or found.get("host")):
        raise WarehouseError(
            f"neither SCX_WAREHOUSE_URL nor the secret {name} names a host: add the host to either"
        )
    endpoint = {"address": found.get("host"), "port": found.get("port") or address.port}
    return Login(*_find_endpoint(address, endpoint, f"secret {name}"), user, password)


def _find_endpoint(address: Address, endpoint: Mapping[str, Any] | None, what: str) -> tuple[str, int]:
    """Return the host and port of the URL, or else those of AWS."""
    if address.host:
        return address.host, address.port
    given = {key.lower(): value for key, value in (endpoint or {}).items()}
    if not given.get("address"):
        raise WarehouseError(f"the Redshift {what} has no address yet: wait until it is available")
    return str(given["address"]), int(given.get("port") or 5439)
