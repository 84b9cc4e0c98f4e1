"""The URL of a Redshift database: what it may contain, and the defaults.

Nothing is connected here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.psycopg import Address, parse_url
from scx_pipeline.warehouse.redshift.copy_command import Access

SAMPLE_URL = "redshift://user:password@host:5439/dev?staging=s3://bucket/prefix"
# The parameters of a URL, in addition to libpq's for TLS.
INSTEAD_OF_HOST = ("workgroup", "cluster", "secret")
OPTIONS = ("staging", "iam_role", "region", "region_staging", *INSTEAD_OF_HOST, "query_group", "copy_from")
TLS = ("sslmode", "sslrootcert")
DEFAULTS = {
    "iam_role": "default",
    "query_group": "scx_pipeline",
    "sslmode": "verify-full",
    "copy_from": "64",  # MB of a table's objects from which the cluster reads them itself
}


@dataclass(frozen=True)
class ClusterSettings:
    """A database of a cluster or workgroup, and how COPY reads for it."""

    address: Address
    options: Mapping[str, str]
    access: Access
    min_copy_bytes: int  # of a table's objects, from which the cluster reads them itself

    @property
    def url(self) -> str:
        """Return the URL without its password."""
        if self.address.host:
            return f"redshift://{self.address.host}:{self.address.port}/{self.address.database}"
        found_by = next(f"{name}={self.options[name]}" for name in INSTEAD_OF_HOST if name in self.options)
        return f"redshift:///{self.address.database}?{found_by}"


def parse_cluster_url(url: str) -> ClusterSettings:
    """Return the settings in a URL. Raises WarehouseError if it is malformed."""
    address = _parse_address(url)
    options = {**DEFAULTS, **address.query}
    megabytes = options["copy_from"]
    if not megabytes.isdecimal():
        raise WarehouseError(
            f"copy_from in SCX_WAREHOUSE_URL is {megabytes!r}: use a number of megabytes, such as {DEFAULTS['copy_from']}"
        )
    access = Access(options["iam_role"], options.get("region"))
    return ClusterSettings(address, options, access, int(megabytes) * 1_000_000)


def connection_info(url: str) -> dict[str, str | int | None]:
    """Return the parts of a URL that are not secret, with the defaults of the others."""
    address = _parse_address(url)
    options = {name: address.query.get(name, DEFAULTS.get(name)) for name in (*OPTIONS, *TLS)}
    where = {"host": address.host or None, "port": address.port if address.host else None}
    return {**where, "database": address.database, "user": address.user, **options}


def _parse_address(url: str) -> Address:
    address = parse_url(url, 5439, SAMPLE_URL, INSTEAD_OF_HOST)
    for name in address.query:
        if name not in (*OPTIONS, *TLS):
            raise WarehouseError(
                f"SCX_WAREHOUSE_URL has the unknown parameter {name!r}: use {', '.join((*OPTIONS, *TLS))}"
            )
    return address
