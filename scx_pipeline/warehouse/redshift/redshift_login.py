"""How to log in to Redshift: IAM for a workgroup or a cluster, a secret of AWS Secrets Manager, or a password that was given.
Credentials are fetched for each connection, and never kept, told or logged; connecting is in `redshift`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scx_pipeline.aws import client, translate_errors
from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.psycopg import Address

aws_client = partial(client, kind=WarehouseError)
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
    service = aws_client("redshift-serverless")
    with translate_errors(f"log in by the Redshift workgroup {name}", WarehouseError):
        endpoint = (
            None if address.host else service.get_workgroup(workgroupName=name)["workgroup"].get("endpoint")
        )
        given = service.get_credentials(workgroupName=name, dbName=address.database, durationSeconds=SECONDS)
    host, port = _where(address, endpoint, f"workgroup {name}")
    return Login(host, port, given["dbUser"], given["dbPassword"])


def _of_cluster(address: Address, name: str) -> Login:
    service = aws_client("redshift")
    with translate_errors(f"log in by the Redshift cluster {name}", WarehouseError):
        found = service.describe_clusters(ClusterIdentifier=name)["Clusters"][0]
        status = found["ClusterStatus"]
        if status != "available":
            advice = "run `scx cloud resume redshift-provisioned`" if status == "paused" else "wait for it"
            raise WarehouseError(f"the Redshift cluster {name} is {status}: {advice}")
        asked = {"ClusterIdentifier": name, "DbName": address.database, "DurationSeconds": SECONDS}
        if address.user:
            given = service.get_cluster_credentials(DbUser=address.user, AutoCreate=False, **asked)
        else:
            given = service.get_cluster_credentials_with_iam(**asked)
    host, port = _where(address, found.get("Endpoint"), f"cluster {name}")
    return Login(host, port, given["DbUser"], given["DbPassword"])


def _of_secret(address: Address, name: str) -> Login:
    with translate_errors(f"log in by the Redshift secret {name}", WarehouseError):
        text = aws_client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    try:
        found = json.loads(text)
        user, password = str(found["username"]), str(found["password"])
    except (ValueError, KeyError, TypeError):
        raise WarehouseError(
            f"the secret {name} is not what Redshift's secrets are: JSON with username and password"
        ) from None
    if not (address.host or found.get("host")):
        raise WarehouseError(f"neither SCX_WAREHOUSE_URL nor the secret {name} names a host")
    endpoint = {"address": found.get("host"), "port": found.get("port") or address.port}
    return Login(*_where(address, endpoint, f"secret {name}"), user, password)


def _where(address: Address, endpoint: Mapping[str, Any] | None, what: str) -> tuple[str, int]:
    """The URL's own host and port, or else those that AWS gives."""
    if address.host:
        return address.host, address.port
    given = {key.lower(): value for key, value in (endpoint or {}).items()}
    if not given.get("address"):
        raise WarehouseError(f"the Redshift {what} has no address yet: wait until it is available")
    return str(given["address"]), int(given.get("port") or 5439)
